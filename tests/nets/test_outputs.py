"""Reading what networks return."""

from types import SimpleNamespace

import pytest
import torch

from whatwhere.nets.outputs import probabilities, read_output

ROWS = torch.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize(
    ("out", "output"),
    [
        (ROWS, None),
        (SimpleNamespace(logits=ROWS, hidden=0), None),
        ({"logits": ROWS, "aux": 1}, None),
        ({"out": ROWS, "aux": 1}, "out"),
        ({"out": ROWS, "aux": 1}, 0),
        ((ROWS, "aux"), 0),
        (("aux", ROWS), -1),
        (SimpleNamespace(scores=ROWS), "scores"),
        ([ROWS[:, :, None, None]], lambda out: out[0].mean((2, 3))),
    ],
)
def test_the_logits_are_found(out, output):
    assert torch.equal(read_output(out, output, 2), ROWS)


def test_one_number_an_image_is_one_class():
    assert read_output(torch.tensor([1.0, 2.0]), None, 2).shape == (2, 1)


@pytest.mark.parametrize(
    ("out", "output", "error", "message"),
    [
        ((ROWS, ROWS), None, ValueError, r"a tensor \(2, 3\).*output=0 for a position"),
        ({"a": ROWS}, None, ValueError, r"dict with the keys \['a'\]"),
        ({"a": ROWS}, "b", ValueError, r"has no 'b', it is dict with the keys \['a'\]"),
        ((ROWS,), 3, ValueError, r"has no position 3, it is tuple of 1: a tensor \(2, 3\)"),
        (7, 0, ValueError, "has no position 0, it is builtins.int"),
        (ROWS, lambda _: "x", TypeError, "wanted a tensor .*got builtins.str"),
        (ROWS.reshape(1, 2, 3), None, ValueError, r"wanted shape \(2, classes\).*got \(1, 2, 3\).*lambda out"),
        (torch.zeros(3), None, ValueError, r"got \(3,\)"),
        (torch.zeros(2, 0), None, ValueError, r"got \(2, 0\)"),
    ],
)
def test_what_is_not_one_row_an_image_is_refused(out, output, error, message):
    with pytest.raises(error, match=message):
        read_output(out, output, 2)


def test_probabilities_are_a_softmax_or_of_one_logit_the_sigmoid():
    assert torch.allclose(probabilities(ROWS).sum(1), torch.ones(2))
    assert probabilities(torch.tensor([[0.0], [2.0]])).flatten().tolist() == pytest.approx([0.5, 0.880797])


def test_a_hugging_face_output_is_read():
    outputs = pytest.importorskip("transformers.modeling_outputs")
    out = outputs.ImageClassifierOutput(logits=ROWS, hidden_states=(ROWS,))
    assert torch.equal(read_output(out, None, 2), ROWS)
    assert torch.equal(read_output(out, "logits", 2), ROWS)
