"""Strips of 300 photos in a real JupyterLab: the first are saved with the notebook, the others come from the kernel."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pytest
from lab_driver import write_notebook
from PIL import Image

pytestmark = pytest.mark.browser

COUNT = 300
PHOTOS = """
import torch; torch.set_num_threads(1)
import numpy as np, whatwhere as ww
rng = np.random.default_rng(0)
real = [np.asarray(p)[..., :3] if np.ndim(p) == 3 else np.stack([p] * 3, -1) for p in ww.examples.photos().values()]
def part(n):
    photo = real[n % len(real)]
    top, left = rng.integers(photo.shape[0] - 224), rng.integers(photo.shape[1] - 224)
    return photo[top : top + 224, left : left + 224]
photos = {f"part {n}": part(n) for n in range(300)}
"""
WHERE = (
    PHOTOS
    + """
model = ww.load_model("efficientnet_lite0", device="cpu")
view = ww.AttributionView(model, photos, method=ww.Sobol(grid=3, rows=2))
view
"""
)
WHAT = (
    PHOTOS
    + """
net = torch.nn.Sequential(
    torch.nn.Conv2d(3, 12, 16, stride=16), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
    torch.nn.Linear(12, 5),
).eval()
model = ww.VisionModel(net, device="cpu", input_size=224, mean=(0.0,) * 3, std=(1.0,) * 3, name="small")
bank = ww.Craft(n_concepts=3, layer="1", fit_on="locations").run(model, photos, progress=False)
view = ww.ConceptExplorer(bank, model)
view
"""
)
# Thumbnails that are in sight, and of these the ones with something painted on them.
PAINTED = """ww => {
  const strip = ww.querySelector(".strip"), box = strip.getBoundingClientRect();
  const seen = [...strip.querySelectorAll("button")].filter((b) => {
    const mine = b.getBoundingClientRect();
    return mine.top >= box.top - 1 && mine.bottom <= box.bottom + 1;
  });
  const painted = seen.filter((b) => {
    const canvas = b.firstElementChild;
    if (!canvas.width) return false;
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return data.some((v, i) => i % 4 < 3 && v > 0);
  });
  const all = [...strip.querySelectorAll("canvas")].filter((c) => c.width && c.width !== 300);
  return [seen.length, painted.length, all.length];
}"""
ALL_PAINTED = f"(() => {{ const [seen, painted] = ({PAINTED})(ww); return seen > 0 && seen === painted; }})()"


@pytest.mark.parametrize(("name", "cell"), [("where", WHERE), ("what", WHAT)])
def test_three_hundred_photos(lab, screenshots, name, cell):
    path = lab.server.root / f"many-{name}.ipynb"
    write_notebook(path, [cell])
    lab.open(path.name)
    lab.run_all()
    lab.view(ready=1, state="done")
    view = lab.view()
    lab.until(f"ww.querySelectorAll('.strip button').length === {COUNT}")
    lab.until(ALL_PAINTED)
    held = int(lab.python("print(sum(map(bool, view._photos)))"))
    assert held < COUNT
    view.scroll_into_view_if_needed()
    view.screenshot(path=screenshots / f"many-{name}.png")

    # Scrolled to the end: these come too, and those that were left give their memory back.
    view.evaluate("ww => { const s = ww.querySelector('.strip'); s.scrollTop = s.scrollHeight; }")
    lab.until(ALL_PAINTED)
    assert view.evaluate(PAINTED)[2] < 120
    view.screenshot(path=screenshots / f"many-{name}-end.png")
    before = json.loads(lab.python("import json; print(json.dumps([sum(map(bool, view._photos)), view._seq]))"))
    assert before[0] == held

    # By keys: to the last photo, and a line back.
    view.locator(".strip [tabindex='0']").focus()
    lab.page.keyboard.press("End")
    last = view.locator(".strip button").last
    lab.until_python(f"view.selected_image == {last.get_attribute('title').split(',')[0]!r}")
    lab.until(f"ww.dataset.image === {last.get_attribute('title').split(',')[0]!r}")
    lab.page.keyboard.press("ArrowLeft")
    before_last = view.locator(".strip button").nth(COUNT - 2).get_attribute("title").split(",")[0]
    lab.view(image=before_last)
    lab.until(ALL_PAINTED)
    view.screenshot(path=screenshots / f"many-{name}-chosen.png")

    # Without the kernel: what is saved is there, and the rest is counted.
    lab.python(f"page = view.to_html('many-{name}.html')")
    page = lab.page.context.new_page()
    page.goto((lab.server.root / f"many-{name}.html").as_uri())
    page.locator(".ww[data-ready='1']").wait_for()
    saved = page.locator(".strip button").count()
    if name == "what":
        assert saved < COUNT
        page.get_by_text(re.compile(rf"{COUNT - saved} more photos need the kernel")).wait_for()
    page.screenshot(path=screenshots / f"many-{name}-page.png")
    page.close()


@pytest.mark.parametrize(("name", "cell"), [("where", WHERE), ("what", WHAT)])
def test_one_more_is_shown_and_there_after_a_reload(lab, screenshots, name, cell):
    path = lab.server.root / f"more-{name}.ipynb"
    write_notebook(path, [cell.replace("range(300)", "range(40)")])
    lab.open(path.name)
    lab.run_all()
    lab.view(ready=1, state="done")
    view = lab.view()
    lab.until("ww.querySelectorAll('.strip button').length === 40")
    lab.until(ALL_PAINTED)
    blocks = np.random.default_rng(5).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(blocks).resize((640, 480), Image.Resampling.BICUBIC).save(file, "PNG")
    more = {"name": "one more.png", "mimeType": "image/png", "buffer": file.getvalue()}
    view.locator("input[type=file]").set_input_files([more])
    view.get_by_text("Added one more.").wait_for()
    lab.view(ready=1, state="done", image="one more")
    chosen = ".strip button:last-child[aria-checked=true]"
    lab.until(f"ww.querySelectorAll('.strip button').length === 41 && ww.querySelector('{chosen}')")
    lab.until(ALL_PAINTED)
    assert lab.python("print(list(view._large), view._strip['total'])") == "['one more'] 41"
    view.scroll_into_view_if_needed()
    view.screenshot(path=screenshots / f"more-{name}.png")

    # It goes out of sight and comes back; then the page is loaded anew.
    view.locator(".strip button").first.click()
    lab.until("ww.dataset.image !== 'one more'")
    view.locator(".strip button").last.click()
    lab.view(ready=1, state="done", image="one more")
    lab.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    lab.reload()
    view = lab.view(ready=1, image="one more", kernel=1)
    lab.until(f"ww.querySelectorAll('.strip button').length === 41 && ww.querySelector('{chosen}')")
    lab.until(ALL_PAINTED)
    view.screenshot(path=screenshots / f"more-{name}-reloaded.png")
