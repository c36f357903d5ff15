import { afterEach, describe, expect, it, vi } from "vitest";
import { decodeBase64 } from "../src/core/bytes";
import { makeHost, makeModel, restoreBuffers, showPage } from "../src/standalone/host";

afterEach(() => {
  document.body.replaceChildren();
});

describe("host of exported pages", () => {
  it("puts buffers back at their paths, in lists and in dicts", () => {
    const state: Record<string, unknown> = { _photos: [null], _planes: {} };
    restoreBuffers(state, [
      { path: ["_photos", 0], data: btoa("\u00ff\u0001") },
      { path: ["_planes", "coffee"], data: "" },
    ]);
    expect((state._photos as DataView[])[0]?.getUint16(0, true)).toBe(0x01ff);
    expect((state._planes as Record<string, DataView>).coffee?.byteLength).toBe(0);
    expect(decodeBase64(btoa("abc")).getUint8(2)).toBe(99);
  });

  it("tells of changes, once, and is harmless without a kernel", () => {
    const model = makeModel({ opacity: 0.8 });
    const heard = vi.fn();
    model.on("change:opacity", heard);
    model.set("opacity", 0.5);
    model.set("opacity", 0.5);
    model.send({ kind: "hello" });
    expect(heard).toHaveBeenCalledTimes(1);
    model.off("change:opacity", heard);
    model.set("opacity", 0.1);
    expect(heard).toHaveBeenCalledTimes(1);
    expect(model.get("opacity")).toBe(0.1);
  });

  it("renders the views inside views where they are asked for", async () => {
    const part = { kind: "attribution", id: "part-0" };
    const show = vi.fn(async () => undefined);
    const host = makeHost([part], show);
    const el = document.createElement("div");
    const { signal } = new AbortController();
    await (await host.getWidget("anywidget:part-0")).render({ el, signal });
    expect(show).toHaveBeenCalledWith(part, el, signal);
    await expect(host.getWidget("anywidget:part-1")).rejects.toThrow('lacks the view "anywidget:part-1"');
  });

  it("says in words that a page is incomplete", async () => {
    document.body.innerHTML = '<main id="ww-root"></main>';
    await showPage();
    expect(document.querySelector("[role=alert]")?.textContent).toContain('lacks its part "ww-state"');
  });
});
