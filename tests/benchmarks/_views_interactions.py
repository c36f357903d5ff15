"""What an interaction with a view takes: on the page, and on the wire."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from lab_driver import Lab

_QUIET = 700  # ms without an interaction: by then what it sent is answered
_WIRE_COUNT = 10  # interactions whose messages are counted

_HOVER = """(ww, i) => {
  const frame = ww.querySelector(".pic"), box = frame.getBoundingClientRect();
  const x = box.left + box.width * (0.3 + 0.4 * ((i * 7) % 10) / 10);
  const y = box.top + box.height * (0.3 + 0.4 * ((i * 3) % 10) / 10);
  frame.dispatchEvent(new PointerEvent("pointermove", { clientX: x, clientY: y, bubbles: true, composed: true }));
}"""
_OPACITY = """(ww, i) => {
  const slider = ww.querySelector(".sl input");
  slider.value = String(20 + ((i * 7) % 60));
  slider.dispatchEvent(new Event("input", { bubbles: true }));
}"""
_LAYER = """(ww) => ww.querySelector(".tog").click()"""
_PHOTO = """(ww, i) => {
  const photos = [...ww.querySelectorAll(".strip button:not([aria-disabled=true])")].slice(0, 6);
  photos[(i + 1) % photos.length].click();
}"""

#: Name: what is done (of the view's root and the number of the interaction), and what is done first, once.
INTERACTIONS: Final[dict[str, dict[str, tuple[str, str]]]] = {
    "attribution": {
        "class switch": (
            """(ww, i) => ww.querySelectorAll(".pred [role=radio]")[(i + 1) % 10].click()""",
            "() => {}",
        ),
        "layer toggle": (_LAYER, "() => {}"),
        "opacity": (_OPACITY, "() => {}"),
        "hover value": (_HOVER, "() => {}"),
        "photo switch": (_PHOTO, "() => {}"),
    },
    "concepts": {
        "concept on and off": (
            """(ww, i) => ww.querySelectorAll(".face")[1 + (i % 3)].dispatchEvent(
              new MouseEvent("click", { bubbles: true, ctrlKey: true }))""",
            """(ww) => ww.querySelectorAll(".face")[0].click()""",
        ),
        "another concept": (
            """(ww, i) => ww.querySelectorAll(".face")[(i + 1) % 6].click()""",
            """(ww) => ww.querySelectorAll(".face")[0].click()""",
        ),
        "layer toggle": (_LAYER, "() => {}"),
        "opacity": (_OPACITY, "() => {}"),
        "hover value": (_HOVER, "() => {}"),
        "what-if, affine head": (
            """(ww, i) => {
              const slider = ww.querySelector(".factor");
              slider.value = String((Number(slider.max) * ((i * 3) % 10)) / 10);
              slider.dispatchEvent(new Event("input", { bubbles: true }));
            }""",
            "() => {}",
        ),
        "photo switch": (_PHOTO, "() => {}"),
    },
}

# From the event to the end of the next frame, and all drawings on the way.
_TIME = """async ([act, first, count]) => {
  const ww = [...document.querySelectorAll("*")].map((e) => e.shadowRoot?.querySelector(".ww")).find(Boolean);
  const [doIt, begin] = [act, first].map((text) => new Function(`return ${text}`)());
  const rest = (ms) => new Promise((done) => setTimeout(done, ms));
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  begin(ww);
  await rest(600);
  const [times, draws] = [[], []];
  const note = (list) => draws.push(...list.getEntriesByName("ww-draw").map(({ duration }) => duration));
  const observer = new PerformanceObserver(note);
  for (let i = 0; i < count; i++) {
    observer.observe({ entryTypes: ["measure"] });
    const start = performance.now();
    doIt(ww, i);
    await frame();
    times.push(performance.now() - start);
    await rest(0);
    observer.disconnect();
    await rest(80);
  }
  await rest(600);
  return [times, draws];
}"""
_ACT = """([act, i]) => {
  const ww = [...document.querySelectorAll("*")].map((e) => e.shadowRoot?.querySelector(".ww")).find(Boolean);
  new Function(`return ${act}`)()(ww, i);
}"""

# From the event to the first frame on which something holds of the root.
_UNTIL = """async ([act, holds, i]) => {
  const ww = [...document.querySelectorAll("*")].map((e) => e.shadowRoot?.querySelector(".ww")).find(Boolean);
  const [doIt, isDone] = [act, holds].map((text) => new Function(`return ${text}`)());
  const start = performance.now();
  const wanted = doIt(ww, i);
  while (!isDone(ww, i, wanted)) await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return performance.now() - start;
}"""


@dataclass
class Traffic:
    """Frames of the kernel's websocket, and their bytes, to the kernel and from it."""

    sent: int = 0
    sent_bytes: int = 0
    received: int = 0
    received_bytes: int = 0


