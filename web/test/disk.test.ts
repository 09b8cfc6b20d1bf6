/** Where content is kept, in browsers that let a page keep nothing, or fail. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { firstThatOpens, type Way } from "../src/disk/choose.ts";
import { downloadSink } from "../src/disk/download.ts";
import { DiskFault } from "../src/disk/fault.ts";
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

test("where a way does not open there is the next", async () => {
  const register = () => Promise.reject(new DOMException("no workers here", "SecurityError"));
  Object.defineProperty(globalThis, "navigator", { configurable: true, value: { serviceWorker: { register } } });
  const opened = (fault: DiskFault) => (way: Way) => {
    if (way === "private") return Promise.reject(fault);
    return way === "download" ? downloadSink({ id: "00", name: "a", size: 1 }, () => undefined).then(() => way) : Promise.resolve(way);
  };
  const found = ["private", "download", "memory"] as const;
  assert.equal(await firstThatOpens(found, opened(new DiskFault("target_failed"))), "memory");
  await assert.rejects(firstThatOpens(found, opened(new DiskFault("in_use"))), { reason: "in_use" });
  await assert.rejects(firstThatOpens(["download"], opened(new DiskFault("in_use"))), { reason: "denied" });
});
