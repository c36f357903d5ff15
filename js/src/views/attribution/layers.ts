/** Readings of a map that are not always there: they are asked of Python when they are shown, and kept. */
import type { Kernel } from "../../core/kernel";
import type { AnyModel } from "../../core/model";
import { decodeLayer, type Plane } from "../../core/planes";
import type { IndexName, LayerInfo, MapInfo, ScoreName } from "../../core/wire";

export interface Layer {
  info: LayerInfo;
  plane: Plane;
}

interface Kept {
  layer: Layer;
  /** The map that it was read from; an older one is shown until the newer is there. */
  of: MapInfo;
}

export class LayerStore {
  #model: AnyModel;
  #kernel: Kernel;
  #arrived: () => void;
  #kept = new Map<string, Kept>();
  /** Why Python refused, by what was asked. */
  #refused = new Map<string, string>();
  #underWay = new Set<string>();

  /**
   * @param model - holds `_layers` in exported pages
   * @param kernel - is asked
   * @param arrived - called when a layer can be drawn
   */
  constructor(model: AnyModel, kernel: Kernel, arrived: () => void) {
    this.#model = model;
    this.#kernel = kernel;
    this.#arrived = arrived;
  }

  /** A layer of a class, or null until it is there; asks for it, and again once its map is newer. */
  get(image: string, map: MapInfo, id: number, index: IndexName, score: ScoreName): Layer | null {
    const key = JSON.stringify([image, id, index, score]);
    const kept = this.#kept.get(key) ?? this.#stored(key, image, map, id, index, score);
    if (kept?.of !== map && !this.#refused.has(`${map.rows}${key}`))
      void this.#ask(key, image, map, id, index, score);
    return kept?.layer ?? null;
  }

  /** Why a layer of the shown map cannot be had, or nothing. */
  refusal(image: string, map: MapInfo, id: number, index: IndexName, score: ScoreName): string {
    return this.#refused.get(`${map.rows}${JSON.stringify([image, id, index, score])}`) ?? "";
  }

  #stored(
    key: string,
    image: string,
    map: MapInfo,
    id: number,
    index: IndexName,
    score: ScoreName,
  ): Kept | undefined {
    const found = this.#model
      .get("_layers")
      ?.[image]?.find((each) => each.id === id && each.index === index && each.score === score);
    return found && this.#keep(key, map, found, found.plane, map.grid);
  }

  async #ask(
    key: string,
    image: string,
    map: MapInfo,
    id: number,
    index: IndexName,
    score: ScoreName,
  ): Promise<void> {
    if (this.#underWay.has(key) || !this.#kernel.reachable) return;
    this.#underWay.add(key);
    const reply = await this.#kernel.ask("layer", { image, class: id, index, score });
    this.#underWay.delete(key);
    if (reply.kind === "layer" && reply.buffers?.[0])
      this.#keep(key, map, reply.layer, reply.buffers[0], reply.grid);
    else if (reply.kind === "refused") this.#refused.set(`${map.rows}${key}`, reply.message);
    this.#arrived();
  }

  #keep(
    key: string,
    of: MapInfo,
    info: LayerInfo,
    bytes: DataView,
    grid: readonly [number, number],
  ): Kept | undefined {
    const plane = decodeLayer(bytes, grid, info);
    if (!plane) return undefined;
    const kept = { layer: { info, plane }, of };
    this.#kept.set(key, kept);
    return kept;
  }
}
