"""What stands behind the i of a view: every figure of the making, and Python lines that make the same."""

import numpy as np
import pytest

import whatwhere as ww
from whatwhere.widgets._concept_words import about, code_of
from whatwhere.widgets._maps import encode_maps


def test_the_code_of_a_map_makes_the_same_map(model, photos):
    photo = photos["chelsea"]
    record = ww.Sobol(grid=5, rows=3, baseline="blur", seed=4).run(model, photo)
    meta, _ = encode_maps(record, set())
    scope = {"ww": ww, "photo": photo}
    exec(meta["code"], scope)  # noqa: S102  # the view's own code
    np.testing.assert_allclose(scope["a"].values(285), record.values(285), atol=1e-5)  # the cat


def test_a_map_tells_how_it_was_made(model, photos):
    record = ww.Sobol(grid=5, rows=3, baseline="blur", seed=4).run(model, photos["chelsea"])
    told = dict(encode_maps(record, set())[0]["about"])
    assert told["Method"] == "Sobol indices, total order (Jansen), nested Owen-scrambled nets"
    assert told["Grid"] == "5 x 5 cells"
    assert told["Design"] == f"3 of 3 rows x {record.store.shape[1]} masked images"
    assert told["Forwards"].startswith(f"{record.n_forwards:,}, ")
    assert told["Masked parts"] == "fade to a blur of the photo"
    assert told["Network sees"].startswith("224 x 224 pixels")
    assert told["Seed"] == "4"
    assert told["Model"] == f"EfficientNet-Lite0, weights {model.fingerprint()}"
    assert told["whatwhere"] == ww.__version__


@pytest.mark.parametrize("refit", [None, 2])
def test_the_code_of_concepts_makes_the_same_bank(model, photos, refit):
    """But for its last line, which shows them."""
    bank = ww.Craft(n_concepts=3, fit_on="locations", seed=5).run(model, photos, progress=False)
    if refit:
        bank = bank.on(model).refit(refit)
    made, shown = code_of(bank).rsplit("\n", 1)
    scope = {"ww": ww, "photos": photos}
    exec(made, scope)  # noqa: S102  # the view's own code
    assert shown == "ww.ConceptExplorer(bank, model)"
    assert scope["bank"].ids == bank.ids
    np.testing.assert_allclose(scope["bank"].W, bank.W, atol=1e-5)
    np.testing.assert_allclose(scope["bank"].importance, bank.importance, atol=1e-5)


def test_concepts_tell_how_they_were_made(model, photos):
    bank = ww.Craft(n_concepts=3, fit_on="locations", seed=5).run(model, photos, progress=False)
    told = dict(about(bank))
    assert told["Method"].startswith("CRAFT: 3 concepts by NMF")
    assert told["Layer"] == f"{bank.layer.name}, {bank.W.shape[1]:,} features at 7 x 7 places"
    assert told["Photos"].startswith(f"{len(photos)}, ")
    assert told["Importance"] == bank.importance_method
    assert told["Relative error"].startswith(f"{bank.quality.error:.3f}")
    assert told["Seed"] == "5"
    assert told["Model"] == f"EfficientNet-Lite0, weights {model.fingerprint()}"
