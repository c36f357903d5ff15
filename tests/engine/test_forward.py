"""Masked forwards: blending pixels or tokens, padding, memory running out, logits landing."""

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

import whatwhere as ww
from whatwhere.engine.forward import BatchHalved, Landing, MaskedForward, even_batch
from whatwhere.engine.masks import cell_index
from whatwhere.engine.patches import patch_embedding, token_cells
from whatwhere.nets.memory import is_out_of_memory
from whatwhere.pixels.images import read_photo

HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}


def masked(model, image, baseline, masks, grid):
    """The plain way: every masked image made and normalised by itself, then run as it is."""
    cells = cell_index(*image.shape[:2], grid)
    rows = []
    for mask in masks:
        weight = mask[cells][..., np.newaxis]
        with model.computing():
            rows.append(model.logits(model.to_input(weight * image + (1 - weight) * baseline))[0].numpy())
    return np.stack(rows)


@pytest.mark.parametrize("name", ["mean", "black", "blur", "image"])
def test_masks_fade_to_the_baseline(model, photos, name):
    image = model.preprocess.pixels(read_photo(photos["chelsea"]))
    other = model.preprocess.pixels(read_photo(photos["rocket"]))
    wanted = ww.Baseline.read(other[:, ::-1] if name == "image" else name).pixels(model, image)
    masks = np.random.default_rng(0).random((3, 6)).astype(np.float32)
    got = MaskedForward(model, image, wanted, (2, 3))(masks).numpy()
    assert got == pytest.approx(masked(model, image, wanted, masks, (2, 3)), abs=2e-3)
    assert np.ptp(got, axis=0).max() > 1, "the masks matter"


def test_the_last_batch_is_padded_and_counted(toy):
    model = toy(lambda x: x.mean((2, 3)), batch_size=4)
    image = np.ones((64, 64, 3), np.float32)
    forward = MaskedForward(model, image, 0 * image, (1, 2))
    got = forward(np.array([[1, 1], [0, 0], [0.5, 0]], np.float32))
    assert got[:, 0].tolist() == pytest.approx([1, 0, 0.25])
    assert forward.n_padding == 1
    assert model.net.images == 4


def test_a_mask_gives_the_same_logits_wherever_it_stands(model, photos):
    image = model.preprocess.pixels(read_photo(photos["coffee"]))
    forward = MaskedForward(model, image, np.zeros_like(image), (4, 4), batch_size=4)
    masks = np.random.default_rng(1).random((4, 16)).astype(np.float32)
    first, turned = forward(masks), forward(masks[::-1].copy())
    assert torch.equal(first, turned.flip(0))
    assert torch.equal(first[1:2], forward(masks[1:2]))


def test_buffers_are_used_again(toy):
    model = toy(lambda x: x.mean((2, 3)))
    image = np.ones((64, 64, 3), np.float32)
    forward = MaskedForward(model, image, 0 * image, (2, 2))
    places = set()
    for _ in range(5):
        forward(np.ones((4, 4), np.float32))
        places.add(tuple(buffer.data_ptr() for buffer in forward._blend._buffers))
    assert len(places) == 1


def vit(**options):
    net = torchvision.models.VisionTransformer(
        image_size=64, patch_size=16, num_layers=2, num_heads=2, hidden_dim=32, mlp_dim=64, num_classes=5, **options
    )
    nn.init.normal_(net.heads.head.weight)  # torchvision begins with zeros
    return ww.VisionModel(net, input_size=64, **HALF)


@pytest.mark.parametrize("grid", [(4, 4), (2, 2), (1, 4), (2, 4)])
def test_blending_tokens_is_blending_pixels(grid, photos):
    model = vit()
    image = model.preprocess.pixels(read_photo(photos["coffee"]))
    baseline = ww.Baseline("blur").pixels(model, image)
    forward = MaskedForward(model, image, baseline, grid)
    assert forward.blends_tokens
    masks = np.random.default_rng(0).random((7, grid[0] * grid[1])).astype(np.float32)
    model.batch_size = 7
    forward = MaskedForward(model, image, baseline, grid)
    assert forward(masks).numpy() == pytest.approx(masked(model, image, baseline, masks, grid), abs=1e-5)


def test_tokens_are_not_blended_where_patches_straddle_cells(photos):
    model = vit()
    image = model.preprocess.pixels(read_photo(photos["coffee"]))
    assert not MaskedForward(model, image, 0 * image, (3, 3)).blends_tokens
    assert token_cells((64, 64), (16, 16), (3, 3)) is None
    assert token_cells((70, 64), (16, 16), (5, 2)) is None
    assert token_cells((8, 8), (16, 16), (2, 2)) is None


