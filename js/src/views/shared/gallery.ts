/** Photos that are not saved with the view: asked for, a few at a time, when they come into sight. */
import type { KernelState } from "../../core/kernel";
import { type StripInfo, THUMBNAILS, type ThumbnailsReply, type ThumbnailsWanted } from "../../core/wire";

/** A request whose answer has not come by then is taken for lost, in milliseconds. */
const LOST_AFTER = 20_000;

/** What is known of a photo that arrived. */
export interface Tile<Info> {
  info: Info & { error?: string };
  /** Null of one that could not be read. */
  bytes: DataView | null;
}

interface Asker {
  readonly state: KernelState;
  ask(kind: "thumbnails", body: ThumbnailsWanted): Promise<{ kind: string }>;
}

/** The photos of one model's strip; one request is under way at a time, and what was wished last goes first. */
export class Gallery<Info> {
  #kernel: Asker;
  #ready: () => void;
  #strip: StripInfo = { total: 0, mark: 0 };
  #tiles = new Map<number, Tile<Info>>();
  #wanted: number[] = [];
  /** When the request that is under way was made. */
  #asked = Number.NEGATIVE_INFINITY;

  /**
   * @param kernel - asks Python
   * @param ready - called when photos arrived
   */
  constructor(kernel: Asker, ready: () => void) {
    this.#kernel = kernel;
    this.#ready = ready;
  }

  /** Whether any photo arrived. */
  get started(): boolean {
    return this.#tiles.size > 0;
  }

  get(place: number): Tile<Info> | undefined {
    return this.#tiles.get(place);
  }

  /** Follows the model; photos of another strip are forgotten. */
  follow(strip: StripInfo | undefined): void {
    if (!strip) return;
    const same = strip.mark === this.#strip.mark;
    this.#strip = strip; // photos may have come behind the others
    if (same) return;
    this.#tiles.clear();
    this.#wanted = [];
    this.#asked = Number.NEGATIVE_INFINITY;
  }

  /** Asks for photos that are in sight, as far as they are not there. */
  want(places: readonly number[]): void {
    this.#wanted = places.filter((place) => place < this.#strip.total && !this.#tiles.has(place));
    if (this.#wanted.length === 0 || this.#kernel.state !== "alive") return;
    if (performance.now() - this.#asked < LOST_AFTER) return;
    this.#asked = performance.now();
    const { mark } = this.#strip;
    void this.#kernel
      .ask("thumbnails", { mark, places: this.#wanted.slice(0, THUMBNAILS) })
      .then((reply) => this.#take(mark, reply as Partial<ThumbnailsReply>));
  }

  #take(mark: number, reply: Partial<ThumbnailsReply>): void {
    if (mark !== this.#strip.mark) return;
    reply.images?.forEach((info, k) => {
      const bytes = reply.buffers?.[k];
      this.#tiles.set(info.place, {
        info: info as unknown as Tile<Info>["info"],
        bytes: bytes?.byteLength ? bytes : null,
      });
    });
    // refused: what is asked again after a while may be granted
    if (!reply.images) return;
    this.#asked = Number.NEGATIVE_INFINITY;
    this.want(this.#wanted);
    this.#ready();
  }
}
