/** Style sheets are bundled as text. */
declare module "*.css" {
  const text: string;
  export default text;
}

declare module "*/pack.mjs" {
  export function pack(code: string, about: string): string;
}
