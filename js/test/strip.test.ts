/** Strips of many photos, of which the page holds the first. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import attribution from "../src/views/attribution";
import concepts from "../src/views/concepts";
import { Gallery } from "../src/views/shared/gallery";
import { bytesOf, makeConceptModel } from "./concept_fake";
import { FakeModel, makeState } from "./fake";

/** As if what is on the page were in sight: the browser says it later, as it does. */
class Sight {
  static all: Sight[] = [];
  seen = new Set<Element>();
  constructor(public told: (entries: { target: Element; isIntersecting: boolean }[]) => void) {
    Sight.all.push(this);
  }
  observe(node: Element): void {
    this.seen.add(node);
  }
  disconnect(): void {
    this.seen.clear();
  }
  scroll(isIntersecting: boolean, nodes: Element[]): void {
    this.told(nodes.map((target) => ({ target, isIntersecting })));
  }
}

let cleanups: (() => void)[] = [];

function show(widget: typeof concepts, fake: FakeModel) {
  const el = document.createElement("div");
  document.body.append(el);
  cleanups.push(widget.render({ model: fake.model, el }));
  const root = el.firstElementChild?.shadowRoot?.querySelector(".ww") as HTMLElement;
  const all = () => [...root.querySelectorAll<HTMLElement>(".strip button")];
  const more = root.querySelector(".beyond") as HTMLElement;
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const focused = () => (root.getRootNode() as ShadowRoot).activeElement as HTMLElement;
  const answer = (request: { kind: string; rid: string } | undefined, content: object, buffers: DataView[]) =>
    fake.fire("msg:custom", { rid: request?.rid, v: 1, ...content }, buffers);
  const asked = () => fake.sent.filter(({ kind }) => kind === "thumbnails");
  const hello = () =>
    answer(
      fake.sent.find(({ kind }) => kind === "hello"),
      { kind: "welcome" },
      [],
    );
  return { fake, root, all, more, frame, focused, answer, asked, hello };
}

const manyConcepts = (more = {}) =>
  show(concepts, makeConceptModel({ _strip: { total: 300, mark: 7 }, ...more }));
const manyImages = (more = {}) => {
  const images = Array.from({ length: 300 }, (_, k) => ({
    ...(makeState()._images[0] as ReturnType<typeof makeState>["_images"][0]),
    name: k === 0 ? "coffee" : `photo ${k}`,
  }));
  const photos = images.map((_, k) => bytesOf(k < 20 ? [1, 2] : []));
  const state = makeState({ _images: images, _photos: photos, _strip: { total: 300, mark: 7 }, ...more });
  return show(attribution as unknown as typeof concepts, new FakeModel(state));
};

const tile = (place: number, name: string) => ({
  ...(makeConceptModel().get("_images") as { name: string }[])[0],
  place,
  name,
});

