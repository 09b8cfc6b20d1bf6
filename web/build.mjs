// Builds web/dist, which is committed: the relay takes it into its binary, and needs no npm for it. The same
// sources give the same bytes.

import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { build } from "esbuild";

const DIST = new URL("dist/", import.meta.url);

/** What all bundles have in common. */
const common = {
  absWorkingDir: new URL(".", import.meta.url).pathname,
  outdir: "dist",
  bundle: true,
  minify: true,
  format: "esm",
  splitting: true,
  chunkNames: "[name]-[hash]",
  target: ["chrome109", "firefox115", "safari16"],
  charset: "utf8",
  // What is others' says so: the library, and the list of words.
  legalComments: "inline",
  loader: { ".txt": "text" },
  metafile: true,
  logLevel: "warning",
};

/** Builds one entry, and says the name it has in dist. */
async function bundle(entry, entryNames, options = {}) {
  const { metafile } = await build({ ...common, entryPoints: [entry], entryNames, ...options });
  const [file] = Object.entries(metafile.outputs).find(([, output]) => output.entryPoint === entry);
  return file.replace("dist/", "");
}

const HASHED = "[name]-[hash]";

await rm(DIST, { recursive: true, force: true });
await mkdir(DIST);
const worker = await bundle("src/disk/private_worker.ts", HASHED);
await bundle("src/disk/service.ts", "service");
const main = await bundle("src/page/main.ts", HASHED, { define: { DISK_WORKER: JSON.stringify(`./${worker}`) } });
const style = await bundle("src/style.css", HASHED);
const icon = await bundle("src/icon.svg", HASHED, { loader: { ".svg": "copy" } });

let page = await readFile("src/index.html", "utf8");
for (const [name, file] of Object.entries({ main, style, icon })) page = page.replace(`{${name}}`, `./${file}`);
await writeFile(new URL("index.html", DIST), page.replace(/\n\s+/g, "\n"));

// In the format of sha256sum, for `sha256sum --check DIGESTS`.
const files = (await readdir(DIST)).sort();
const sizes = new Map();
let digests = "";
for (const file of files) {
  const content = await readFile(new URL(file, DIST));
  sizes.set(file, content.length);
  digests += `${createHash("sha256").update(content).digest("hex")}  ${file}\n`;
}
await writeFile(new URL("DIGESTS", DIST), digests);

/** The most that is loaded before somebody shares or receives, in any language, in bytes. */
const LIMIT = 100 * 1024;
const isText = (file) => /^(en|ko)-/.test(file);
const later = (file) => file === worker || file === "service.js" || file.startsWith("qr-");
const always = files.filter((file) => !later(file) && !isText(file)).reduce((sum, file) => sum + sizes.get(file), 0);
const first = always + Math.max(...files.filter(isText).map((file) => sizes.get(file)));
console.log(`${files.length} files, the first page of ${first} bytes`);
if (first > LIMIT) throw new Error(`the first page weighs more than ${LIMIT} bytes`);
