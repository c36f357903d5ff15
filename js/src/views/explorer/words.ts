/** What an Explorer says. */
import type { Found } from "../../core/explorer_wire";
import { type Answering, silenceWords } from "../shared/answering";

const SAVED = "Saved page: what is here still reacts; computing more needs a notebook.";

export const KEYS: readonly [string[], string][] = [
  [["Tab"], "to the next control, and from one part to the next"],
  [["←", "→"], "walk photos, concepts and classes"],
  [["Enter"], "opens what has the focus"],
  [["Esc"], "stops, or takes the last step back, in the part that has the focus"],
  [["?"], "in a part: its own keys"],
];

/** The line behind the title. */
export function subtitle(found: Partial<Found>): string {
  const { photos = 0, unreadable = [] } = found;
  const many = photos === 1 ? "1 photo" : `${photos.toLocaleString("en")} photos`;
  return unreadable.length ? `${many}, ${unreadable.length} of them unreadable` : many;
}

/** How many photos the strip does not show; empty if it shows all. */
export function beyondWords({ photos = 0, strip = photos, unreadable = [] }: Partial<Found>): string {
  const there = photos - unreadable.length;
  const of = `${strip.toLocaleString("en")} of ${there.toLocaleString("en")}`;
  return strip < there ? `The strip has ${of} photos. Go to another:` : "";
}

/** What the chooser says of a class. */
export function choice(name: string, photos: number): string {
  return `${name} (${photos.toLocaleString("en")})`;
}

/** What a screen reader hears once it is known whose concepts are shown. */
export function explainedWords(found: Partial<Found>): string {
  if (!found.settled) return "";
  const of = found.classes?.find(({ id }) => id === found.explained);
  return of ? `Concepts of ${of.name}, from ${of.photos} photos.` : "Concepts of all photos.";
}

/** What the kernel's silence means; empty if it answers. */
export const silence = (kernel: Answering): string => silenceWords(kernel, SAVED);
