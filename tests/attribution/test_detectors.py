"""Networks that return boxes: a list of dicts an image, of which a function makes one row of numbers."""

import numpy as np
import pytest
import torch
import torchvision

import whatwhere as ww
from whatwhere.engine.baseline import mean_colour


def best_scores(classes):
    """Make an output: for each class the score of its best box, 0 where it has none."""

    def row(one):
        scores = torch.nn.functional.one_hot(one["labels"], classes + 1) * one["scores"][:, None]
        return torch.cat([scores, torch.zeros(1, classes + 1)]).amax(0)[1:]

    def read(found):
        return torch.stack([row(one) for one in found])

    return read


class Spots(torch.nn.Module):
    """Finds a box of class 1 in the upper left quarter, and of class 3 in the lower right, as bright as they are."""

    def forward(self, x):
        quarters = torch.nn.functional.adaptive_avg_pool2d(x.mean(1), 2)
        where = torch.tensor([[0.0, 0, 32, 32], [32, 32, 64, 64]])
        return [
            {"boxes": where, "labels": torch.tensor([1, 3]), "scores": torch.stack([cells[0, 0], cells[1, 1]])}
            for cells in quarters
        ]


def test_a_detector_of_known_answers(white):
    model = ww.VisionModel(Spots(), input_size=64, mean=(0,) * 3, std=(1,) * 3, output=best_scores(3))
    a = ww.Sobol(grid=2, rows=32, baseline="black").run(model, white)
    assert a.reference == pytest.approx([1, 0, 1])
    assert a.logits.shape == (32, 5, 3)
    for target, cell in ((0, (0, 0)), (2, (1, 1))):
        wanted = np.zeros((2, 2))
        wanted[cell] = a.values(target)[cell]
        np.testing.assert_allclose(a.values(target), wanted, atol=1e-6)
        assert wanted[cell] == pytest.approx(1, abs=0.25)
    assert a.is_flat(1)


def test_without_a_function_it_is_said_what_came():
    with pytest.raises((TypeError, ValueError), match=r"returns list of .*output="):
        ww.VisionModel(Spots(), input_size=64, mean=(0,) * 3, std=(1,) * 3)


def test_a_real_detector():
    """Untrained: every masked image has the scores that it has on its own."""
    net = torchvision.models.detection.fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None,
        weights_backbone=None,
        num_classes=4,
        min_size=64,
        max_size=64,
        box_score_thresh=0.0,
        rpn_post_nms_top_n_test=50,
    ).eval()
    model = ww.VisionModel(net, input_size=64, mean=(0,) * 3, std=(1,) * 3, output=best_scores(3))
    image = np.random.default_rng(0).random((64, 64, 3)).astype(np.float32)
    a = ww.Sobol(grid=2, rows=2).run(model, image)
    assert a.logits.shape == (2, 5, 3)
    assert (a.provenance.wobble, a.provenance.alone) == (0, True)
    mask = a.method.masks()[0][1].reshape(2, 2).repeat(32, 0).repeat(32, 1)[..., None]
    shown = torch.from_numpy(mask * image + (1 - mask) * mean_colour(model)).float().permute(2, 0, 1)
    with torch.no_grad():
        alone = best_scores(3)(net([shown]))[0].numpy()
    assert a.logits[1, 0] == pytest.approx(alone, abs=1e-3)
