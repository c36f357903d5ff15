import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ANSWER_WITHIN, Kernel, STALE_AFTER } from "../src/core/kernel";
import { FakeModel, makeState } from "./fake";

type Slot = (sender: unknown, status?: unknown) => void;

function start(more = {}) {
  const fake = new FakeModel(makeState(more));
  const ending = new AbortController();
  const changed = vi.fn();
  return { fake, ending, changed, kernel: new Kernel(fake.model, ending.signal, changed) };
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance", "Date"] });
});
afterEach(() => {
  vi.useRealTimers();
});

describe("kernel", () => {
  it("is alive once it answers, and is not asked again while that is recent", () => {
    const { fake, kernel } = start();
    kernel.poke();
    kernel.poke();
    expect(fake.kinds()).toEqual(["hello"]);
    expect(fake.sent[0]?.v).toBe(1);
    fake.receive({ kind: "welcome", rid: fake.sent[0]?.rid });
    expect(kernel.state).toBe("alive");
    kernel.poke();
    expect(fake.sent).toHaveLength(1);
    vi.advanceTimersByTime(STALE_AFTER + 1);
    expect(fake.sent).toHaveLength(1); // no heartbeat
    kernel.poke();
    expect(fake.sent).toHaveLength(2);
  });

  it("is silent when nobody answers, and comes back with any sign of life", () => {
    const { fake, kernel, changed } = start();
    kernel.poke();
    vi.advanceTimersByTime(ANSWER_WITHIN + 1);
    expect(kernel.state).toBe("silent");
    expect(kernel.reachable).toBe(false);
    fake.set("_seq", 2);
    expect(kernel.state).toBe("alive");
    expect(changed).toHaveBeenCalledTimes(2);
  });

  it("is silent as soon as the host says that the kernel restarts or is gone, without being asked", () => {
    for (const status of ["restarting", "autorestarting", "terminating", "dead", "disposed"]) {
      const slots = { statusChanged: new Set<Slot>(), disposed: new Set<Slot>() };
      const signalOf = (of: Set<Slot>) => ({
        connect: (slot: Slot) => of.add(slot),
        disconnect: (slot: Slot) => of.delete(slot),
      });
      const host = {
        statusChanged: signalOf(slots.statusChanged),
        disposed: signalOf(slots.disposed),
      };
      const fake = new FakeModel(makeState());
      const manager: { kernel: typeof host | null } = { kernel: null };
      fake.widget_manager = manager as never;
      const ending = new AbortController();
      const kernel = new Kernel(fake.model, ending.signal, () => undefined);
      manager.kernel = host; // the notebook connects after the view is drawn
      kernel.poke();
      fake.receive({ kind: "welcome", rid: fake.sent[0]?.rid });
      for (const calm of ["busy", "idle"]) for (const slot of slots.statusChanged) slot(host, calm);
      expect(kernel.state).toBe("alive");
      const before = fake.sent.length;
      if (status === "disposed") for (const slot of slots.disposed) slot(host);
      else for (const slot of slots.statusChanged) slot(host, status);
      expect([kernel.state, kernel.reachable, fake.sent.length]).toEqual(["silent", false, before]);
      fake.set("_seq", 9); // the last words of a process that has ended are no sign of life
      expect(kernel.state).toBe(status === "disposed" ? "alive" : "silent");
      ending.abort();
      expect(slots.statusChanged.size + slots.disposed.size).toBe(0);
    }
  });

  it("is silent when sending fails", () => {
    const { fake, kernel } = start();
    fake.broken = true;
    kernel.tell("start", { image: "coffee" });
    expect(kernel.state).toBe("silent");
  });

  it("takes a late reply, and only once", async () => {
    const { fake, kernel } = start();
    const answer = kernel.ask("explain", { image: "coffee", query: "tench", select: true });
    const request = fake.sent.find(({ kind }) => kind === "explain");
    expect(request).toMatchObject({ query: "tench", image: "coffee", v: 1 });
    vi.advanceTimersByTime(60_000);
    expect(kernel.state).toBe("silent");
    fake.receive({ kind: "explained", rid: request?.rid, id: 0 });
    fake.receive({ kind: "refused", rid: request?.rid, message: "no", suggestions: [] });
    await expect(answer).resolves.toMatchObject({ kind: "explained", id: 0 });
    expect(kernel.state).toBe("alive");
  });

  it("ignores unknown kinds, unknown marks and things that are no messages", () => {
    const debug = vi.spyOn(console, "debug").mockImplementation(() => undefined);
    const { fake } = start();
    fake.receive({ kind: "surprise", rid: "x" });
    fake.receive(null);
    fake.receive({ kind: "explained", rid: "nobody", id: 3 });
    expect(debug).toHaveBeenCalledTimes(2);
    debug.mockRestore();
  });

  it("never sends from a saved page", () => {
    const { fake, kernel } = start({ _kernel: false });
    kernel.poke();
    kernel.tell("start", { image: "coffee" });
    void kernel.ask("explain", { image: "coffee", query: 1, select: true });
    expect(kernel.state).toBe("saved");
    expect(fake.sent).toEqual([]);
    expect(fake.listeners).toBe(0);
  });

  it("leaves no listener and no timer behind", () => {
    const { fake, kernel, ending, changed } = start();
    kernel.poke();
    ending.abort();
    vi.advanceTimersByTime(60_000);
    expect(fake.listeners).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
    expect(changed).not.toHaveBeenCalled();
  });
});
