"""StrategyView in a real JupyterLab, linked with a ConceptExplorer, and its exported pages."""

from __future__ import annotations

import re

import numpy as np
import pytest
from lab_driver import write_notebook
from reach import tab_stops, violations

import whatwhere as ww

pytestmark = pytest.mark.browser

WIDTHS = (1132, 640, 400)
LINKED = """
import torch; torch.set_num_threads(1)
import whatwhere as ww
model = ww.load_model("efficientnet_lite0", device="cpu")
photos = ww.examples.photos()
photos |= {f"{name} half": photo[: len(photo) // 2] for name, photo in list(photos.items())}
bank = ww.Craft(n_concepts=4, fit_on="locations").run(model, photos, progress=False)
labels = {name: "tench" if name == "chelsea" else "espresso" for name in photos}
selection = ww.Selection()
explorer = ww.ConceptExplorer(bank, model, photos, selection=selection)
job = ww.Strategies().submit(model, bank, photos, labels=labels)
view = ww.StrategyView(job, model, photos, bank=bank, selection=selection)
display(explorer, view)
"""
# Opaque pixels of the drawing over the photos, and a print of the photos as they are drawn.
LOOK = """(ww) => {
  const [base, over] = ww.querySelectorAll(".cloud > canvas");
  const read = (drawn) => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [drawn.width, drawn.height];
    const brush = canvas.getContext("2d", { willReadFrequently: true });
    brush.drawImage(drawn, 0, 0);
    return brush.getImageData(0, 0, canvas.width, canvas.height).data;
  };
  const [under, above] = [read(base), read(over)];
  let [print, ink] = [0, 0];
  for (let i = 0; i < under.length; i += 4) print = (print * 31 + under[i] + 7 * under[i + 1]) % 1000003;
  for (let i = 3; i < above.length; i += 4) ink += above[i] > 0;
  return [print, ink];
}"""
# How many colours a canvas has.
COLOURS = """(canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return new Set(new Uint32Array(data.buffer)).size;
}"""
ROOTS = """[...document.querySelectorAll("*")].map((e) => e.shadowRoot?.querySelector(".ww")).filter(Boolean)"""


def spots(graph, box):
    """Where photos are drawn in a frame, as the view shows all of them."""
    low, high = graph.positions.min(axis=0), graph.positions.max(axis=0)
    room = np.array([box["width"] - 48, box["height"] - 48])
    scale = np.min(room / np.where(high > low, high - low, 1e-9))
    middle = np.array([box["width"], box["height"]]) / 2
    return middle + (graph.positions - (low + high) / 2) * scale * [1, -1]


def until_drawn(page, before):
    """Wait until the photos are drawn in another way."""
    page.wait_for_function(
        f"""([look, before]) => {{
          const ww = {ROOTS}.find((each) => each.querySelector(".cloud"));
          return new Function(`return ${{look}}`)()(ww)[0] !== before;
        }}""",
        arg=[LOOK, before],
        polling=100,
    )


def test_photos_and_concepts_select_one_another(lab, screenshots):
    write_notebook(lab.server.root / "strategies.ipynb", [LINKED])
    lab.open("strategies.ipynb")
    lab.run_all()
    lab.view(state="done", photos=8, ready=1)
    lab.until_python("view.job.state == 'done' and explorer.job.state == 'done'")
    explorer, view = lab.page.locator(".ww").nth(0), lab.page.locator(".ww").nth(1)
    ids = [int(k) for k in lab.python("print(*bank.ids)").split()]

    # from the explorer to the photos
    explorer.locator(".face").nth(2).click()
    lab.until(f"ww.dataset.photos === '8' && ww.dataset.selected === '{ids[2]}'")
    lab.until_python(f"view.selected_concepts == [{ids[2]}] and selection.by == 'user'")
    lit = int(lab.python(f"print(view.graph.by('presence').prevalence[view.graph.ids.index({ids[2]})].count)"))
    assert view.get_attribute("data-lit") == str(lit)

    # and back: a disc, and a photo
    view.scroll_into_view_if_needed()
    view.locator(f".disc[data-key='{ids[1]}']").click()
    lab.until(f"ww.dataset.opened === '{ids[1]}'")
    lab.until_python(f"explorer.selected_concepts == [{ids[1]}]")
    rows = lab.python("print(*view.graph.images, sep='|')").split("|")
    places = lab.python("print(*view.graph.positions.ravel().tolist())").split()
    positions = np.array(places, dtype=float).reshape(-1, 2)
    frame = view.locator(".cloud")
    box = frame.bounding_box()
    at = spots(type("Graph", (), {"positions": positions}), box)
    apart = [np.sort(np.hypot(*(at - each).T))[1] for each in at]
    looked_at = rows.index(lab.python("print(view.selected_images[0])"))
    target = max((n for n in range(len(rows)) if n != looked_at), key=lambda n: apart[n])
    assert apart[target] > 2  # pixels: a click on it is not one on another
    frame.click(position={"x": float(at[target, 0]), "y": float(at[target, 1])})
    lab.until(f"ww.dataset.photos === '8' && ww.dataset.here === '{target}'")
    lab.until_python(f"explorer.selected_image == view.selected_images[0] == {rows[target]!r}")
    view.locator(".look canvas").wait_for()
    lab.until_python(f"view._look.get('image') == {rows[target]!r} and len(view._look['maps']) > 0")

    look_round(lab, view, at[target], rows[target])
    lab.python(f"selection.images = [{rows[0]!r}]")
    lab.until("ww.dataset.photos === '8' && ww.dataset.chosen === '1'")
    for theme in ("Light", "Dark"):
        lab.theme(f"JupyterLab {theme}")
        view.screenshot(path=screenshots / f"strategies-lab-{theme.lower()}.png")
    lab.theme("JupyterLab Light")

    # the notebook's own keys do nothing inside, and what was chosen is there after the page is loaded again
    cells = lab.page.locator(".jp-Cell").count()
    frame.focus()
    lab.page.keyboard.press("x")
    assert lab.page.locator(".jp-Cell").count() == cells
    lab.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    lab.reload()
    lab.until(f"ww.dataset.photos === '8' && ww.dataset.here === '0' && ww.dataset.selected === '{ids[1]}'")


