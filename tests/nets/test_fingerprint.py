"""Fingerprints: every bit counts, the place and the layout of the numbers do not."""

import itertools
import sys

import pytest
import torch
from torch import nn

from whatwhere.nets.fingerprint import _WIDTH, _checksums, _odd_weights, _words, fingerprint

WRAP = 1 << 64


def of(*tensors):
    """The fingerprint of a network that holds these tensors."""
    net = nn.Module()
    for k, tensor in enumerate(tensors):
        net.register_buffer(f"b{k}", tensor)
    return fingerprint(net)


def test_it_is_sixteen_hexadecimal_digits_and_stays():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    assert fingerprint(net) == fingerprint(net.eval().requires_grad_(False))
    assert len(fingerprint(net)) == 16
    assert int(fingerprint(net), 16) >= 0


def test_the_sums_equal_exact_arithmetic():
    values = torch.randint(-(2**63), 2**63 - 1, (2 * _WIDTH + 5,), dtype=torch.int64)
    weights = _odd_weights()
    exact = [sum(int(v) * int(w) for v, w in zip(part, weights, strict=False)) % WRAP for part in values.split(_WIDTH)]
    sums = torch.cat(_checksums(values, torch.from_numpy(weights)))
    assert [int(s) % WRAP for s in sums] == exact


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 1001])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.float32, torch.float64])
def test_words_are_the_bytes_in_order(count, dtype):
    values = (torch.rand(count + 1) * 200).to(dtype)[1:]  # which begins at no whole word
    told = values.clone().numpy().tobytes()
    told += bytes(-len(told) % 8)
    exact = [int.from_bytes(told[k : k + 8], sys.byteorder, signed=True) for k in range(0, len(told), 8)]
    assert _words(values).tolist() == exact


def test_the_weights_are_odd_and_differ():
    weights = _odd_weights()
    assert (weights % 2 != 0).all()
    assert len(set(weights.tolist())) == _WIDTH


def test_it_notices_a_write_through_data_which_no_version_counts():
    net = nn.Linear(300, 200)
    before, version = fingerprint(net), net.weight._version
    net.weight.data[0] += 1e-4
    assert net.weight._version == version
    assert fingerprint(net) != before


@pytest.mark.parametrize(
    "tensor",
    [
        torch.randn(70_001),
        torch.randn(3, 5).half(),
        torch.randn(3, 5).bfloat16(),
        torch.randn(3, 5).double(),
        torch.randn(3, 5, dtype=torch.complex64),
        torch.randn(3, 5, dtype=torch.complex128),
        torch.randint(0, 9, (7,)),
        torch.randint(0, 9, (7,)).to(torch.int8),
        torch.randint(0, 9, (7,)).to(torch.uint8),
        torch.rand(9) > 0.5,
        torch.tensor(3.0),
    ],
    ids=lambda t: f"{t.dtype}-{tuple(t.shape)}",
)
def test_any_single_element_counts(tensor):
    before = of(tensor)
    for index in {0, tensor.numel() // 2, tensor.numel() - 1}:
        other = tensor.clone()
        flat = other.view(-1)
        flat[index] = ~flat[index] if tensor.dtype == torch.bool else flat[index] * 2 + 1
        assert of(other) != before
    assert of(tensor.clone()) == before


def test_order_names_shapes_types_and_class_count():
    a, b = torch.tensor([1.0, 2.0]), torch.tensor([2.0, 1.0])
    marks = [of(a), of(b), of(a, b), of(b, a), of(a[None]), of(a.double()), of(a, torch.zeros(0)), of()]
    marks += [
        fingerprint(nn.Identity()),
        of(torch.zeros(0)),
        of(torch.zeros(0, 3)),
        of(torch.zeros(0, dtype=torch.int)),
    ]
    assert all(x != y for x, y in itertools.combinations(marks, 2))


def test_changes_that_cancel_in_a_plain_sum_show():
    a = torch.arange(100_000, dtype=torch.int32)
    swapped = a.clone()
    swapped[[5, _WIDTH + 5]] = a[[_WIDTH + 5, 5]]
    assert of(a) != of(swapped)
    assert of(a) != of(a.flip(0))


def test_layout_in_memory_does_not_count():
    a = torch.randn(8, 6, 5, 4)
    wide = torch.randn(8, 12)
    assert of(a) == of(a.contiguous(memory_format=torch.channels_last))
    assert of(wide[:, ::2]) == of(wide[:, ::2].contiguous())
    assert of(a.to(torch.complex64).conj()) == of(a.to(torch.complex64).conj().resolve_conj())


def test_sparse_and_quantised_numbers_are_read():
    a = torch.eye(3)
    assert of(a.to_sparse()) != of((a * 2).to_sparse())


def test_meta_and_lazy_layers_have_no_numbers():
    with pytest.raises(ValueError, match="'weight' is on the meta device and holds no numbers; load"):
        fingerprint(nn.Linear(2, 2, device="meta"))
    with pytest.raises(ValueError, match="'weight' belongs to a lazy layer"):
        fingerprint(nn.LazyLinear(2))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_it_is_the_same_on_a_gpu():
    net = nn.Sequential(nn.Conv2d(3, 40, 3), nn.BatchNorm2d(40), nn.Linear(500, 300)).bfloat16()
    before = fingerprint(net)
    assert fingerprint(net.cuda()) == before


def test_the_real_network(model):
    before = fingerprint(model.net)
    weight = next(model.net.parameters())
    kept = weight.data[0, 0, 0, 0].clone()
    weight.data[0, 0, 0, 0] = torch.nextafter(kept, torch.tensor(2.0))
    assert fingerprint(model.net) != before
    weight.data[0, 0, 0, 0] = kept
    assert fingerprint(model.net) == before
