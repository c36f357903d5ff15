/** Where a crop comes from: its photo with the crop's box, beside the crop that is pointed at. */
import type { CropInfo, PhotoInfo } from "../../core/concept_wire";
import { h, setText, show } from "../../core/dom";
import { amount } from "../../core/format";
import type { Picture } from "../shared/photos";

/** Longer side of the photo in pixels of the page. */
const SIDE = 176;
const MARGIN = 6;

export interface Peek {
  node: HTMLElement;
  open(button: HTMLElement, crop: CropInfo, image: PhotoInfo | undefined, picture: Picture | null): void;
  close(): void;
}

/** Makes it. */
export function makePeek(): Peek {
  const canvas = h("canvas", { "aria-hidden": "true" });
  const words = h("p", { class: "sm" });
  const node = h("div", { class: "peek", hidden: true }, canvas, words);
  return {
    node,
    open(button, crop, image, picture) {
      const there = image && picture ? { image, bitmap: picture.bitmap } : null;
      show(canvas, there !== null);
      if (there) paintPhoto(canvas, there.bitmap, there.image, crop);
      const where = there ? "" : ", a photo that is not kept here";
      setText(words, `${crop.image}${where}: ${amount(crop.activation)} of code`);
      show(node, true);
      hangAbove(node, button);
    },
    close: () => show(node, false),
  };
}

function paintPhoto(canvas: HTMLCanvasElement, bitmap: ImageBitmap, image: PhotoInfo, crop: CropInfo): void {
  const scale = SIDE / Math.max(image.width, image.height);
  const [width, height] = [Math.round(image.width * scale), Math.round(image.height * scale)];
  [canvas.width, canvas.height] = [2 * width, 2 * height];
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const brush = canvas.getContext("2d");
  if (!brush) return;
  brush.imageSmoothingQuality = "high";
  brush.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const [x0, y0, x1, y1] = crop.box.map((edge) => 2 * scale * edge) as [number, number, number, number];
  brush.save();
  brush.beginPath();
  brush.rect(0, 0, canvas.width, canvas.height);
  brush.rect(x0, y0, x1 - x0, y1 - y0);
  brush.clip("evenodd");
  brush.fillStyle = "rgba(0,0,0,.45)";
  brush.fillRect(0, 0, canvas.width, canvas.height);
  brush.restore();
  brush.lineWidth = 5;
  brush.strokeStyle = "rgba(0,0,0,.6)";
  brush.strokeRect(x0, y0, x1 - x0, y1 - y0);
  brush.lineWidth = 3;
  brush.strokeStyle = "#fff";
  brush.strokeRect(x0, y0, x1 - x0, y1 - y0);
}

/** Stands over its button, inside the view's width. */
function hangAbove(node: HTMLElement, button: HTMLElement): void {
  const root = node.closest<HTMLElement>(".ww");
  const parent = node.offsetParent;
  if (!root || !parent) return;
  const [edges, origin, at] = [root, parent, button].map((each) => each.getBoundingClientRect()) as [
    DOMRect,
    DOMRect,
    DOMRect,
  ];
  const middle = at.left + at.width / 2 - node.offsetWidth / 2;
  const left = Math.max(edges.left, Math.min(middle, edges.right - node.offsetWidth));
  node.style.left = `${left - origin.left}px`;
  node.style.top = `${at.top - origin.top - node.offsetHeight - MARGIN}px`;
}