def look_round(lab, view, spot, name):
    """Hover over a photo, and choose all by a lasso."""
    view.locator(".cloud").scroll_into_view_if_needed()
    box = view.locator(".cloud").bounding_box()

    # the card comes with the pointer, its photo from the kernel, and goes with it
    lab.page.mouse.move(box["x"] + spot[0], box["y"] + spot[1])
    view.locator(".card").wait_for()
    assert name in view.locator(".card").inner_text()
    lab.until(f"ww.querySelector('.card canvas') !== null && ({COLOURS})(ww.querySelector('.card canvas')) > 20")
    lab.page.mouse.move(box["x"] + spot[0], box["y"] - 30)
    view.locator(".card").wait_for(state="hidden")

    # a lasso round all of them: by Shift and a drag, and by its tool
    lab.page.keyboard.down("Shift")
    drag_round(lab.page, box)
    lab.page.keyboard.up("Shift")
    lab.until_python("sorted(view.selected_images) == sorted(view.graph.images)")
    lab.until_python("selection.images == view.selected_images")
    view.get_by_role("button", name="Choose none").click()
    lab.until_python("selection.images == []")
    view.get_by_role("button", name="Lasso", exact=True).click()
    view.locator(".cloud").scroll_into_view_if_needed()
    box = view.locator(".cloud").bounding_box()
    drag_round(lab.page, box)
    lab.until_python("len(view.selected_images) == 8 and explorer.selected_image == view.selected_images[0]")


def drag_round(page, box):
    left, top = box["x"] + 3, box["y"] + 3
    right, bottom = box["x"] + box["width"] - 3, box["y"] + box["height"] - 3
    page.mouse.move(left, top)
    page.mouse.down()
    for x, y in ((right, top), (right, bottom), (left, bottom), (left, top + 8)):
        page.mouse.move(x, y, steps=4)
    page.mouse.up()


@pytest.fixture(scope="module")
def exported(model, shared_photos, tmp_path_factory):
    """A page of a strategy view and an explorer that share a selection, of photos of many classes."""
    files = {path.stem: path for path in shared_photos[:48]}
    labels = {name: int(name[:3]) for name in files}
    bank = ww.Craft(n_concepts=8, fit_on="locations", designs=8).run(model, files, progress=False)
    graph = ww.StrategyGraph.of(model, bank, labels=labels, progress=False)
    view = ww.StrategyView(graph, model, files, bank=bank)
    folder = tmp_path_factory.mktemp("page")
    alone = view.to_html(folder / "strategies.html")
    explorer = ww.ConceptExplorer(bank, model, selection=view.selection)  # selects its first concept
    both = ww.to_html([view, explorer], folder / "linked.html")
    yield alone, both, graph
    view.close()
    explorer.close()


