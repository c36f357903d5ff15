/** A view of concepts that shares a selection, with its own kind and with a view of maps. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import attribution from "../src/views/attribution";
import concepts from "../src/views/concepts";
import { makeBank, makeConceptModel, makeConceptState } from "./concept_fake";
import { FakeModel, makeSelection, makeState, managerOf } from "./fake";

let ending = new AbortController();
beforeEach(() => {
  ending = new AbortController();
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(null);
});
afterEach(() => {
  ending.abort();
  document.body.replaceChildren();
  vi.restoreAllMocks();
});

const settle = () => new Promise((resolve) => setTimeout(resolve));
const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));

async function put(widget: typeof concepts, fake: FakeModel, shared: FakeModel) {
  fake.widget_manager = managerOf(shared);
  const el = document.createElement("div");
  document.body.append(el);
  ending.signal.addEventListener("abort", widget.render({ model: fake.model, el }));
  await settle();
  const root = el.firstElementChild?.shadowRoot?.querySelector(".ww") as HTMLElement;
  return { fake, root, all: (selector: string) => [...root.querySelectorAll<HTMLElement>(selector)] };
}

const share = (more = {}) => makeSelection({ concepts: [4], images: ["pond"], ...more });
const explore = (shared: FakeModel, more = {}) => put(concepts, makeConceptModel(more), shared);

describe("views of concepts of one selection", () => {
  it("follow each other, and Python hears of it once", async () => {
    const shared = share();
    const [first, second] = [await explore(shared), await explore(shared)];
    first.fake.sent = [];
    first.all(".face")[1]?.click();
    await frame();
    expect([first.root.dataset.selected, second.root.dataset.selected]).toEqual(["0", "0"]);
    expect(shared.saved).toEqual([{ concepts: [0] }]);
    second.all(".strip button")[1]?.click();
    await frame();
    expect([first.root.dataset.image, second.root.dataset.image]).toEqual(["lake", "lake"]);
    expect(shared.saved.at(-1)).toEqual({ images: ["lake"] });
    expect([...first.fake.saved, ...second.fake.saved]).toEqual([]);
    expect(shared.get("by")).toBe("user");
  });

  it("leave out what their bank does not have, and stay where it has nothing of it", async () => {
    const shared = share();
    const { fake, root } = await explore(shared);
    shared.set("concepts", [99, 8, 0, 8]);
    await frame();
    expect(root.dataset.selected).toBe("8 0");
    shared.set("concepts", [99]);
    shared.set("images", ["nowhere"]);
    await frame();
    expect(root.dataset).toMatchObject({ selected: "8 0", image: "pond" });
    shared.set("concepts", []);
    await frame();
    expect(root.dataset.selected).toBe("");
    expect(fake.saved).toEqual([]);
  });

  it("take over what is selected once it is there", async () => {
    const shared = share({ concepts: [8, 99], images: ["lake", "pond"] });
    const whole = makeConceptState();
    const { fake, root } = await explore(shared, { _bank: {}, _images: [], selected_concepts: [] });
    expect(fake.get("selected_concepts")).toEqual([8, 99]);
    fake.set("_images", whole._images);
    fake.set("_bank", makeBank());
    await frame();
    expect(root.dataset).toMatchObject({ selected: "8", image: "lake" });
  });

  it("hiding a concept takes it off in all of them", async () => {
    const shared = share({ concepts: [4, 0] });
    const [first, second] = [await explore(shared), await explore(shared)];
    first.all(".face")[0]?.dispatchEvent(new KeyboardEvent("keydown", { key: "h", bubbles: true }));
    await frame();
    expect(second.root.dataset.selected).toBe("0");
    expect(first.fake.saved).toEqual([{ hidden: [4] }]);
  });

  it("keep their own traits where the host finds no selection, and say so", async () => {
    vi.spyOn(console, "debug").mockImplementation(() => undefined);
    const { fake, all } = await explore(share(), { _selection: "IPY_MODEL_gone" });
    expect(fake.kinds()).toContain("alone");
    all(".face")[2]?.click();
    expect(fake.saved).toEqual([{ selected_concepts: [8] }]);
  });

  it("leave nothing on the selection when they go", async () => {
    const shared = share();
    await explore(shared);
    expect(shared.listeners).toBeGreaterThan(0);
    ending.abort();
    expect(shared.listeners).toBe(0);
  });
});

it("a view of maps and a view of concepts show the same photo", async () => {
  const shared = share({ images: ["lake"] });
  const names = ["pond", "lake", "coffee"];
  const images = names.map((name) => ({ name, width: 9, height: 9, seen: [0, 0, 9, 9] }));
  const state = makeState({ _images: images as ReturnType<typeof makeState>["_images"] });
  const maps = await put(attribution as typeof concepts, new FakeModel(state), shared);
  const seen = await explore(shared);
  await frame();
  const shown = () => [maps.root.dataset.image, seen.root.dataset.image];
  expect(shown()).toEqual(["lake", "lake"]);
  maps.all(".strip button")[0]?.click();
  await frame();
  expect(shown()).toEqual(["pond", "pond"]);
  maps.all(".strip button")[2]?.click();
  await frame();
  expect(shown()).toEqual(["coffee", "pond"]);
  seen.all(".strip button")[1]?.click();
  await frame();
  expect(shown()).toEqual(["lake", "lake"]);
});
