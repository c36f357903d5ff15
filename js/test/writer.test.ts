/** Writing traits by message, and holding them against older values. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Kernel } from "../src/core/kernel";
import { TraitWriter } from "../src/core/writer";
import { FakeModel, makeState } from "./fake";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function make(more = {}) {
  const fake = new FakeModel({ ...makeState(), ...more });
  const { signal } = new AbortController();
  const kernel = new Kernel(fake.model, signal, () => undefined);
  return { fake, writer: new TraitWriter(fake.model, kernel, signal) };
}

const apply = (fake: FakeModel, place: number) =>
  fake.receive({ kind: "applied", rid: fake.sent.filter(({ kind }) => kind === "set")[place]?.rid, v: 1 });

describe("a written trait", () => {
  it("is sent once, together with others", async () => {
    const { fake, writer } = make();
    writer.set("opacity", 0.4);
    writer.set("opacity", 0.5);
    writer.set("colormap", "viridis");
    writer.save();
    writer.save();
    expect(fake.saved).toEqual([{ opacity: 0.5, colormap: "viridis" }]);
    expect(fake.get("opacity")).toBe(0.5);
  });

  it("is not undone by an older value that comes back", async () => {
    const { fake, writer } = make();
    writer.set("selected_class", 1);
    writer.save();
    writer.set("selected_class", 2);
    writer.save();
    fake.set("selected_class", 1); // Python applied the first
    expect(fake.get("selected_class")).toBe(2);
    apply(fake, 0);
    apply(fake, 1);
    await vi.runAllTimersAsync();
    fake.set("selected_class", 3); // Python's own change afterwards
    expect(fake.get("selected_class")).toBe(3);
  });

  it("is not held for ever where nobody answers", () => {
    const { fake, writer } = make();
    writer.set("selected_class", 1);
    writer.save();
    vi.advanceTimersByTime(6_000);
    fake.set("selected_class", 3);
    expect(fake.get("selected_class")).toBe(3);
  });

  it("stays on the page where there is no kernel", () => {
    const { fake, writer } = make({ _kernel: false });
    writer.set("selected_class", 1);
    writer.save();
    fake.set("selected_class", 2); // another view of the same model
    expect(fake.get("selected_class")).toBe(2);
    expect(fake.sent).toEqual([]);
  });
});
