/** Where content is kept, in browsers that let a page keep nothing, or fail. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { forget, keep, kept, keptPicked } from "../src/disk/keep.ts";
import { openPrivate } from "../src/disk/private.ts";

test("a browser that blocks what a page keeps lets it run all the same", async () => {
  Object.defineProperty(globalThis, "sessionStorage", {
    configurable: true,
    get() {
      throw new DOMException("blocked", "SecurityError");
    },
  });
  keep({ role: "receive", code: "a7f3k2" });
  assert.equal(kept(), null);
  await forget();
  assert.equal(await keptPicked("00"), null);
});

test("a private folder that does not open is free for the next try", async () => {
  let [ended, released] = [0, 0];
  const request = (_name: string, _options: object, kept: () => Promise<void>) => kept().then(() => void released++);
  Object.defineProperty(globalThis, "navigator", { configurable: true, value: { locks: { request } } });
  class FailingWorker {
    onmessage: ((event: { data: object }) => void) | null = null;
    postMessage(): void {
      setImmediate(() => this.onmessage?.({ data: { error: { name: "NoModificationAllowedError", message: "" } } }));
    }
    terminate(): void {
      ended++;
    }
  }
  Object.assign(globalThis, { Worker: FailingWorker, DISK_WORKER: "worker.js" });
  const manifest = { transfer: new Uint8Array(16), what: "file", name: "a", size: 1, files: 1 } as const;
  await assert.rejects(openPrivate(manifest, () => undefined), { reason: "target_failed" });
  assert.deepEqual([ended, released], [1, 1]);
});
