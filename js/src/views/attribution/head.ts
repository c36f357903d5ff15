/** What the head says of an AttributionView. */
import { type Head, makeHead as makeSharedHead } from "../shared/head";
import type { Context, Part } from "./context";
import { jobVerb, KEYS, kernelWords, progressOf, statusWords, subtitle } from "./words";

/** Makes the head. */
export function makeHead(context: Context): Part & Pick<Head, "toggleKeys"> {
  const { model, kernel } = context;
  const { node, update, toggleKeys } = makeSharedHead(context, KEYS);
  return {
    node,
    toggleKeys,
    update: ({ status, map }) =>
      update({
        title: model.get("_title"),
        subtitle: subtitle(model.get("_images")?.length ?? 0),
        status: statusWords(status, map),
        verb: jobVerb(status),
        silence: kernelWords(kernel.state),
        computing: status.state === "computing",
        done: status.state === "done",
        progress: progressOf(status),
      }),
  };
}