def test_tokens_are_not_blended_where_the_network_looks_at_the_image_elsewhere():
    class Peeks(nn.Module):
        def __init__(self):
            super().__init__()
            self.patches = nn.Conv2d(3, 4, 8, stride=8)

        def forward(self, x):
            return self.patches(x).mean((2, 3)) + x.mean((1, 2, 3))[:, None]

    net = Peeks()
    model = ww.VisionModel(net, input_size=32, **HALF)
    assert patch_embedding(model.net, model.example()) == "patches"
    image = np.random.default_rng(0).random((32, 32, 3)).astype(np.float32)
    forward = MaskedForward(model, image, 0 * image, (2, 2))
    assert not forward.blends_tokens
    masks = np.random.default_rng(1).random((4, 4)).astype(np.float32)
    assert forward(masks).numpy() == pytest.approx(masked(model, image, 0 * image, masks, (2, 2)), abs=1e-5)


def test_patch_embeddings_are_found_in_real_architectures():
    builders = {"vit_b_16": None, "convnext_tiny": "features.0.0", "swin_t": "features.0.0", "resnet18": None}
    for name, wanted in builders.items():
        if wanted is None and name != "resnet18":
            continue
        net = torchvision.models.get_model(name, weights=None).eval()
        with torch.inference_mode():
            assert patch_embedding(net, torch.randn(1, 3, 64, 64)) == wanted


class Hungry(nn.Module):
    """Runs out of memory above a number of images."""

    def __init__(self, most):
        super().__init__()
        self.most = most

    def forward(self, x):
        if len(x) > self.most:
            raise torch.OutOfMemoryError(f"no room for {len(x)}")
        return x.mean((2, 3)) * torch.arange(1.0, 4.0)


@pytest.mark.parametrize("most", [1, 3, 4])
def test_out_of_memory_halves_the_batch_and_loses_nothing(most):
    def explain(net):
        model = ww.VisionModel(net, input_size=16, **HALF)
        model.batch_size = 16
        record = ww.Sobol(grid=3, rows=5).run(model, np.ones((16, 16, 3), np.float32))
        return record, model.batch_size

    (small, size), (large, _) = explain(Hungry(most)), explain(Hungry(64))
    assert size == {1: 1, 3: 3, 4: 3}[most]
    assert small.logits == pytest.approx(large.logits, abs=1e-6)
    assert small.n_forwards == large.n_forwards == 5 * 10


def test_out_of_memory_with_one_image_says_what_to_do():
    model = ww.VisionModel(Hungry(1), input_size=16, **HALF)
    model.net.most = 0
    model.batch_size = 2
    image = np.ones((16, 16, 3), np.float32)
    forward = MaskedForward(model, image, image, (2, 2))
    with pytest.raises(BatchHalved, match="2 images did not fit; going on with 1"):
        forward(np.ones((2, 4), np.float32))
    with pytest.raises(MemoryError, match=r"Hungry: out of memory on cpu with one image at a time.*device='cpu'"):
        forward(np.ones((1, 4), np.float32))


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated ...)"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory"), True),
        (MemoryError(), True),
        (RuntimeError("shapes do not match"), False),
    ],
)
def test_memory_errors_of_all_devices_are_told_from_others(error, wanted):
    assert is_out_of_memory(error) is wanted


def test_an_error_in_the_network_is_not_taken_for_memory(toy):
    model = toy(lambda x: x.mean((2, 3)) if len(x) == 1 else x @ x.flatten())
    image = np.ones((64, 64, 3), np.float32)
    with pytest.raises(RuntimeError, match=r"size|shape"):
        MaskedForward(model, image, image, (2, 2))(np.ones((2, 4), np.float32))


def test_logits_land_in_their_places_and_a_bad_one_is_named():
    landing = Landing((2, 3, 2), torch.device("cpu"), "net", ("mask", "group"))
    landing.put([1, 2, 4], torch.arange(6.0).reshape(3, 2))
    landing.wait()
    assert landing.array.reshape(6, 2)[[1, 2, 4]].tolist() == [[0, 1], [2, 3], [4, 5]]
    landing.put([3], torch.zeros(1, 2))
    landing.put([5], torch.tensor([[0.0, torch.inf]]))
    with pytest.raises(FloatingPointError, match=r"net: .* 1 of 2 .* first in row 1 \(group 2\)"):
        landing.wait()


@pytest.mark.parametrize(
    ("total", "largest", "streams", "wanted"), [(2080, 128, 2, 124), (9, 4, 2, 4), (9, 4, 3, 3), (25, 13, 2, 13)]
)
def test_batches_fall_into_equal_parts_where_there_is_room(total, largest, streams, wanted):
    assert even_batch(total, largest, streams) == wanted


@pytest.mark.parametrize(("total", "largest", "wanted"), [(2080, 128, 123), (2080, 4, 4), (10, 64, 10), (65, 64, 33)])
def test_batches_are_even(total, largest, wanted):
    assert even_batch(total, largest) == wanted
    batches = -(-total // largest)
    assert (batches - 1) * wanted < total <= batches * wanted
