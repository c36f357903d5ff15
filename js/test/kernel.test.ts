import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { RESTORED_WITHIN } from "../src/core/host_kernel";
import { ANSWER_WITHIN, BUSY_AFTER, Kernel, STALE_AFTER } from "../src/core/kernel";
import { TraitWriter } from "../src/core/writer";
import { busyWords, shortWords, silenceWords, unheardWords } from "../src/views/shared/answering";
import { FakeHost, FakeModel, makeState } from "./fake";

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

/** A view that has been heard of, in a host that tells of its kernel. */
function hosted(host = new FakeHost()) {
  const fake = new FakeModel(makeState());
  fake.widget_manager = host as never;
  const ending = new AbortController();
  const kernel = new Kernel(fake.model, ending.signal, () => undefined);
  const answer = (kind = "hello") => {
    const asked = fake.sent.filter((each) => each.kind === kind).at(-1);
    fake.receive({ kind: kind === "set" ? "applied" : "welcome", rid: asked?.rid });
  };
  kernel.poke();
  answer();
  fake.sent = [];
  return { fake, host, ending, kernel, answer };
}
const scale = (kernel: Kernel, value: "image" | "shared") => kernel.ask("set", { traits: { scale: value } });

describe("a request", () => {
  it("is followed by a question whether anybody answers, however recently it was heard of", () => {
    const { fake, kernel } = hosted();
    void kernel.ask("explain", { image: "coffee", query: 1, select: true });
    void kernel.ask("explain", { image: "coffee", query: 2, select: true });
    kernel.askedBeside();
    expect(fake.kinds()).toEqual(["explain", "hello", "explain"]); // one answer is awaited at a time
    vi.advanceTimersByTime(ANSWER_WITHIN - 1);
    expect(kernel.state).toBe("alive");
    vi.advanceTimersByTime(1);
    expect([kernel.state, kernel.trouble, kernel.reachable]).toEqual(["silent", "mute", false]);
  });

  it("that is answered at once needs no such question", () => {
    const { fake, kernel, answer } = hosted();
    void scale(kernel, "shared");
    expect(fake.kinds()).toEqual(["set"]);
    vi.advanceTimersByTime(ANSWER_WITHIN - 1);
    answer("set");
    vi.advanceTimersByTime(60_000);
    expect([kernel.state, kernel.trouble]).toEqual(["alive", ""]);
  });

  it("that is not answered has the other views of the kernel ask, once", () => {
    const first = hosted();
    const second = hosted(first.host);
    first.kernel.tell("start", { image: "coffee" });
    vi.advanceTimersByTime(ANSWER_WITHIN);
    expect(second.fake.kinds()).toEqual(["hello"]);
    expect(second.kernel.state).toBe("alive");
    vi.advanceTimersByTime(ANSWER_WITHIN);
    expect(second.kernel.trouble).toBe("mute");
    vi.advanceTimersByTime(600_000);
    expect([first.fake.sent.length, second.fake.sent.length]).toEqual([2, 1]); // nobody goes on asking
  });

  it("is not given up while there is word of progress", () => {
    const { fake, kernel } = hosted();
    kernel.tell("stop", { image: "coffee" });
    for (let n = 2; n < 20; n++) {
      vi.advanceTimersByTime(ANSWER_WITHIN / 2);
      fake.set("_seq", n);
    }
    expect(kernel.state).toBe("alive");
    vi.advanceTimersByTime(2 * ANSWER_WITHIN);
    expect(kernel.state).toBe("silent");
  });
});

describe("a busy kernel", () => {
  it("is said to be busy, can be asked, and has time to answer when its cell ends", () => {
    const { fake, host, kernel, answer } = hosted();
    host.tell("statusChanged", "busy");
    kernel.poke();
    expect(kernel.trouble).toBe(""); // nobody waits for it
    kernel.tell("start", { image: "coffee" });
    vi.advanceTimersByTime(BUSY_AFTER - 1);
    expect(kernel.trouble).toBe("");
    vi.advanceTimersByTime(60_000);
    expect([kernel.state, kernel.trouble, kernel.reachable]).toEqual(["alive", "busy", true]);
    expect(busyWords(kernel)).toContain("busy");
    expect(silenceWords(kernel, "")).toBe("");
    fake.set("_seq", 7);
    expect(kernel.trouble).toBe("busy"); // its worker makes progress; it still does not hear
    host.tell("statusChanged", "idle");
    vi.advanceTimersByTime(ANSWER_WITHIN - 1);
    expect(kernel.trouble).toBe("busy");
    answer();
    expect([kernel.state, kernel.trouble]).toEqual(["alive", ""]);
  });

  it("that is idle again and does not answer is silent", () => {
    const { host, kernel } = hosted();
    host.tell("statusChanged", "busy");
    kernel.tell("start", { image: "coffee" });
    vi.advanceTimersByTime(BUSY_AFTER);
    host.tell("statusChanged", "idle");
    vi.advanceTimersByTime(ANSWER_WITHIN);
    expect([kernel.state, kernel.trouble]).toEqual(["silent", "mute"]);
  });
});

