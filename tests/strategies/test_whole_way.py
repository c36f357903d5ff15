"""From photos to a graph, on networks small enough to work every number out by hand."""

from __future__ import annotations

import pytest

import whatwhere as ww


def test_contributions_are_codes_times_weights(colours, whole):
    bank, pictures, shares, order = whole
    graph = ww.StrategyGraph.of(colours, bank, pictures, progress=False)
    theta = colours.net[3].weight.detach().numpy()
    for n in range(len(pictures)):
        assert graph.importance[n] == pytest.approx(theta[graph.predictions[n], order] * shares[n], abs=1e-4)
    assert graph.importance == pytest.approx(bank.on(colours).contributions(pictures).concepts.numpy(), abs=1e-5)
    assert graph.importance == pytest.approx(bank.contributions, abs=1e-5)


def test_muting_is_what_the_network_says_without_the_colour(colours, whole):
    """Blacking a colour out of the picture is a route that knows nothing of concepts."""
    bank, pictures, _, order = whole
    graph = ww.StrategyGraph.of(colours, bank, pictures, progress=False)
    for n, picture in enumerate(pictures.values()):
        whole_p = colours.predict(picture)
        for k, colour in enumerate(order):
            without = picture.copy()
            without[..., colour] = 0
            p = colours.predict(without)
            assert graph.muting.becomes[n, k] == p.argmax()
            drop = whole_p[graph.predictions[n]] - p[graph.predictions[n]]
            assert graph.muting.drops[n, k] == pytest.approx(drop, abs=1e-3)
    assert graph.flips.any()
    assert not graph.flips.all()
