// Bundles every view into one self-contained ES module that unpacks itself, and the host of exported pages into one script.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";
import { pack } from "./pack.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const OUT = join(HERE, "../src/whatwhere/static");
const MOST_BYTES = 61_440; // `_esm` is stored once per live widget in a saved notebook: size is a feature
const watching = process.argv.includes("--watch");

/** Style sheets travel inside the module, minified, because `_css` of anywidget never reaches a shadow root. */
const styleText = {
  name: "style-text",
  setup(build) {
    build.onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const { code } = await esbuild.transform(await readFile(path, "utf8"), {
        loader: "css",
        minify: !watching,
      });
      return { contents: code, loader: "text" };
    });
  },
};

/** Packs views, writes what was built, and prints sizes; a bundle over the limit is an error. */
const finish = {
  name: "finish",
  setup(build) {
    build.onEnd(async ({ errors, outputFiles = [] }) => {
      if (errors.length) return;
      const file = build.initialOptions.outfile;
      const name = file.slice(OUT.length + 1);
      const code = outputFiles[0].text;
      const isView = build.initialOptions.format === "esm";
      const about = `whatwhere, ${name}: js/src/views, packed; MIT licence. To read it: npm run watch.`;
      const text = isView && !watching ? pack(code, about) : code;
      const bytes = Buffer.byteLength(text);
      await mkdir(OUT, { recursive: true });
      await writeFile(file, text);
      console.log(`${name}: ${bytes} B, ${Buffer.byteLength(code)} B before packing`);
      if (watching) return;
      if (bytes > MOST_BYTES) throw new Error(`${name} is above ${MOST_BYTES} B`);
    });
  },
};

const common = {
  absWorkingDir: HERE,
  bundle: true,
  write: false,
  minify: !watching,
  sourcemap: watching ? "inline" : false,
  target: "es2022",
  legalComments: "none",
  charset: "utf8",
  plugins: [styleText, finish],
};

const bundles = [
  ...["atlas", "attribution", "concepts", "explorer", "prototypes", "strategies"].map((view) => ({
    ...common,
    entryPoints: [`src/views/${view}.ts`],
    format: "esm",
    outfile: join(OUT, `${view}.js`),
  })),
  { ...common, entryPoints: ["src/standalone/host.ts"], format: "iife", outfile: join(OUT, "standalone.js") },
];

if (watching) {
  for (const options of bundles) await (await esbuild.context(options)).watch();
} else {
  try {
    await Promise.all(bundles.map((options) => esbuild.build(options)));
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