@pytest.fixture
def page(browser, exported, request):
    options = dict(getattr(request, "param", {}))
    path = exported[1] if options.pop("linked", False) else exported[0]
    context = browser.new_context(viewport={"width": 1132, "height": 900}, **options)
    context.set_offline(True)
    opened = context.new_page()
    opened.set_default_timeout(30_000)
    noted = []
    opened.on("console", lambda m: noted.append(m.text) if m.type in {"error", "warning"} else None)
    opened.on("pageerror", lambda e: noted.append(str(e)))
    opened.on("request", lambda r: noted.append(r.url) if not r.url.startswith(("file:", "blob:", "data:")) else None)
    opened.goto(path.as_uri())
    opened.locator(".ww[data-ready='1']").first.wait_for()
    yield opened
    context.close()
    assert noted == []


def test_the_page_is_alive_without_kernel_or_network(page, exported, tmp_path):
    graph, view = exported[2], page.locator(".ww")
    assert "Saved page" in view.inner_text()
    frame = view.locator(".cloud")
    whole = view.evaluate(LOOK)[0]

    # the wheel scrolls the page until the photos have the focus
    frame.hover()
    page.mouse.wheel(0, -10)
    assert view.evaluate(LOOK)[0] == whole
    frame.focus()
    page.mouse.wheel(0, -400)
    until_drawn(page, whole)
    page.keyboard.press("0")
    page.wait_for_function(
        f"([look, whole]) => new Function(`return ${{look}}`)()({ROOTS}[0])[0] === whole", arg=[LOOK, whole]
    )

    # the concepts that part the classes: on the photo, and their crops
    shots = view.locator(".partings li").first
    page.wait_for_function(f"() => {ROOTS}[0].querySelector('.here')?.getAttribute('aria-label')")
    for canvas in (shots.locator(".here"), shots.locator("canvas").last):
        assert canvas.evaluate(COLOURS) > 20
    assert page.locator(".partings li").count() <= 3

    # keys walk; Enter chooses; the sums are those of the graph
    here = int(view.get_attribute("data-here"))
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    view.locator(".said").wait_for()
    now = int(view.get_attribute("data-here"))
    told = graph.compare(now)
    total = [cell.inner_text().replace("\u2212", "-") for cell in view.locator("tfoot td").all()]
    assert [float(each) for each in total[:2]] == pytest.approx(told.logits, abs=0.051)
    assert here in range(len(graph))

    # only the misread; a concept dims the others
    wrong = int((~graph.right & graph.known).sum())
    view.get_by_role("button", name=re.compile("Only misread")).click()
    page.locator(f".ww[data-lit='{wrong}']").wait_for()
    view.get_by_role("button", name=re.compile("Only misread")).click()
    other = view.locator(".key[aria-pressed=false]").first
    letter = other.locator(".dot").inner_text()
    other.click()
    count = graph.by("presence").prevalence[graph.concept_of(letter)].count
    page.locator(f".ww[data-lit='{count}']").wait_for()

    view.get_by_role("button", name="How this was made").click()
    assert "ww.StrategyView(graph, model, photos, bank=bank)" in view.locator(".pop code").inner_text()
    page.keyboard.press("Escape")
    with page.expect_download() as saving:
        view.get_by_role("button", name="Save picture").click()
    saving.value.save_as(tmp_path / "saved.png")
    assert (tmp_path / "saved.png").stat().st_size > 20_000
    assert saving.value.suggested_filename.startswith("EfficientNet-Lite0_strategies")


@pytest.mark.parametrize("page", [{"linked": True}], indirect=True)
def test_views_of_a_page_follow_each_other(page, exported):
    graph = exported[2]
    view, explorer = page.locator(".ww").nth(0), page.locator(".ww").nth(1)
    view.locator(".key").nth(1).click()
    wanted = view.get_attribute("data-selected")
    assert int(wanted) in graph.ids
    page.wait_for_function(f"() => {ROOTS}[1].dataset.selected === '{wanted}'")
    explorer.locator(".face").nth(3).click()
    page.wait_for_function(f"() => {ROOTS}[0].dataset.selected === {ROOTS}[1].dataset.opened")
    radios = explorer.get_by_role("radiogroup", name="Photos").get_by_role("radio")
    radios.nth(2).click()
    page.wait_for_function(
        f"() => {{ const [a, b] = {ROOTS}.map((ww) => ww.dataset); return Number(a.here) >= 0 && a.chosen === '1'; }}"
    )


@pytest.mark.parametrize(
    "page", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True, ids=["light", "dark"]
)
def test_widths_and_accessibility(page, screenshots, request):
    theme = request.node.callspec.id
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function("() => document.documentElement.scrollWidth <= window.innerWidth")
        page.screenshot(path=screenshots / f"strategies-{theme}-{width}.png", full_page=True)
    assert violations(page) == []


def test_tab_reaches_each_control_once(page):
    seen = tab_stops(page)
    assert seen == list(range(len(seen)))
    assert 12 <= len(seen) < 36
