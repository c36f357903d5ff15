// @vitest-environment happy-dom
import { describe, expect, it, vi } from "vitest";
import { fitInside, makeArriving, nameOf, Queue, shrink } from "../src/views/shared/arriving";

const file = (name: string, type = "image/jpeg", bytes = 3) =>
  new File([new Uint8Array(bytes)], name, { type });
const bytes = async () => new ArrayBuffer(4);

describe("sizes", () => {
  it("stay as they are, or become the largest in the same ratio", () => {
    expect(fitInside(640, 480)).toEqual([640, 480]);
    expect(fitInside(2048, 2048)).toEqual([2048, 2048]);
    expect(fitInside(4096, 3072)).toEqual([2048, 1536]);
    expect(fitInside(3000, 4000)).toEqual([1536, 2048]);
    expect(fitInside(20_000, 3)).toEqual([2048, 1]);
  });
});

describe("names", () => {
  it("are the file's; what a clipboard calls everything is no name", () => {
    expect(nameOf(file("cat.jpg"), false)).toBe("cat.jpg");
    expect(nameOf(file("cat.jpg"), true)).toBe("cat.jpg");
    expect(nameOf(file("image.png"), false)).toBe("image.png");
    expect(nameOf(file("image.png"), true)).toBe("pasted");
    expect(nameOf(file(""), false)).toBe("pasted");
  });
});

describe("shrink", () => {
  it("refuses what is too large before it decodes it", async () => {
    const large = file("large.jpg");
    Object.defineProperty(large, "size", { value: 61e6 });
    const decode = vi.fn();
    vi.stubGlobal("createImageBitmap", decode);
    await expect(shrink(large)).rejects.toThrow("61 MB");
    expect(decode).not.toHaveBeenCalled();
  });

  it("says what is no image", async () => {
    vi.stubGlobal("createImageBitmap", () => Promise.reject(new Error("decode")));
    await expect(shrink(file("notes.txt", "text/plain"))).rejects.toThrow("no image");
  });

  it("sends a small photo bit for bit", async () => {
    const bitmap = { width: 30, height: 20, close: vi.fn() };
    vi.stubGlobal("createImageBitmap", async () => bitmap);
    const small = new File([new Uint8Array([1, 2, 3])], "a.png", { type: "image/png" });
    expect([...new Uint8Array(await shrink(small))]).toEqual([1, 2, 3]);
    expect(bitmap.close).toHaveBeenCalled();
  });
});

describe("queue", () => {
  it("says once why a linked view cannot take photos in", async () => {
    const missed = ["This needs the network: ConceptExplorer(bank, model)."];
    const ask = async (name: string) => ({ kind: "added", name, missed });
    const queue = new Queue(
      ask,
      () => undefined,
      () => undefined,
      bytes,
    );
    await queue.take([file("a"), file("b")]);
    expect(queue.words).toBe(`Added a, b. Not in a linked view: ${missed[0]}`);
  });

  it("sends one photo at a time, shows the first that arrives, and names all", async () => {
    const sent: string[] = [];
    let answer: (told: { kind: string; name: string }) => void = () => undefined;
    const ask = (name: string) => {
      sent.push(name);
      return new Promise<{ kind: string; name: string }>((resolve) => {
        answer = resolve;
      });
    };
    const shown: string[] = [];
    const queue = new Queue(
      ask,
      (name) => shown.push(name),
      () => undefined,
      bytes,
    );
    const done = queue.take([file("a.jpg"), file("b.jpg")]);
    await vi.waitFor(() => expect(sent).toEqual(["a.jpg"]));
    expect(queue.words).toBe("Adding a.jpg, 1 more …");
    void queue.take([file("c.jpg")]); // joins those that wait
    answer({ kind: "added", name: "a" });
    await vi.waitFor(() => expect(sent).toEqual(["a.jpg", "b.jpg"]));
    answer({ kind: "added", name: "b" });
    await vi.waitFor(() => expect(sent).toEqual(["a.jpg", "b.jpg", "c.jpg"]));
    answer({ kind: "added", name: "c" });
    await done;
    expect(shown).toEqual(["a"]);
    expect(queue.words).toBe("Added a, b, c.");
    expect(queue.busy).toBe(false);
  });

  it("goes on after a file that cannot be read, and after a refusal, and says both", async () => {
    const prepare = async (each: File) => {
      if (each.name === "notes.txt") throw new Error("this is no image that the browser can read");
      return new ArrayBuffer(1);
    };
    const ask = async (name: string) =>
      name === "bad.jpg"
        ? { kind: "refused", message: "bad: 1 bytes is broken." }
        : { kind: "added", name: "good" };
    const shown: string[] = [];
    const queue = new Queue(
      ask,
      (name) => shown.push(name),
      () => undefined,
      prepare,
    );
    await queue.take([file("notes.txt"), file("bad.jpg"), file("good.jpg")]);
    expect(shown).toEqual(["good"]);
    expect(queue.words).toBe(
      "Added good. notes.txt: this is no image that the browser can read. bad: 1 bytes is broken.",
    );
  });
});