describe("progress that is awaited", () => {
  it("is asked about once it stays away, and only then", () => {
    const { fake, kernel } = hosted();
    kernel.expect(true);
    for (let n = 2; n < 8; n++) {
      vi.advanceTimersByTime(STALE_AFTER - 1);
      fake.set("_seq", n);
      kernel.expect(true);
    }
    expect(fake.sent).toEqual([]);
    vi.advanceTimersByTime(STALE_AFTER);
    expect(fake.kinds()).toEqual(["hello"]);
    vi.advanceTimersByTime(ANSWER_WITHIN);
    expect(kernel.trouble).toBe("mute");
    expect(unheardWords(kernel)).toContain("not known");
    vi.advanceTimersByTime(600_000);
    expect(fake.kinds()).toEqual(["hello"]);
  });

  it("is no matter once it is done", () => {
    const { fake, kernel } = hosted();
    kernel.expect(true);
    kernel.expect(false);
    vi.advanceTimersByTime(600_000);
    expect(fake.sent).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("a connection that is lost", () => {
  it("is said at once, and nothing is sent into it", () => {
    const { fake, host, kernel } = hosted();
    host.cut();
    expect([kernel.state, kernel.trouble, kernel.cut]).toEqual(["silent", "cut", true]);
    expect(shortWords(kernel)).toBe("No connection");
    kernel.tell("start", { image: "coffee" });
    void scale(kernel, "shared");
    kernel.poke();
    vi.advanceTimersByTime(60_000);
    expect(fake.sent).toEqual([]);
    expect(kernel.trouble).toBe("cut");
  });

  it("is back once the host has read all states: what was not answered is sent again, in order", async () => {
    const { fake, host, kernel } = hosted();
    const before = kernel.ask("explain", { image: "coffee", query: 1, select: true });
    host.cut();
    void kernel.ask("explain", { image: "coffee", query: 2, select: true });
    fake.sent = [];
    host.tell("connectionStatusChanged", "connected");
    expect([kernel.trouble, fake.sent.length]).toEqual(["cut", 0]);
    host.tell("restored");
    expect(kernel.reachable).toBe(true);
    expect(fake.sent).toMatchObject([{ query: 1, again: true }, { query: 2 }, { kind: "back" }]);
    expect(fake.sent[1]).not.toHaveProperty("again");
    fake.receive({ kind: "explained", rid: fake.sent[0]?.rid, id: 1 });
    await expect(before).resolves.toMatchObject({ id: 1 });
    expect([kernel.state, kernel.trouble]).toEqual(["alive", ""]);
    host.cut();
    host.back();
    expect(fake.sent.slice(3)).toMatchObject([{ query: 2, again: true }, { kind: "back" }]);
  });

  it("does not wait for states for ever, nor after it is lost again", () => {
    const { fake, host, kernel } = hosted();
    host.cut();
    host.tell("connectionStatusChanged", "connected");
    vi.advanceTimersByTime(RESTORED_WITHIN - 1);
    host.cut();
    vi.advanceTimersByTime(60_000);
    expect([kernel.trouble, fake.sent.length]).toEqual(["cut", 0]);
    host.tell("connectionStatusChanged", "connected");
    vi.advanceTimersByTime(RESTORED_WITHIN);
    expect(fake.kinds()).toEqual(["back"]);
    vi.advanceTimersByTime(ANSWER_WITHIN);
    expect(kernel.trouble).toBe("mute"); // a kernel that restarted meanwhile does not know the view
  });

  it("is no matter once the kernel has ended", () => {
    const { fake, host, kernel, ending } = hosted();
    host.tell("statusChanged", "restarting");
    host.cut();
    host.back();
    expect([kernel.trouble, fake.sent.length]).toEqual(["gone", 0]);
    ending.abort();
    expect(host.listeners).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("keeps the newest of what was set, as one message", () => {
    const { fake, host, kernel, ending } = hosted();
    const writer = new TraitWriter(fake.model, kernel, ending.signal);
    host.cut();
    for (const opacity of [0.1, 0.2, 0.3]) {
      writer.set("opacity", opacity);
      writer.save();
    }
    writer.set("scale", "shared");
    writer.save();
    vi.advanceTimersByTime(60_000);
    host.tell("connectionStatusChanged", "connected");
    host.tell("restored");
    fake.set("opacity", 0.8); // as Python had it
    expect(fake.get("opacity")).toBe(0.3);
    expect(fake.saved).toEqual([{ opacity: 0.3, scale: "shared" }]);
  });
});
