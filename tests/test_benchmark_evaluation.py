"""What the evaluation of prototypes compares is comparable, and its tables hold what was measured."""

import numpy as np
import pytest
from _evaluation_making import MAIN, TITLES, Making
from prototypes_evaluation import HEADS, line, photos_of, report


def test_all_ways_cost_the_same_forwards():
    making = Making((0, 217, 482), few=2, steps=5, crops=3, size=96)
    methods = {way: making.method(way) for way in TITLES}
    assert {(m.steps, m.crops, m.shape, m.seed) for m in methods.values()} == {(5, 3, (96, 96), (0,))}
    assert [methods[way].tied for way in ("photos", "law", "photos_untied", "law_untied")] == [True, True, False, False]
    assert [methods[way].spectrum for way in ("photos", "law", "photos_untied", "law_untied")] == ["photos", "law"] * 2
    maco, free = methods["photos"], methods["free_crops"]
    assert (1 / free.zooms[0], 1 / free.zooms[1]) == pytest.approx(maco.sides)
    assert {way: len(making.those(way)) for way in TITLES} == {way: 3 if way in MAIN else 2 for way in TITLES}


def measured(count, rank=1):
    return {
        "logit": [1.0] * count, "crops": [2.0] * count, "all": [0.5] * count, "own": [0.25] * count,
        "p99": [True] * (count - 1) + [False], "ranks": [[1, 5, rank]] * count,
        "logits": [[3.0, 2.0, rank]] * count,
        "frechet": [3.0, 4.0, 5.0], "frechet_of_photos": [2.0, 2.0, 9.0],
        "nearest": [0.5] * count, "nearest_of_photos": 0.6,
    }  # fmt: skip


def test_a_row_says_what_was_measured():
    row = line("photos", measured(6, rank=6), 6, 12.0)
    assert set(row) == set(HEADS)
    assert row["p99"] == "5 of 6"
    assert (row["Lite0"], row["Lite1"], row["Lite2"], row["both"]) == ("6 of 6", "6 of 6", "0 of 6", "0 of 6")
    assert row["frechet"] == 2.0
    assert row["logit"] == "1.00 (1.00 to 1.00)"


def test_the_report_has_a_row_a_way():
    making = Making((0, 1, 2, 3, 4, 5), few=5)
    results = {way: measured(6 if way in MAIN else 5) for way in TITLES} | {f"{way}_few": measured(5) for way in MAIN}
    told = report(making, results, {"photos": 1.0, "free": 2.0})
    assert all(told.count(f"| {title} |") == (2 if way in MAIN else 1) for way, title in TITLES.items())
    assert "Logit in Lite2, MACO's less the free one's: 0.00 (0.00 to 0.00)." in told


def test_photos_lie_in_folders_with_numbers(tmp_path):
    for name in ("003_shark", "000_tench"):
        (tmp_path / name).mkdir()
        for k in range(3):
            (tmp_path / name / f"{k}.jpg").touch()
    found = photos_of(tmp_path, 2)
    assert [(k, len(paths)) for k, paths in found.items()] == [(0, 2), (3, 2)]
    with pytest.raises(SystemExit, match="wanted folders"):
        photos_of(tmp_path / "000_tench", 2)
    assert np.all([path.suffix == ".jpg" for paths in found.values() for path in paths])
