/** What the classes would be if concepts were weaker or stronger; exact where the head is affine. */

import type { BankInfo, ClassChange, ConceptTraits } from "../../core/concept_wire";
import type { AnyModel } from "../../core/model";
import { readFloats, readHalves } from "./codec";
import { sum } from "./groups";
import type { Concept } from "./state";

/** Probabilities of logits; of a single one it is that of its class against none. */
export function softmax(logits: Float32Array): Float32Array {
  if (logits.length === 1) return logits.map((value) => 1 / (1 + Math.exp(-value)));
  let top = Number.NEGATIVE_INFINITY;
  for (const value of logits) top = Math.max(top, value);
  const out = logits.map((value) => Math.exp(value - top));
  let sum = 0;
  for (const value of out) sum += value;
  return out.map((value) => value / sum);
}

/**
 * Logits when each concept's code is multiplied by a factor.
 *
 * @param logits - of all K classes as they are
 * @param effects - (r, K): what a concept's mean code of 1 adds to each class
 * @param codes - mean code of each concept in the photo
 * @param factors - of each concept; 1 leaves it as it is
 */
export function scaleLogits(
  logits: Float32Array,
  effects: Float32Array,
  codes: readonly number[],
  factors: readonly number[],
): Float32Array {
  const out = logits.slice();
  const count = logits.length;
  factors.forEach((factor, row) => {
    const weight = (factor - 1) * (codes[row] ?? 0);
    if (weight === 0) return;
    for (let k = 0; k < count; k++) out[k] = (out[k] as number) + weight * (effects[row * count + k] ?? 0);
  });
  return out;
}

/**
 * The classes to show: the likeliest as it is, and those that become as likely; in the order of what was, so that
 * nothing jumps under the slider.
 */
export function pickClasses(
  before: Float32Array,
  after: Float32Array,
  names: readonly string[],
  count: number,
): ClassChange[] {
  const weight = (k: number) => Math.max(before[k] ?? 0, after[k] ?? 0);
  const best: number[] = [];
  for (let k = 0; k < before.length; k++) {
    const place = best.findIndex((other) => weight(k) > weight(other));
    if (place >= 0) best.splice(place, 0, k);
    else if (best.length < count) best.push(k);
    best.length = Math.min(best.length, count);
  }
  return best
    .sort((a, b) => (before[b] ?? 0) - (before[a] ?? 0))
    .map((k) => ({ name: names[k] ?? `class ${k}`, p: after[k] ?? 0, before: before[k] ?? 0 }));
}

const decoded = new WeakMap<DataView, Float32Array>();

/** Effects, (r, K), decoded once. */
function effectsOf(bytes: DataView): Float32Array {
  const known = decoded.get(bytes) ?? readFloats(bytes);
  decoded.set(bytes, known);
  return known;
}

/**
 * The classes to whose logit a concept, or a merged one, adds most on average.
 *
 * @returns null where the effects on all classes are not there to be added up
 */
export function closestClasses(
  model: AnyModel<ConceptTraits>,
  bank: BankInfo,
  { parts, row }: Concept,
): BankInfo["classes"][number] | null {
  const told = bank.classes?.[row] ?? [];
  const names = model.get("_classes") ?? [];
  if (parts.length === 1 || told.length === 0) return told;
  if (names.length === 0) return null;
  const effects = effectsOf(model.get("_effects"));
  return names
    .map((name, k) => ({
      name,
      value: sum(
        parts.map((part) => (bank.mean_code[part.row] ?? 0) * (effects[part.row * names.length + k] ?? 0)),
      ),
    }))
    .sort((a, b) => b.value - a.value)
    .slice(0, told.length);
}

/** The browser's own arithmetic; it decodes the effects and each photo's logits once. */
export class WhatIf {
  #model: AnyModel<ConceptTraits>;
  #logitsOf: DataView | null = null;
  #logits = new Map<number, Float32Array>();

  constructor(model: AnyModel<ConceptTraits>) {
    this.#model = model;
  }

  /** Whether Python sent what it takes. */
  get exact(): boolean {
    const classes = this.#model.get("_classes")?.length ?? 0;
    return classes > 0 && (this.#model.get("_effects")?.byteLength ?? 0) >= 4 * classes;
  }

  /**
   * Works out the classes.
   *
   * @param place - of the photo
   * @param name - of the photo
   * @param factors - of each concept
   * @param count - how many classes
   * @returns null if the photo's logits are not there
   */
  classes(place: number, name: string, factors: readonly number[], count: number): ClassChange[] | null {
    const names = this.#model.get("_classes");
    const codes = this.#model.get("_mean_codes")?.[name];
    const logits = this.#logitsAt(place, names.length);
    if (!codes || !logits) return null;
    const after = scaleLogits(logits, effectsOf(this.#model.get("_effects")), codes, factors);
    return pickClasses(softmax(logits), softmax(after), names, count);
  }

  #logitsAt(place: number, count: number): Float32Array | null {
    const bytes = this.#model.get("_logits");
    if (!bytes || bytes.byteLength < 2 * count * (place + 1)) return null;
    if (bytes !== this.#logitsOf) {
      this.#logits.clear();
      this.#logitsOf = bytes;
    }
    const known = this.#logits.get(place) ?? readHalves(bytes, place * count, count);
    this.#logits.set(place, known);
    return known;
  }
}
