"""Pages in the colours and with the stillness that a person asks the system for."""

from __future__ import annotations

import pytest

import whatwhere as ww

pytestmark = pytest.mark.browser

ROOTS = """(function all(root) {
  return [...root.querySelectorAll("*")].flatMap((e) =>
    e.shadowRoot ? [...[...e.shadowRoot.children].filter((c) => c.matches(".ww")), ...all(e.shadowRoot)] : []);
})(document)"""
# Of each choice of a few: how its options look, the chosen one first.
CHOICES = f"""() => {ROOTS}.flatMap((ww) => [...ww.querySelectorAll(".tabs, .seg, .strip, .legends, .discs")])
  .filter((group) => group.checkVisibility() && group.querySelectorAll("button").length > 1)
  .map((group) => {{
    const mark = "[aria-checked=true], [aria-pressed=true]";
    const options = [...group.querySelectorAll("button")].filter((each) => each.checkVisibility());
    const look = (each) => {{
      const {{ outlineStyle, outlineColor, borderBottomColor }} = getComputedStyle(each);
      return [outlineStyle === "none" ? "" : outlineColor, borderBottomColor].join();
    }};
    const [chosen, other] = [options.find((e) => e.matches(mark)), options.find((e) => !e.matches(mark))];
    return chosen && other ? [group.className, look(chosen), look(other)] : null;
  }}).filter(Boolean)"""
# How many colours the photos as points have; what the concepts' letters lie on; what still moves.
SEEN = f"""() => {{
  const roots = {ROOTS}, find = (selector) => roots.flatMap((ww) => [...ww.querySelectorAll(selector)]);
  const cloud = find(".cloud > canvas")[0];
  const {{ data }} = cloud.getContext("2d").getImageData(0, 0, cloud.width, cloud.height);
  const moves = find("*").filter((e) => ["", "::before", "::after"].some((part) => {{
    const style = getComputedStyle(e, part || null);
    return style.transitionDuration.split(",").some((s) => parseFloat(s) > 0) || style.animationName !== "none";
  }}));
  return {{
    colours: new Set(new Uint32Array(data.buffer)).size,
    dots: find(".dot").filter((e) => e.checkVisibility()).map((e) => getComputedStyle(e).backgroundColor),
    bars: find(".sum i").map((e) => getComputedStyle(e).backgroundColor),
    moves: moves.map((e) => e.className),
    page: getComputedStyle(document.body).backgroundColor,
  }};
}}"""
RING = """() => {
  let node = document.activeElement;
  while (node.shadowRoot?.activeElement) node = node.shadowRoot.activeElement;
  const { outlineStyle, outlineColor } = getComputedStyle(node);
  return [outlineStyle, outlineColor];
}"""


@pytest.fixture(scope="module")
def pages(model, photos, tmp_path_factory):
    """An Explorer, and prototypes of two classes."""
    folder = tmp_path_factory.mktemp("forced")
    explorer = ww.Explorer(model, photos, labels=["espresso"] * len(photos), method=ww.Sobol(grid=4, rows=2))
    explorer.start()
    explorer.wait(120)
    whole = explorer.to_html(folder / "explorer.html")
    explorer.close()
    protos = ww.Maco(steps=4, crops=2, size=96, seed=0).submit(model, ["espresso", "tench"]).wait(120)
    view = ww.PrototypeView(protos, model=model)
    grown = view.to_html(folder / "prototypes.html")
    view.close()
    return whole, grown


@pytest.fixture(params=["light", "dark"])
def page(browser, request):
    context = browser.new_context(
        color_scheme=request.param,
        forced_colors="active",
        reduced_motion="reduce",
        viewport={"width": 1132, "height": 900},
    )
    yield context.new_page()
    context.close()


def test_what_is_chosen_focused_and_drawn_is_seen(page, pages, screenshots, request):
    page.goto(pages[0].as_uri())
    page.wait_for_function(f"() => {ROOTS}.length === 4 && {ROOTS}.every((ww) => ww.dataset.ready === '1')")
    page.locator(".part.why .key[aria-pressed=true]").wait_for()
    choices = page.evaluate(CHOICES)
    assert {"tabs", "strip", "seg"} <= {name.split()[0] for name, *_ in choices}
    assert [name for name, chosen, other in choices if chosen == other] == []
    seen = page.evaluate(SEEN)
    assert seen["colours"] > 20
    assert len(set(seen["dots"])) > 2
    assert set(seen["bars"]) - {seen["page"]}
    assert seen["moves"] == []
    page.keyboard.press("Tab")
    style, colour = page.evaluate(RING)
    assert style == "solid"
    assert colour != seen["page"]
    page.screenshot(path=screenshots / f"forced-{request.node.callspec.id}.png", full_page=True)


def test_the_prototype_that_is_looked_at_is_seen(page, pages, screenshots, request):
    page.goto(pages[1].as_uri())
    page.locator(".ww[data-ready='1']").wait_for()
    cards = page.locator(".card")
    rings = [card.locator(".thumb").evaluate("e => getComputedStyle(e).outlineStyle") for card in cards.all()]
    assert rings.count("solid") == 1
    assert len(rings) > 1
    page.screenshot(path=screenshots / f"forced-prototypes-{request.node.callspec.id}.png", full_page=True)
