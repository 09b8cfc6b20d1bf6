// Bundles the tests and runs them by node's own runner.

import { spawnSync } from "node:child_process";
import { readdir, rm } from "node:fs/promises";
import { build } from "esbuild";

const here = new URL(".", import.meta.url).pathname;
const out = new URL("../.test/", import.meta.url).pathname;
const tests = (await readdir(here)).filter((name) => name.endsWith(".test.ts"));
await rm(out, { recursive: true, force: true });
await build({
  entryPoints: tests.map((name) => here + name),
  outdir: out,
  outExtension: { ".js": ".mjs" },
  bundle: true,
  platform: "node",
  format: "esm",
  splitting: true,
  loader: { ".txt": "text" },
  sourcemap: "inline",
  logLevel: "warning",
});
const { status } = spawnSync(process.execPath, ["--test", ...tests.map((name) => out + name.replace(".ts", ".mjs"))], { stdio: "inherit" });
process.exit(status ?? 1);
