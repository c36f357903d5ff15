"""The exported page, as text; `tests/browser` opens it."""

import base64
import json
import re

import numpy as np
import pytest
import torch

import whatwhere as ww


@pytest.fixture
def view(toy):
    model = toy(lambda x: x.mean((2, 3)))
    shown = ww.AttributionView(
        model, {"</script><b>": np.random.default_rng(0).random((64, 64, 3))}, method=ww.Sobol(grid=2, rows=4)
    )
    shown.start().wait(30)
    yield shown
    shown.close()


def state_of(page):
    text = re.search(r'<script type="application/json" id="ww-state">(.*?)</script>', page, re.DOTALL).group(1)
    return json.loads(text)["views"][0]


def test_the_page_holds_everything_and_names_no_address(view, tmp_path):
    path = view.to_html(tmp_path / "page.html", title="<Tom & Jerry>")
    page = path.read_text(encoding="utf-8")
    assert "<title>&lt;Tom &amp; Jerry&gt;</title>" in page
    assert not re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?https?:""", page)
    assert "default-src 'none'" in page
    frozen = state_of(page)
    assert frozen["kind"] == "attribution"
    assert frozen["state"]["_kernel"] is False
    assert "_esm" not in frozen["state"]
    assert "layout" not in frozen["state"]


def test_a_name_cannot_break_out_of_the_page(view, tmp_path):
    page = view.to_html(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "</script><b>" not in page
    assert state_of(page)["state"]["_images"][0]["name"] == "</script><b>"


def test_the_buffers_are_the_maps(view, tmp_path):
    frozen = state_of(view.to_html(tmp_path / "page.html").read_text(encoding="utf-8"))
    buffers = {tuple(b["path"]): base64.b64decode(b["data"]) for b in frozen["buffers"]}
    assert buffers["_planes", "</script><b>"] == view._planes["</script><b>"]
    assert buffers["_photos", 0] == view._photos[0]


def test_the_class_that_is_shown_is_in_the_page(toy, tmp_path):
    model = toy(lambda x: torch.stack([x[:, 0].mean((1, 2)) * k for k in range(14)], 1))
    view = ww.AttributionView(model, np.random.default_rng(0).random((2, 64, 64, 3)), method=ww.Sobol(grid=2, rows=4))
    view.start().wait(30)
    view.selected_image = "image 2"
    view.job.wait(30)
    view.selected_class = 1
    frozen = state_of(view.to_html(tmp_path / "page.html").read_text(encoding="utf-8"))
    for name in ("image 1", "image 2"):
        assert 1 in [c["id"] for c in frozen["state"]["_maps"][name]["classes"]]
    view.close()


def test_a_missing_folder_is_named(view, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"the folder .*nowhere' does not exist"):
        view.to_html(tmp_path / "nowhere" / "page.html")
