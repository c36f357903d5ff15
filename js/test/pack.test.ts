// @vitest-environment node
import { expect, test } from "vitest";
import { pack } from "../pack.mjs";

const words = Array.from({ length: 400 }, (_, i) => `"where does it look ${i % 7}?"`).join();

test("a packed module has the same default export, and is shorter", async () => {
  const code = `const words=[${words}];export default{render:()=>words.length+" → ☑ é"};`;
  const packed = pack(code, "a test");
  expect(packed.length).toBeLessThan(code.length / 2);
  expect(packed).not.toMatch(/<\/script/i);
  // Node imports no blob: addresses, as some hosts do not: the data: address is what is left
  const module = await import(/* @vite-ignore */ `data:text/javascript,${encodeURIComponent(packed)}`);
  expect(module.default.render()).toBe("400 → ☑ é");
});
