"""An Explorer in a real JupyterLab by keys alone, in two tabs, and through the life and death of its kernel."""

from __future__ import annotations

import pytest
from lab_driver import Lab, write_notebook

pytestmark = pytest.mark.browser

CELL = """
import torch; torch.set_num_threads(1)
import numpy as np, whatwhere as ww
rng = np.random.default_rng(0)
real = [np.asarray(p)[..., :3] if np.ndim(p) == 3 else np.stack([p] * 3, -1) for p in ww.examples.photos().values()]
def part(n):
    photo = real[n % 4]
    top, left = rng.integers(photo.shape[0] - 224), rng.integers(photo.shape[1] - 224)
    return photo[top : top + 224, left : left + 224]
photos = {f"part {n}": part(n) for n in range(12)}
torch.manual_seed(0)
net = torch.nn.Sequential(
    torch.nn.Conv2d(3, 12, 32, stride=32), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
    torch.nn.Linear(12, 5),
).eval()
model = ww.VisionModel(net, device="cpu", input_size=224, mean=(0.0,) * 3, std=(1.0,) * 3, name="small")
explorer = ww.Explorer(
    model, photos, labels={name: n % 3 for n, name in enumerate(photos)}, method=ww.Sobol(grid=4, rows=4),
    concepts=ww.Craft(n_concepts=4, layer="1", fit_on="locations", designs=8),
)
explorer
"""
DONE = "explorer.why.job.state == 'done' and explorer.where.job.state == 'done'"
ROOTS = """(function all(root) {
  return [...root.querySelectorAll("*")].flatMap((e) =>
    e.shadowRoot ? [...[...e.shadowRoot.children].filter((c) => c.matches(".ww")), ...all(e.shadowRoot)] : []);
})(document)"""
PARTS = ["explorer", "where", "what", "why"]
# Where the focus is: the part, the place in the order of first visits, whether its ring is seen, and what it is.
HERE = """() => {
  const path = [document.activeElement];
  while (path.at(-1)?.shadowRoot?.activeElement) path.push(path.at(-1).shadowRoot.activeElement);
  const node = path.at(-1);
  if (!path.some((each) => each.shadowRoot?.querySelector(".ww"))) return null;
  const part = path.map((each) => each.closest(".part")?.classList[1]).filter(Boolean).at(-1) ?? "explorer";
  window.seen = [...new Set([...(window.seen ?? []), node])];
  const style = getComputedStyle(node);
  const ringed = (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1.5) || style.boxShadow !== "none";
  const name = node.getAttribute("aria-label") ?? node.textContent;
  const classes = [node.className, node.parentElement.className].join(" ");
  return { part, place: window.seen.indexOf(node), ringed, name, classes, key: node.dataset.key ?? "" };
}"""
# Everything that can be pressed, in the state that the kernel is in.
OPEN = f"""() => {ROOTS}.flatMap((ww) => [...ww.querySelectorAll("button, input, select")]
  .filter((e) => !e.disabled && e.getAttribute("aria-disabled") !== "true" && e.checkVisibility())
  .map((e) => (e.getAttribute("aria-label") ?? e.labels?.[0]?.textContent ?? e.textContent).trim()))"""


@pytest.fixture
def explorer(lab):
    write_notebook(lab.server.root / "life.ipynb", [CELL])
    lab.open("life.ipynb")
    run(lab)
    return lab


def run(lab):
    """Run the cell, and wait for all that it computes."""
    lab.run_all()
    lab.until_python(f"'explorer' in globals() and {DONE}")
    until(lab.page, "roots.length === 4 && roots.every((ww) => ww.dataset.kernel === '1' && ww.dataset.ready === '1')")


def until(page, expression):
    """Wait until something holds of the roots of the Explorer and its parts."""
    page.wait_for_function(f"() => {{ const roots = {ROOTS}; return {expression}; }}", timeout=60_000, polling=100)


def until_image(page, name):
    until(page, f"roots.filter((ww) => 'image' in ww.dataset).every((ww) => ww.dataset.image === '{name}')")


def tab_to(page, fits, *, most=90):
    """Press Tab until the focus is on something; return what it is."""
    for _ in range(most):
        page.keyboard.press("Tab")
        here = page.evaluate(HERE)
        if here is not None and fits(here):
            return here
    raise AssertionError("Tab does not lead there")


def walk_through(page):
    """Tab goes through all parts in the order in which they are read, to each place once, and out again."""
    visited = [tab_to(page, lambda _: True)]
    while True:
        page.keyboard.press("Tab")
        here = page.evaluate(HERE)
        if here is None:
            break
        visited.append(here)
        assert len(visited) < 120, "Tab does not leave the view"
    assert [each["place"] for each in visited] == list(range(len(visited)))
    order = [PARTS.index(each["part"]) for each in visited]
    assert order == sorted(order)
    assert set(order) == {0, 1, 2, 3}
    assert [each["name"] for each in visited if not each["ringed"]] == []
    page.keyboard.press("Shift+Tab")
    assert page.evaluate(HERE)["place"] == len(visited) - 1


