"""Photos that are dropped, pasted and chosen, and methods side by side, in a real JupyterLab."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from lab_driver import write_notebook
from PIL import Image

pytestmark = pytest.mark.browser

METHODS = """
import whatwhere as ww
model = ww.load_model("efficientnet_lite0", device="cpu")
photos = {name: ww.examples.photos()[name] for name in ("coffee", "rocket")}
methods = {"coarse": ww.Sobol(grid=4, rows=8), "fine": ww.Sobol(grid=6, rows=8, baseline="blur")}
view = ww.AttributionView(model, photos, method=methods)
view
"""

CONCEPTS = """
import whatwhere as ww
model = ww.load_model("efficientnet_lite0", device="cpu")
photos = {name: ww.examples.photos()[name] for name in ("coffee", "chelsea", "rocket")}
bank = ww.Craft(n_concepts=3, fit_on="locations").run(model, photos, progress=False)
bare = ww.ConceptExplorer(bank)
view = ww.ConceptExplorer(bank, model)
"""

# What a browser does when files are dragged, dropped or pasted; headless ones cannot be made to do it.
BRING = """(root, [kind, files]) => {
  const data = new DataTransfer();
  for (const { name, type, base64 } of files) {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    data.items.add(new File([bytes], name, { type }));
  }
  const target = root.querySelector(".pic, .nophotos");
  const how = { bubbles: true, composed: true, cancelable: true };
  const event = kind === "paste"
    ? new ClipboardEvent(kind, { ...how, clipboardData: data })
    : new DragEvent(kind, { ...how, dataTransfer: data });
  target.dispatchEvent(event);
  return event.defaultPrevented;
}"""


def picture(width, height, seed=0):
    """A photo with structure: a few blocks of colour, enlarged."""
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((width, height), Image.Resampling.BICUBIC)


def file_of(image, kind="JPEG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def bring(view, kind, *files):
    told = [{"name": name, "type": of, "base64": base64.b64encode(data).decode()} for name, of, data in files]
    return view.evaluate(BRING, [kind, told])


def test_photos_arrive(lab, screenshots):
    write_notebook(lab.server.root / "arriving.ipynb", [METHODS])
    lab.open("arriving.ipynb")
    lab.run_all()
    view = lab.view(state="done", panels="2", ready="1")
    said = view.locator(".added")

    # A large photo is made small, upright, before it travels; it is shown, and computed by both methods.
    exif = Image.Exif()
    exif[0x0112] = 6
    large = file_of(picture(3000, 1500), exif=exif)
    assert bring(view, "dragover", ("a photo.jpg", "image/jpeg", large))
    view.get_by_text("Drop to add").wait_for()
    view.screenshot(path=screenshots / "drop.png")
    bring(view, "drop", ("a photo.jpg", "image/jpeg", large))
    lab.until("ww.dataset.image === 'a photo' && ww.dataset.state === 'done'")
    assert view.locator(".drop").is_hidden()
    assert lab.python("print(view.selected_image, view.images['a photo'].size)") == "a photo (2048, 1024)"
    lab.until_python("all(job.state == 'done' for job in view.jobs.values())")

    # Several at once; what is wrong with one is said, and the others arrive. A small file arrives bit for bit.
    small = file_of(picture(300, 200, seed=1), "PNG")
    webp = file_of(picture(320, 240, seed=2), "WEBP")
    files = [("notes.txt", "text/plain", b"hello"), ("b.png", "image/png", small), ("c.webp", "image/webp", webp)]
    bring(view, "drop", *files)
    lab.until("/Added b, c\\. notes.txt: this is no image/.test(ww.querySelector('.added').textContent)")
    lab.until("ww.dataset.image === 'b'")
    (lab.server.root / "b.png").write_bytes(small)
    same = "(view.images['b'].pixels == ww.pixels.images.read_photo('b.png').pixels).all()"
    lab.until_python(f"__import__('whatwhere.pixels.images') and {same}")
    assert lab.python("print(list(view.images))") == str(["coffee", "rocket", "a photo", "b", "c"])

    # From the clipboard, where every picture is called the same.
    bring(view, "paste", ("image.png", "image/png", file_of(picture(200, 200, seed=3), "PNG")))
    lab.until("ww.dataset.image === 'pasted'")

    # The button, by keyboard alone.
    button = view.get_by_role("button", name="Add a photo")
    button.focus()
    with lab.page.expect_file_chooser() as chooser:
        button.press("Enter")
    chooser.value.set_files({"name": "chosen.jpg", "mimeType": "image/jpeg", "buffer": file_of(picture(240, 240, 4))})
    lab.until("ww.dataset.image === 'chosen' && ww.dataset.state === 'done'")
    assert said.inner_text() == "Added chosen."


def test_methods_stand_side_by_side(lab, screenshots):
    write_notebook(lab.server.root / "methods.ipynb", [METHODS])
    lab.open("methods.ipynb")
    lab.run_all()
    lab.view(state="done", panels="2", ready="1")
    view = lab.page.locator(".ww")
    maps = view.get_by_role("application")

    # One pointer reads the same place in both.
    assert maps.count() == 2
    box = maps.nth(0).bounding_box()
    maps.nth(0).hover(position={"x": 0.6 * box["width"], "y": 0.4 * box["height"]})
    lab.until(
        "[...ww.querySelectorAll('.panels .tag:not(.offer)')].every((tag) => /row \\d.* ± /.test(tag.textContent))"
    )
    view.screenshot(path=screenshots / "side_by_side.png")

    # One alone, by click and by key, and back.
    view.get_by_role("button", name="fine", exact=True).press("Enter")
    lab.until("ww.dataset.method === 'fine' && ww.dataset.panels === '0'")
    lab.until_python("view.selected_method == 'fine' and view.attribution.grid == (6, 6)")
    view.get_by_role("application").press("Escape")
    lab.until("ww.dataset.panels === '2'")
    maps.nth(0).click()
    lab.until("ww.dataset.method === 'coarse'")
    view.get_by_role("button", name="Side by side").click()
    lab.until("ww.dataset.panels === '3' && ww.querySelectorAll('.panels .figure canvas').length === 3")
    view.get_by_role("button", name="All methods").click()
    lab.until("ww.dataset.method === ''")


def test_concepts_are_looked_for_in_photos_that_arrive(lab, screenshots):
    write_notebook(lab.server.root / "guests.ipynb", [CONCEPTS, "bare", "view"])
    lab.open("guests.ipynb")
    lab.run_all()
    lab.until("!ww.querySelector('.adding button').disabled && ww.dataset.state === 'done'")
    bare, view = lab.page.locator(".ww").nth(0), lab.page.locator(".ww").nth(1)

    # Without the network nothing can be added, and the reason is said.
    assert bare.get_by_role("button", name="Add a photo").is_disabled()
    bring(bare, "drop", ("cat.png", "image/png", file_of(picture(300, 300))))
    bare.locator(".added").get_by_text("This needs the network").wait_for()

    bring(view, "drop", ("cat.png", "image/png", file_of(picture(300, 300))))
    lab.until("ww.dataset.image === 'cat'")
    lab.until_python("list(view.added) == ['cat'] and view.selected_image == 'cat'")
    assert view.get_by_role("radio").filter(has=lab.page.locator("canvas")).count() == 4
    view.get_by_text("in this photo").first.wait_for()  # its evidence
    view.get_by_role("radio", name="Pixels").click()
    lab.until("ww.dataset.image === 'cat' && ww.dataset.map === 'implicit'")
    view.screenshot(path=screenshots / "guest.png")


LINKED = """
import torch; torch.set_num_threads(1)
import whatwhere as ww
model = ww.load_model("efficientnet_lite0", device="cpu")
photos = {name: ww.examples.photos()[name] for name in ("coffee", "chelsea", "rocket")}
bank = ww.Craft(n_concepts=3, fit_on="locations").run(model, photos, progress=False)
maps = ww.AttributionView(model, photos, method=ww.Sobol(grid=4, rows=4))
concepts = ww.ConceptExplorer(bank, model, photos, selection=maps.selection)
"""
BOTH_SHOW = """(name) => {
  const views = [...document.querySelectorAll("*")].map((e) => e.shadowRoot?.querySelector(".ww")).filter(Boolean);
  return views.length === 2 && views.every((ww) => ww.dataset.image === name);
}"""


def test_a_photo_arrives_in_the_linked_view_as_well(lab, screenshots):
    write_notebook(lab.server.root / "both.ipynb", [LINKED, "maps", "concepts"])
    lab.open("both.ipynb")
    lab.run_all()
    lab.until("'concepts' in ww.dataset && ww.dataset.state === 'done' && !ww.querySelector('.adding button').disabled")
    lab.until_python("maps.job.state == 'done'")
    maps, concepts = lab.page.locator(".ww").nth(0), lab.page.locator(".ww").nth(1)

    bring(maps, "drop", ("cat.png", "image/png", file_of(picture(300, 300), "PNG")))
    lab.page.wait_for_function(BOTH_SHOW, arg="cat")
    lab.until_python("list(concepts.added) == ['cat'] and concepts.selected_image == maps.selected_image == 'cat'")
    bring(concepts, "paste", ("cat.png", "image/png", file_of(picture(300, 300, seed=1), "PNG")))
    lab.page.wait_for_function(BOTH_SHOW, arg="cat (2)")
    lab.until_python("list(maps.images)[3:] == list(concepts.added) == ['cat', 'cat (2)']")
    lab.until_python("maps.job.state == 'done'")
    maps.get_by_role("radio", name="cat, ").click()
    lab.page.wait_for_function(BOTH_SHOW, arg="cat")  # a name is the same photo in both
    lab.python("maps.add({'from code': photos['rocket']})")
    lab.page.wait_for_function(BOTH_SHOW, arg="from code")
    maps.screenshot(path=screenshots / "arrived_maps.png")
    concepts.screenshot(path=screenshots / "arrived_concepts.png")

    # Without a kernel nothing can arrive in either, and both say so.
    lab.shut_down()
    for view in (maps, concepts):
        bring(view, "drop", ("dog.png", "image/png", file_of(picture(300, 300, seed=2), "PNG")))
        view.get_by_text("No kernel answers").first.wait_for()
    assert maps.get_by_role("radio", name="dog").count() == concepts.get_by_role("radio", name="dog").count() == 0
