"""Views whose connection is lost, whose kernel is busy, and whose kernel hangs, in a real JupyterLab."""

from __future__ import annotations

import base64
import io
import os
import signal

import numpy as np
import pytest
from lab_driver import write_notebook
from PIL import Image
from playwright.sync_api import TimeoutError as PlaywrightTimeout

pytestmark = pytest.mark.browser

CELLS = [
    """
import os, time, torch; torch.set_num_threads(1)
import numpy as np, whatwhere as ww
torch.manual_seed(0)
net = torch.nn.Sequential(
    torch.nn.Conv2d(3, 12, 32, stride=32), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
    torch.nn.Linear(12, 20),
).eval()
class Slow(torch.nn.Module):
    pause = 0.0
    def forward(self, x):
        time.sleep(self.pause)
        return net(x)
slow = Slow()
model = ww.VisionModel(slow, device="cpu", input_size=224, mean=(0.0,) * 3, std=(1.0,) * 3, name="small")
photos = {name: ww.examples.photos()[name] for name in ("coffee", "rocket")}
selection = ww.Selection()
first = ww.AttributionView(model, photos, method=ww.Sobol(grid=4, rows=4), selection=selection)
first
""",
    """
second = ww.AttributionView(model, photos, method=ww.Sobol(grid=4, rows=4, seed=1), selection=selection)
second
""",
]
LOG = """
heard = []
selection.observe(lambda c: heard.append((c.name, c.new, selection.by)), ["class_id", "images", "layers"])
first.observe(lambda c: heard.append((c.name, c.new)), ["scale", "colormap"])
"""
# A line that can be cut (down), or that swallows what is sent (mute) or received (deaf), as a laptop's that slept.
LINE = """
const Real = window.WebSocket;
window.line = { open: new Set(), down: false, mute: false, deaf: false };
window.line.drop = () => { for (const each of window.line.open) each.close(); };
window.WebSocket = class extends Real {
  constructor(address, ...more) {
    const kernel = /\\/api\\/kernels\\//.test(address);
    super(kernel && window.line.down ? address.replace("/api/kernels/", "/api/nothing/") : address, ...more);
    if (!kernel) return;
    window.line.open.add(this);
    this.addEventListener("close", () => window.line.open.delete(this));
    this.addEventListener("message", (event) => {
      if (window.line.deaf) event.stopImmediatePropagation();
    });
    this.isKernel = true;
  }
  send(data) {
    if (!this.isKernel || !window.line.mute) super.send(data);
  }
};
"""
ROOTS = """[...document.querySelectorAll("*")].map((e) => e.shadowRoot?.querySelector(".ww")).filter(Boolean)"""
KERNEL = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"


@pytest.fixture
def pair(lab):
    """Two linked views, both computed, on a line that can be cut."""
    return show_pair(lab)


def show_pair(lab, *, subshells=True):
    lab.page.add_init_script(LINE)
    write_notebook(lab.server.root / "listening.ipynb", CELLS)
    lab.open("listening.ipynb")
    if not subshells:  # as kernels were before ipykernel 7
        lab.page.evaluate("() => { window.jupyterapp.serviceManager.kernels.commsOverSubshells = 'disabled'; }")
    lab.run_all()
    lab.until_python("'second' in globals() and first.job.state == second.job.state == 'done'")
    until_all(lab, "ww.dataset.kernel === '1' && ww.dataset.state === 'done' && ww.dataset.ready === '1'")
    lab.python(LOG)
    return lab


def until_all(lab, expression):
    """Wait until something holds of the roots of both views."""
    try:
        lab.page.wait_for_function(
            f"() => {{ const roots = {ROOTS}; return roots.length === 2 && roots.every((ww) => {expression}); }}"
        )
    except PlaywrightTimeout as error:
        found = lab.page.evaluate(f"() => {ROOTS}.map((ww) => ({{ ...ww.dataset }}))")
        raise AssertionError(f"waited in vain for {expression}; the views have {found}") from error


def until_said(lab, words, *, views=(0, 1)):
    """Wait until the chips of some views say something; nothing, if there are no words."""
    chips = f"{ROOTS}.map((ww) => ww.querySelector('.chip:not([hidden])')?.textContent ?? '')"
    lab.page.wait_for_function(
        f"([words, views]) => {{ const chips = {chips};"
        " return views.every((view) => (words ? chips[view].startsWith(words) : chips[view] === '')); }",
        arg=[words, list(views)],
    )