def save(lab):
    lab.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")


def test_by_keys_alone_in_two_tabs_and_after_a_reload(explorer):
    lab, page = explorer, explorer.page
    page.locator(".jp-Cell").first.click()
    page.keyboard.press("Escape")

    walk_through(page)

    # a photo, a concept and a point, by keys
    page.locator(".jp-Cell").first.click()
    page.keyboard.press("Escape")
    tab_to(page, lambda here: here["part"] == "where" and "strip" in here["classes"])
    page.keyboard.press("ArrowRight")
    until_image(page, "part 1")
    lab.until_python("explorer.selected_image == explorer.what.selected_image == 'part 1'")
    before = lab.python("print(explorer.what.selected_concepts)")
    tab_to(page, lambda here: here["part"] == "what" and "face" in here["classes"])
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    lab.until_python(f"explorer.what.selected_concepts == explorer.why.selected_concepts != {before}")
    tab_to(page, lambda here: here["part"] == "why" and "cloud" in here["classes"])
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    lab.until_python("explorer.selected_image not in ('part 0', 'part 1')")
    chosen = lab.python("print(explorer.selected_image)")
    until_image(page, chosen)

    # the same notebook in another tab: both follow
    save(lab)
    other = Lab(page.context.new_page(), lab.server)
    other.open("life.ipynb")
    until_image(other.page, chosen)
    until(other.page, "roots.length === 4 && roots.every((ww) => ww.dataset.kernel === '1')")
    other.page.locator(".part.where .strip button").nth(4).click()
    until_image(page, "part 4")
    page.locator(".part.where .strip button").nth(2).click()
    until_image(other.page, "part 2")
    other.page.close()
    assert other.errors == []

    # loaded again while the kernel lives: what was chosen is shown, and answers
    lab.reload()
    until_image(page, "part 2")
    until(page, "roots.length === 4 && roots.every((ww) => ww.dataset.kernel === '1')")
    page.locator(".part.where .strip button").nth(3).click()
    lab.until_python("explorer.selected_image == 'part 3'")


def test_a_lost_kernel_is_said_and_a_new_one_is_taken(explorer, screenshots):
    lab, page = explorer, explorer.page
    alive = page.evaluate(OPEN)
    page.mouse.move(5, 5)
    page.evaluate("() => { window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart(); }")
    until(page, "roots.every((ww) => ww.dataset.kernel === '0')")  # nobody came near
    chips = page.locator(".chip:visible")
    assert chips.count() == 4
    assert all("No kernel" in chip.get_attribute("title") for chip in chips.all())
    page.screenshot(path=screenshots / "explorer-no-kernel.png")
    shut = sorted(set(alive) - set(page.evaluate(OPEN)))
    assert {"Concepts of", "Grow prototypes", "Add a photo", "Split into parts"} <= {*shut}

    # what lives without it
    page.locator(".part.where .strip button").nth(5).click()
    until_image(page, "part 5")
    page.locator(".part.what .face").nth(1).click()
    ids = page.evaluate(f"() => {ROOTS}.map((ww) => ww.dataset.selected).filter((id) => id !== undefined)")
    assert len(set(ids)) == 1
    toggle = page.locator(".part.where").get_by_role("button", name="Map", exact=True)
    toggle.click()
    assert toggle.get_attribute("aria-pressed") == "false"
    cloud = page.locator(".part.why .cloud")
    cloud.focus()
    page.keyboard.press("ArrowRight")
    page.locator(".part.why .card").wait_for()

    # the cell is run again: the old view goes, the new one works
    page.wait_for_function(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"
    )
    run(lab)
    page.locator(".part.where .strip button").nth(2).click()
    lab.until_python("explorer.selected_image == 'part 2'")

    # saved with its state, shut down and loaded again: what was saved is shown
    page.evaluate("() => window.jupyterapp.commands.execute('@jupyter-widgets/jupyterlab-manager:saveWidgetState')")
    save(lab)
    lab.errors.clear()  # JupyterLab reports the futures that its restart cancelled
    lab.shut_down()
    lab.reload()
    until_image(page, "part 2")
    until(page, "roots.length === 4 && roots.every((ww) => ww.dataset.kernel === '0')")
    page.locator(".part.where .strip button").nth(0).click()
    until_image(page, "part 0")
    page.screenshot(path=screenshots / "explorer-saved.png")
