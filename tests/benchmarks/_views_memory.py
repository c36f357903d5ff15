"""What a page keeps after a view was displayed again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab_driver import Lab

_FIRST = 5  # displays before the first figure: by then caches are warm
_RUN = """async () => {
  const { content } = window.jupyterapp.shell.currentWidget;
  content.activeCellIndex = content.widgets.length - 1;
  await window.jupyterapp.commands.execute("notebook:run-cell");
}"""
_SHOWN = """() => {
  const { content } = window.jupyterapp.shell.currentWidget;
  const out = content.widgets[content.widgets.length - 1].outputArea?.node;
  const roots = [...(out?.querySelectorAll("*") ?? [])].map((e) => e.shadowRoot?.querySelector(".ww")).filter(Boolean);
  return roots.some((ww) => ww.dataset.ready === "1") || Boolean(out?.querySelector(".widget-slider"));
}"""


def redisplays(lab: Lab, count: int) -> dict[str, Any]:
    """Display the view of the last cell again and again.

    Parameters
    ----------
    lab : Lab
        A notebook whose last cell displays a widget.
    count : int
        How often.

    Returns
    -------
    dict
        Heap, nodes and listeners after a few displays, and after `count` more.
    """
    session = lab.page.context.new_cdp_session(lab.page)
    session.send("HeapProfiler.enable")
    session.send("Performance.enable")
    _display(lab, _FIRST)
    before = _measure(session)
    _display(lab, count)
    after = _measure(session)
    return {
        "JS heap, MB": f"{before['heap']:.1f} to {after['heap']:.1f}",
        "KB a display": f"{1024 * (after['heap'] - before['heap']) / count:.0f}",
        "nodes": f"{before['Nodes']:.0f} to {after['Nodes']:.0f}",
        "listeners": f"{before['JSEventListeners']:.0f} to {after['JSEventListeners']:.0f}",
    }


def _display(lab: Lab, count: int) -> None:
    for _ in range(count):
        lab.page.evaluate(_RUN)
        lab.page.wait_for_function(_SHOWN)
        lab.page.wait_for_timeout(150)


def _measure(session: Any) -> dict[str, float]:
    for _ in range(3):  # what one collection frees may hold something else
        session.send("HeapProfiler.collectGarbage")
    used = session.send("Runtime.getHeapUsage")["usedSize"]
    found = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    return {"heap": used / 2**20, **found}