def choose_class(lab, view, place):
    lab.page.locator(".ww").nth(view).locator(".pred button").nth(place).click()


def classes(lab):
    """Ids of the classes in the list, by place."""
    return (
        lab.page.locator(".ww")
        .first.locator(".pred button")
        .evaluate_all("(all) => all.map((e) => Number(e.dataset.key))")
    )


def line(lab, **state):
    lab.page.evaluate("(state) => Object.assign(window.line, state)", state)


def drop(lab):
    lab.page.evaluate("() => window.line.drop()")


def photo(seed):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (64, 80, 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def add_photo(lab, view, name, seed):
    """Drop a photo on a view."""
    lab.page.locator(".ww").nth(view).evaluate(
        """(root, [name, base64]) => {
          const data = new DataTransfer();
          const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
          data.items.add(new File([bytes], name, { type: "image/png" }));
          const how = { bubbles: true, composed: true, cancelable: true, dataTransfer: data };
          root.querySelector(".pic").dispatchEvent(new DragEvent("drop", how));
        }""",
        [name, base64.b64encode(photo(seed)).decode()],
    )


def test_a_lost_connection_is_said_and_what_was_chosen_meanwhile_is_heard_once(pair, screenshots):
    lab = pair
    ids = classes(lab)
    lab.page.mouse.move(5, 5)
    line(lab, down=True)
    drop(lab)
    until_said(lab, "No connection to the kernel")  # nobody came near
    until_all(lab, "ww.dataset.kernel === '0'")
    view = lab.page.locator(".ww").first
    assert view.locator(".other").is_disabled()
    lab.page.screenshot(path=screenshots / "no-connection.png")

    # what needs no kernel goes on
    for place in (1, 2, 3):
        choose_class(lab, place % 2, place)
        until_all(lab, f"ww.dataset.class === '{ids[place]}'")
    view.get_by_label("Colour map").select_option("viridis")
    view.get_by_label("Colour map").select_option("cividis")

    # it comes back: the latest of each is heard, once, and a click works
    lab.errors.clear()  # the browser's own, of connections that were refused
    line(lab, down=False)
    until_said(lab, "")
    until_all(lab, "ww.dataset.kernel === '1'")
    lab.until_python("len(heard) >= 2")
    lab.until_python(f"selection.class_id == first.selected_class == {ids[3]} and first.colormap == 'cividis'")
    until_all(lab, f"ww.dataset.class === '{ids[3]}'")
    choose_class(lab, 1, 4)
    lab.until_python(f"selection.class_id == {ids[4]}")
    wanted = sorted([("class_id", ids[3], "user"), ("colormap", "cividis")], key=str)
    assert lab.python("print(sorted(heard[:2], key=str), heard[2:])") == f"{wanted} [('class_id', {ids[4]}, 'user')]"
    until_all(lab, f"ww.dataset.class === '{ids[4]}'")
    lab.errors[:] = [each for each in lab.errors if "/api/nothing/" not in each]


def test_what_a_dead_line_swallowed_is_sent_again(pair):
    lab = pair
    ids = classes(lab)
    line(lab, mute=True, deaf=True)  # nobody knows yet
    choose_class(lab, 0, 1)
    choose_class(lab, 0, 2)
    lab.page.locator(".ww").nth(1).get_by_label("Scale").select_option("shared")
    add_photo(lab, 1, "late.png", 1)
    until_said(lab, "No answer from the kernel")
    line(lab, mute=False, deaf=False)
    drop(lab)
    until_said(lab, "")
    lab.until_python("'late' in first.images and 'late' in second.images and second.scale == 'shared'")
    lab.until_python("selection.images == ['late']")
    told = "[('class_id', {}, 'user'), ('class_id', {}, 'user'), ('images', ['late'], 'user')]".format(*ids[1:3])
    assert lab.python("print(heard)") == told
    until_all(lab, f"ww.dataset.image === 'late' && ww.dataset.class === '{ids[2]}'")
    lab.page.get_by_text("Added late.").wait_for()


def test_what_was_heard_but_not_answered_is_done_once(pair):
    lab = pair
    ids = classes(lab)
    line(lab, deaf=True)  # Python hears, its answers are lost
    choose_class(lab, 0, 1)
    lab.page.locator(".ww").first.get_by_label("Scale").select_option("shared")
    add_photo(lab, 0, "once.png", 2)
    until_said(lab, "No answer from the kernel")
    line(lab, deaf=False)
    drop(lab)
    until_said(lab, "")
    lab.page.get_by_text("Added once.").wait_for()
    lab.until_python("selection.images == ['once']")
    assert lab.python("print(list(first.images))") == "['coffee', 'rocket', 'once']"
    told = f"[('class_id', {ids[1]}, 'user'), ('scale', 'shared'), ('images', ['once'], 'user')]"
    assert lab.python("print(heard)") == told
    choose_class(lab, 1, 2)
    lab.until_python("selection.class_id == first.selected_class")
    lab.until_python("len(heard) == 4 and heard[-1][2] == 'user'")


def test_a_kernel_that_hangs_is_said_and_answers_when_it_goes_on(pair, screenshots):
    lab = pair
    process = int(lab.python("print(os.getpid())"))
    view = lab.page.locator(".ww").first
    os.kill(process, signal.SIGSTOP)
    try:
        view.get_by_label("Score").select_option("softmax")
        began = lab.page.evaluate("() => performance.now()")
        until_said(lab, "No answer from the kernel", views=[0])
        print(f"said after {lab.page.evaluate('() => performance.now()') - began:.0f} ms")
        until_said(lab, "No answer from the kernel")  # the other one has asked as well
        lab.page.screenshot(path=screenshots / "no-answer.png")
        ids = classes(lab)
        choose_class(lab, 1, 1)
        until_all(lab, f"ww.dataset.class === '{ids[1]}'")
    finally:
        os.kill(process, signal.SIGCONT)
    until_said(lab, "")
    until_all(lab, "ww.dataset.kernel === '1' && ww.dataset.ready === '1'")
    lab.until_python(f"first.score == 'softmax' and selection.class_id == {ids[1]}")
    lab.until("ww.dataset.score === 'softmax'")
    assert lab.python("print(heard)") == f"[('class_id', {ids[1]}, 'user')]"


def test_progress_that_stops_is_not_told_as_if_it_went_on(pair):
    lab = pair
    lab.python("slow.pause = 0.2; first.add({'new': photos['coffee'][:200, :200]})")
    lab.until("ww.dataset.state === 'computing'")
    process = int(lab.python("print(os.getpid())"))
    lab.page.mouse.move(5, 5)
    os.kill(process, signal.SIGSTOP)
    try:
        lab.until("/not known/.test(ww.querySelector('.head .ctl').textContent)")  # nobody came near
        until_all(lab, "ww.querySelector('.prog').dataset.on === '0'")  # the other one looks into it as well
    finally:
        os.kill(process, signal.SIGCONT)
    lab.python("slow.pause = 0")
    until_said(lab, "")
    until_all(lab, "ww.dataset.state === 'done'")


def test_a_busy_kernel_is_said_to_be_busy_and_answers_when_its_cell_ends(lab, screenshots):
    show_pair(lab, subshells=False)
    ids = classes(lab)
    lab.page.evaluate(f"() => {{ {KERNEL}.requestExecute({{ code: 'time.sleep(9)', store_history: false }}); }}")
    lab.page.wait_for_function(f"() => {KERNEL}.status === 'busy'")
    view = lab.page.locator(".ww").first
    view.locator(".other").fill("class 7")
    view.locator(".other").press("Enter")
    until_said(lab, "The kernel is busy", views=[0])
    lab.page.screenshot(path=screenshots / "busy.png")
    assert not view.locator(".other").is_disabled()
    choose_class(lab, 1, 1)
    until_all(lab, f"ww.dataset.class === '{ids[1]}'")
    view.get_by_role("button", name="Map", exact=True).click()
    assert lab.page.evaluate(f"() => {KERNEL}.status") == "busy", "the cell was to run all the while"
    until_said(lab, "")
    lab.until_python(f"('class_id', {ids[1]}, 'user') in heard and ('class_id', 7, 'user') in heard")
    agreed = lab.python("print(selection.class_id)")
    until_all(lab, f"ww.dataset.class === '{agreed}'")