beforeEach(() => {
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(null);
  vi.stubGlobal("IntersectionObserver", Sight);
  vi.stubGlobal("createImageBitmap", async () => ({ width: 4, height: 4, close: () => undefined }));
  Sight.all = [];
});
afterEach(() => {
  for (const cleanup of cleanups) cleanup();
  cleanups = [];
  document.body.replaceChildren();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

describe.each([
  ["ConceptExplorer", manyConcepts, 2, 298],
  ["AttributionView", manyImages, 20, 280],
] as const)("a strip of 300 photos in %s", (_, make, held, lacking) => {
  it("has those that the page holds until the kernel answers, then all, with one Tab stop", async () => {
    const { all, hello, frame, more } = make();
    expect(all()).toHaveLength(held);
    expect(more.hidden).toBe(true);
    hello();
    await frame();
    expect(all()).toHaveLength(300);
    expect(all().filter(({ tabIndex }) => tabIndex === 0)).toHaveLength(1);
  });

  it("asks for what is in sight, a few at a time, and for nothing else", async () => {
    const { all, hello, frame, asked, answer } = make();
    hello();
    await frame();
    expect(asked()).toEqual([]);
    Sight.all[0]?.scroll(true, all().slice(0, 50));
    expect(asked()).toHaveLength(1);
    const places = Array.from({ length: 12 }, (_, k) => held + k);
    expect(asked()[0]).toMatchObject({ mark: 7, places });
    Sight.all[0]?.scroll(true, all().slice(50, 60)); // not before the answer
    expect(asked()).toHaveLength(1);
    Sight.all[0]?.scroll(false, all().slice(0, 50)); // scrolled past meanwhile
    const images = places.map((place) => tile(place, `photo ${place}`));
    answer(
      asked()[0],
      { kind: "thumbnails", mark: 7, images },
      images.map(() => bytesOf([1])),
    );
    await vi.waitFor(() => expect(asked()).toHaveLength(2));
    expect(asked()[1]).toMatchObject({ places: Array.from({ length: 10 }, (_, k) => 50 + k) });
  });

  it("says in a saved page how many need the kernel", () => {
    const { all, more, asked } = make({ _kernel: false });
    expect(all()).toHaveLength(held);
    expect(more.textContent).toBe(`${lacking} more photos need the kernel`);
    expect(more.hidden).toBe(false);
    expect(asked()).toEqual([]);
  });

  it("offers to add a photo below it, and keeps what arrived when one comes behind", async () => {
    const { fake, root, all, hello, frame, asked, answer } = make();
    const adding = root.querySelector(".images > .strip ~ .adding > button") as HTMLElement;
    expect(adding.textContent).toBe("Add a photo");
    hello();
    await frame();
    Sight.all[0]?.scroll(true, all().slice(50, 51));
    answer(asked()[0], { kind: "thumbnails", mark: 7, images: [tile(50, "photo 50")] }, [bytesOf([1])]);
    await vi.waitFor(() => expect(all()[50]?.title).toContain("photo 50"));
    const images = fake.get("_images") as { name: string }[];
    fake.set("_images", [...images, { ...images[0], name: "added", place: 300 }]);
    fake.set("_photos", [...(fake.get("_photos") as DataView[]), bytesOf([])]);
    fake.set("_large", { added: bytesOf([1, 2]) });
    fake.set("_strip", { total: 301, mark: 7 });
    fake.set("selected_image", "added");
    await frame();
    expect(all()).toHaveLength(301);
    expect(all()[300]?.title).toContain("added");
    expect(all()[300]?.getAttribute("aria-checked")).toBe("true");
    Sight.all[0]?.scroll(true, [all()[300] as HTMLElement]);
    await frame();
    expect(asked()).toHaveLength(1); // neither what is there nor what is saved
  });

  it("ends its listening with the view", async () => {
    const { hello, frame } = make();
    hello();
    await frame();
    const sight = Sight.all[0] as Sight;
    expect(sight.seen.size).toBe(300);
    for (const cleanup of cleanups.splice(0)) cleanup();
    expect(sight.seen.size).toBe(0);
  });
});

describe("photos that arrive", () => {
  it("can be chosen, also before they are there", async () => {
    const { fake, all, hello, frame, asked, answer, focused } = manyConcepts();
    hello();
    await frame();
    all()[0]?.focus();
    focused().dispatchEvent(new KeyboardEvent("keydown", { key: "End", bubbles: true, composed: true }));
    expect(focused()).toBe(all()[299]);
    expect(focused().getAttribute("aria-label")).toBe("Photo 300");
    expect(fake.get("selected_image")).toBe("pond");
    Sight.all[0]?.scroll(true, [focused()]);
    expect(asked()[0]).toMatchObject({ places: [299] });
    answer(asked()[0], { kind: "thumbnails", mark: 7, images: [tile(299, "the last")] }, [bytesOf([1])]);
    await vi.waitFor(() => expect(fake.get("selected_image")).toBe("the last"));
    expect(focused().getAttribute("aria-label")).toMatch(/^the last, read as tench/);
  });

  it("are not chosen once the person went elsewhere", async () => {
    const { fake, all, hello, frame, asked, answer } = manyConcepts();
    hello();
    await frame();
    all()[299]?.focus();
    all()[299]?.click();
    all()[0]?.focus();
    Sight.all[0]?.scroll(true, [all()[299] as HTMLElement]);
    answer(asked()[0], { kind: "thumbnails", mark: 7, images: [tile(299, "the last")] }, [bytesOf([1])]);
    await frame();
    await frame();
    expect(all()[299]?.getAttribute("aria-label")).toContain("the last");
    expect(fake.get("selected_image")).toBe("pond");
  });

  it("say why one of them cannot be shown, and the others are", async () => {
    const { all, hello, frame, asked, answer } = manyConcepts();
    hello();
    await frame();
    Sight.all[0]?.scroll(true, all().slice(2, 4));
    const images = [{ place: 2, error: "gone.jpg is missing" }, tile(3, "there")];
    answer(asked()[0], { kind: "thumbnails", mark: 7, images }, [bytesOf([]), bytesOf([1])]);
    await vi.waitFor(() => expect(all()[3]?.title).toContain("there"));
    expect(all()[2]?.title).toBe("gone.jpg is missing");
  });

  it("are forgotten when the strip is another one", async () => {
    const { fake, all, hello, frame, asked, answer } = manyConcepts();
    hello();
    await frame();
    Sight.all[0]?.scroll(true, all().slice(2, 3));
    fake.set("_strip", { total: 4, mark: 8 });
    await frame();
    expect(all()).toHaveLength(4);
    answer(asked()[0], { kind: "thumbnails", mark: 7, images: [tile(2, "of before")] }, [bytesOf([1])]);
    await frame();
    expect(all()[2]?.title).toBe("Photo 3");
    expect(asked()[1]).toMatchObject({ mark: 8, places: [2] });
  });

  it("stay when the kernel goes, and cannot be chosen", async () => {
    const { fake, all, hello, frame, asked, answer, more } = manyConcepts();
    hello();
    await frame();
    Sight.all[0]?.scroll(true, all().slice(2, 3));
    answer(asked()[0], { kind: "thumbnails", mark: 7, images: [tile(2, "third")] }, [bytesOf([1])]);
    await vi.waitFor(() => expect(all()[2]?.title).toContain("third"));
    fake.broken = true;
    all()[1]?.click(); // what is said fails
    await vi.waitFor(() => expect(more.hidden).toBe(false));
    expect(all()).toHaveLength(300);
    expect(all()[2]?.getAttribute("aria-disabled")).toBe("true");
    expect(all()[1]?.getAttribute("aria-disabled")).toBeNull();
    all()[2]?.click();
    expect(fake.get("selected_image")).toBe("lake");
  });
});

describe("Gallery", () => {
  it("asks again for what was lost", async () => {
    let clock = 0;
    vi.spyOn(performance, "now").mockImplementation(() => clock);
    const sent: number[][] = [];
    const kernel = {
      state: "alive" as const,
      ask: (_: string, { places }: { places: number[] }) => {
        sent.push(places);
        return new Promise<{ kind: string }>(() => undefined); // nobody answers
      },
    };
    const gallery = new Gallery(kernel, () => undefined);
    gallery.follow({ total: 5, mark: 1 });
    gallery.want([3, 9]);
    gallery.want([3]);
    expect(sent).toEqual([[3]]);
    clock = 30_000;
    gallery.want([3]);
    expect(sent).toEqual([[3], [3]]);
  });
});
