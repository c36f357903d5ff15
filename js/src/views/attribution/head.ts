/** What the head says of an AttributionView. */
import { type Head, makeHead as makeSharedHead } from "../shared/head";
import type { Context, Part } from "./context";
import { statusOf } from "./state";
import { jobVerb, KEYS, kernelWords, progressOf, statusWords, subtitle } from "./words";

/** Makes the head. */
export function makeHead(context: Context): Part & Pick<Head, "toggleKeys"> {
  const { model, kernel } = context;
  const { node, update, toggleKeys } = makeSharedHead(context, KEYS);
  return {
    node,
    toggleKeys,
    update(shown, panels) {
      const status = statusOf(model, shown.image?.name ?? "") ?? shown.status;
      const several = panels.some(({ key }) => key !== shown.key);
      update({
        title: model.get("_title"),
        subtitle: subtitle(model.get("_images")?.length ?? 0, model.get("_methods")?.length ?? 1),
        status: statusWords(status, several ? null : shown.map),
        verb: jobVerb(status),
        silence: kernelWords(kernel),
        computing: status.state === "computing",
        done: status.state === "done",
        progress: progressOf(status),
      });
    },
  };
}