class Watch:
    """Counts what goes over the kernel's websocket.

    Parameters
    ----------
    page : playwright.sync_api.Page
        Before it is opened.
    """

    def __init__(self, page: Any) -> None:
        self.traffic = Traffic()
        page.on("websocket", self._follow)
        self._session = page.context.new_cdp_session(page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})

    @property
    def processor(self) -> float:
        """Milliseconds of the processor that the page's main thread has used, whatever else the machine does."""
        metrics = self._session.send("Performance.getMetrics")["metrics"]
        return 1000 * next(each["value"] for each in metrics if each["name"] == "TaskDuration")

    def _follow(self, socket: Any) -> None:
        if "/api/kernels/" in socket.url:
            socket.on("framesent", lambda frame: self._note("sent", frame))
            socket.on("framereceived", lambda frame: self._note("received", frame))

    def _note(self, way: str, frame: str | bytes) -> None:
        size = len(frame if isinstance(frame, bytes) else frame.encode())
        setattr(self.traffic, way, getattr(self.traffic, way) + 1)
        setattr(self.traffic, f"{way}_bytes", getattr(self.traffic, f"{way}_bytes") + size)


def interact(lab: Lab, watch: Watch, act: str, first: str, count: int) -> dict[str, str]:
    """Time an interaction, and count what it sends and brings.

    Parameters
    ----------
    lab : Lab
        The page.
    watch : Watch
        Of its websocket.
    act, first : str
        See `INTERACTIONS`.
    count : int
        How often.

    Returns
    -------
    dict of str to str
        Cells of a table.
    """
    lab.page.evaluate(_ACT, ["() => {}", 0])
    before = watch.processor
    times, draws = lab.page.evaluate(_TIME, [act, first, count])
    spent = (watch.processor - before) / count
    lab.page.wait_for_timeout(_QUIET)
    watch.traffic = Traffic()
    for i in range(_WIRE_COUNT):
        lab.page.evaluate(_ACT, [act, count + i])
        lab.page.wait_for_timeout(_QUIET)
    seen = watch.traffic
    return {
        "ms to the end of the frame, p50, p95": quantiles(times),
        "drawing, ms": quantiles(draws),
        "drawings": f"{len(draws) / count:.1f}",
        "processor, ms": f"{spent:.0f}",
        "sent: messages, bytes": f"{seen.sent / _WIRE_COUNT:.1f}, {seen.sent_bytes / _WIRE_COUNT:,.0f}",
        "received": f"{seen.received / _WIRE_COUNT:.1f}, {seen.received_bytes / _WIRE_COUNT:,.0f}",
    }


def quantiles(times: list[float]) -> str:
    """Write the median and the 95th percentile."""
    if len(times) < 2:
        return "-"
    return f"{statistics.median(times):.0f}, {statistics.quantiles(times, n=20)[18]:.0f}"


