// Packs a module into a smaller one that unpacks itself: what is saved with a notebook is half as long.
import { deflateSync } from "node:zlib";

/**
 * The text that unpacks and imports a module, as anywidget itself imports it: from a blob: address. Where that is
 * forbidden, from a data: address.
 */
const UNPACK = `const bytes=Uint8Array.from(atob(packed),(c)=>c.charCodeAt(0));
const stream=new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
const code=await new Response(stream).text();
const url=URL.createObjectURL(new Blob([code],{type:"text/javascript"}));
const module=await import(url).catch(()=>import("data:text/javascript;charset=utf-8,"+encodeURIComponent(code)));
URL.revokeObjectURL(url);
export default module.default;
`;

/**
 * Packs a module that has nothing but a default export.
 *
 * @param {string} code - the module, self-contained
 * @param {string} about - a line for whoever opens the file
 * @returns {string} a module with the same default export
 */
export function pack(code, about) {
  const packed = deflateSync(Buffer.from(code), { level: 9, memLevel: 9 }).toString("base64");
  return `// ${about}\nconst packed="${packed}";\n${UNPACK}`;
}
