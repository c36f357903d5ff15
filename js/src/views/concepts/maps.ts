/** Asking for maps that are not stored: once for each photo and kind. */
import type { Context } from "./context";
import type { Shown } from "./state";

export interface Maps {
  /** Asks for what is missing. */
  follow(shown: Shown): void;
  /** Why a map was refused, or nothing. */
  refusal(shown: Shown): string;
}

const keyOf = ({ kind, image }: Shown) => `${kind}/${image?.name}`;

/** Makes it. */
export function makeMaps({ model, kernel, act, signal }: Context): Maps {
  const asked = new Map<string, string>();
  return {
    follow(shown) {
      const { missing, layers, image, kind } = shown;
      const key = keyOf(shown);
      if (!missing || !image || layers.length === 0 || asked.has(key)) return;
      if (!kernel.reachable || !model.get("_model")?.given) return;
      asked.set(key, "");
      void kernel.ask("map", { image: image.name, map_kind: kind }).then((reply) => {
        if (signal.aborted || reply.kind !== "refused") return;
        asked.set(key, reply.message);
        act.redraw();
      });
    },
    refusal: (shown) => asked.get(keyOf(shown)) ?? "",
  };
}