describe("the button and the target", () => {
  function show(kernel: { state: string; reachable: boolean }, reason = "") {
    const ending = new AbortController();
    const ask = vi.fn(async () => ({ kind: "added", name: "cat" }));
    const act = { selectImage: vi.fn(), redraw: () => arriving.update(reason) };
    const arriving = makeArriving({ kernel: { ...kernel, ask }, act, signal: ending.signal });
    const root = document.createElement("div");
    root.append(arriving.node, arriving.target);
    arriving.follow(root);
    arriving.update(reason);
    const button = root.querySelector("button") as HTMLButtonElement;
    const words = root.querySelector(".added") as HTMLElement;
    const drag = (type: string, types: string[], files: File[] = []) => {
      const event = new Event(type, { bubbles: true, cancelable: true });
      const items = types.map((each) => ({ kind: "file", type: each }));
      const dataTransfer = { types: ["Files"], items, files, dropEffect: "" };
      root.dispatchEvent(Object.assign(event, { dataTransfer }));
      return { event, dataTransfer };
    };
    return { root, button, words, drag, ask, act, target: arriving.target, ending };
  }

  it("takes a dropped photo, and shows it", async () => {
    vi.stubGlobal("createImageBitmap", async () => ({ width: 3, height: 2, close: () => undefined }));
    const { drag, target, ask, act, words } = show({ state: "alive", reachable: true });
    const { event, dataTransfer } = drag("dragover", ["image/jpeg"]);
    expect([event.defaultPrevented, dataTransfer.dropEffect, target.hidden]).toEqual([true, "copy", false]);
    drag("drop", ["image/jpeg"], [file("cat.jpg")]);
    expect(target.hidden).toBe(true);
    await vi.waitFor(() => expect(act.selectImage).toHaveBeenCalledWith("cat"));
    expect(ask).toHaveBeenCalledWith("photo", { name: "cat.jpg" }, [expect.any(ArrayBuffer)]);
    await vi.waitFor(() => expect(words.textContent).toBe("Added cat."));
  });

  it("says before the drop that a file is no photo", () => {
    const { drag, target } = show({ state: "alive", reachable: true });
    expect(drag("dragover", ["text/plain"]).dataTransfer.dropEffect).toBe("none");
    expect(target.textContent).toBe("Only photos can be added");
  });

  it("says why nothing can be added, and keeps the page", () => {
    const { drag, target, button, words, ask } = show(
      { state: "silent", reachable: false },
      "No kernel answers.",
    );
    expect([button.disabled, button.title]).toEqual([true, "No kernel answers."]);
    drag("dragover", ["image/jpeg"]);
    expect(target.textContent).toBe("No kernel answers.");
    const { event } = drag("drop", ["image/jpeg"], [file("cat.jpg")]);
    expect(event.defaultPrevented).toBe(true);
    expect(words.textContent).toBe("No kernel answers.");
    expect(ask).not.toHaveBeenCalled();
  });

  it("leaves drags without files, and pasted text, to others", () => {
    const { root } = show({ state: "alive", reachable: true });
    const drag = Object.assign(new Event("dragover", { cancelable: true }), {
      dataTransfer: { types: ["text/plain"], items: [], files: [] },
    });
    const paste = Object.assign(new Event("paste", { cancelable: true }), { clipboardData: { files: [] } });
    root.dispatchEvent(drag);
    root.dispatchEvent(paste);
    expect([drag.defaultPrevented, paste.defaultPrevented]).toEqual([false, false]);
  });

  it("has no button in a saved page, and no listener after the end", () => {
    const { button, drag, ending, target } = show({ state: "saved", reachable: false }, "Saved page");
    expect(button.hidden).toBe(true);
    ending.abort();
    drag("dragover", ["image/jpeg"]);
    expect(target.hidden).toBe(true);
  });
});