#: Name: what is done; what holds in the end; the code that says what it took in the kernel, in seconds.
_ANSWERS: Final = {
    "attribution": {
        "map of a class that is not stored": (
            """(ww, i) => {
              const field = ww.querySelector(".other");
              field.value = String(20 + i);
              field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, composed: true }));
            }""",
            "(ww, i) => ww.dataset.class === String(20 + i)",
            "0",
        ),
        "signed map of another class": (
            """(ww, i) => {
              const layers = ww.querySelectorAll("[data-key=slope], [data-key=total]");
              const classes = ww.querySelectorAll(".pred [role=radio]");
              layers[0].click();
              classes[i % classes.length].click();
              layers[1].click();
            }""",
            "(ww) => ww.dataset.index === 'slope'",
            "0",
        ),
    },
    "concepts": {
        "maps by gradients on another photo": (
            """(ww, i) => {
              const photos = ww.querySelectorAll(".strip button");
              photos[i + 1].click();
              return photos[i + 1].title.split(",")[0];
            }""",
            "(ww, i, name) => ww.dataset.image === name && ww.dataset.map === 'implicit'",
            "sum(spent[SINCE:])",
        ),
    },
}
_STOP = """(ww) => [...ww.querySelectorAll(".ctl .link")].find((each) => each.textContent === "Stop").click()"""
_STOPPED = "(ww) => ww.dataset.state !== 'computing'"
_RUN = 400  # ms that a job runs before it is stopped
_BEFORE: Final = {
    "attribution": "view.selected_image = 'part 0'; view.selected_class = None",
    "concepts": "view.map_kind = 'implicit'",
}
_AFTER: Final = {
    "attribution": "view.index = 'total'; view.selected_class = None",
    "concepts": "view.map_kind = 'codes'; view.selected_image = view._images[0]['name']",
}


def kernel_round_trips(lab: Lab, watch: Watch, kind: str, count: int) -> list[dict[str, str]]:
    """Time what the kernel has to answer, less the computing itself.

    Parameters
    ----------
    lab : Lab
        The page.
    watch : Watch
        Of its websocket.
    kind : {"attribution", "concepts"}
        The view.
    count : int
        How often.

    Returns
    -------
    list of dict
        Rows of a table.
    """
    rows = []
    for name, (act, holds, seconds) in _ANSWERS[kind].items():
        lab.python(_BEFORE[kind])
        lab.page.wait_for_timeout(2_000)
        whole, rest = [], []
        watch.traffic = Traffic()
        for i in range(count):
            since = int(lab.python("print(len(spent))"))
            whole.append(lab.page.evaluate(_UNTIL, [act, holds, i]))
            took = 1000 * json.loads(lab.python(f"print({seconds.replace('SINCE', str(since))})"))
            rest.append(whole[-1] - took)
            lab.page.wait_for_timeout(150)
        rows.append(
            {
                "asked of the kernel": name,
                "ms, p50, p95": quantiles(whole),
                "less the computing": quantiles(rest),
            }
        )
    lab.python(_AFTER[kind])
    lab.page.wait_for_timeout(2_000)
    return rows


def stops(lab: Lab, count: int) -> list[dict[str, str]]:
    """Time what lies between a click on Stop and the end of the job as the page shows it.

    Parameters
    ----------
    lab : Lab
        The page, with a view whose job is long.
    count : int
        How often.

    Returns
    -------
    list of dict
        Rows of a table.
    """
    times = []
    for i in range(count):
        lab.python("view.start()")
        lab.until("ww.dataset.state === 'computing'")
        lab.page.wait_for_timeout(_RUN + 37 * (i % 7))  # not always at the same place of a chunk
        times.append(lab.page.evaluate(_UNTIL, [_STOP, _STOPPED, i]))
        lab.until_python("view.job.state == 'stopped'")
    return [{"asked of the kernel": "Stop, to the job's end on the page", "ms, p50, p95": quantiles(times)}]
