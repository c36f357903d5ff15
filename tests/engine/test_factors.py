"""What can be asked of factors: dead atoms, duplicates, the residual."""

import pytest
import torch

from whatwhere.engine.factors import Dictionary, Factors, duplicate_atoms, relative_error


def test_dead_atoms_have_no_code_or_no_direction():
    codes, bank = torch.ones(3, 4), torch.eye(4)
    codes[:, 1], bank[2] = 0, 0
    assert Factors(0, 0.0, codes, bank).dead == (1, 2)


def test_duplicates_are_grouped_whatever_their_length():
    bank = torch.tensor([[1.0, 0, 0], [0, 1, 0], [3, 0.01, 0], [0, 0, 0], [0, 2, 0], [0, 0, 1], [-1, 0, 0], [0, 0, 0]])
    assert duplicate_atoms(bank) == [(0, 2), (1, 4)]
    assert duplicate_atoms(bank * 1e-20) == [(0, 2), (1, 4)]
    assert duplicate_atoms(torch.eye(3)) == []


def test_duplicates_chain():
    angles = torch.tensor([0.0, 0.1, 0.2])
    bank = torch.stack([angles.cos(), angles.sin()], dim=1)
    assert duplicate_atoms(bank, cosine=0.99) == [(0, 1, 2)]
    assert duplicate_atoms(bank, cosine=0.999) == []


def test_the_residual_of_known_factors():
    codes, bank = torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0, 4.0]])
    assert relative_error(codes @ bank, codes, bank) == 0
    assert relative_error(codes @ bank, codes * 0, bank) == pytest.approx(1)
    assert relative_error(codes @ bank, codes * 0.5, bank) == pytest.approx(0.5)


def test_the_offset_is_part_of_the_reconstruction():
    codes, bank, offset = torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0, 4.0]]), torch.tensor([10.0, -1.0])
    factors = Factors(0, 0.0, codes, bank, offset=offset, encoder={"mean": offset})
    decoded = factors.dictionary.decode(codes)
    assert torch.equal(decoded, codes @ bank + offset)
    assert relative_error(decoded, codes, bank, offset=offset) == 0
    assert relative_error(decoded * 1e6, codes * 1e6, bank, offset=offset * 1e6) == pytest.approx(0, abs=1e-7)
    assert relative_error(decoded, codes, bank) > 0.5


def test_a_dictionary_decodes_differentiably_and_moves():
    dictionary = Dictionary(torch.eye(3, 4), torch.ones(4), {"weights": torch.ones(2)})
    codes = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    decoded = dictionary.decode(codes)
    assert decoded.dtype == torch.float64
    decoded.sum().backward()
    assert codes.grad.sum() == 6
    moved = dictionary.to("cpu")
    assert moved.bank is dictionary.bank
    assert moved.offset is dictionary.offset
    assert moved.encoder["weights"] is dictionary.encoder["weights"]
    assert dictionary.rank == moved.rank == 3
    assert Dictionary(torch.eye(2)).offset is None


def test_bad_dictionaries():
    with pytest.raises(ValueError, match=r"offset: wanted shape \(p,\) = \(3,\) as the bank's columns, got \(2,\)"):
        Dictionary(torch.eye(3), torch.ones(2))
    with pytest.raises(ValueError, match="bank: wanted finite numbers"):
        Dictionary(torch.full((1, 2), torch.nan))
    with pytest.raises(ValueError, match=r"codes: wanted shape \(n, 3\), got \(2, 4\)"):
        Dictionary(torch.eye(3)).decode(torch.ones(2, 4))


def test_bad_input():
    with pytest.raises(ValueError, match="cosine: wanted a number above 0 and below 1"):
        duplicate_atoms(torch.eye(2), cosine=1)
    with pytest.raises(ValueError, match=r"codes, bank: wanted shapes \(n, r\) and \(r, p\) .* \(2, 2\), got \(3, 1\)"):
        relative_error(torch.eye(2), torch.ones(3, 1), torch.ones(1, 2))
