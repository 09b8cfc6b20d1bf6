/** Where content is kept, in browsers that let a page keep nothing, or fail. */

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { firstThatOpens, type Way } from "../src/disk/choose.ts";
import { downloadSink } from "../src/disk/download.ts";
import { DiskFault } from "../src/disk/fault.ts";
import { forget, keep, kept, keptPicked } from "../src/disk/keep.ts";
import { openPrivate } from "../src/disk/private.ts";
import { contentOf } from "../src/disk/read.ts";
import { Source } from "../src/disk/source.ts";
import { guarded } from "../src/disk/target.ts";

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

/** A browser that refuses the next reads, as WebKit does while a page is being left, and waits in no time. */
function refusing(context: TestContext, times: number): void {
  let [left, now] = [times, 0];
  const read = Blob.prototype.arrayBuffer;
  context.mock.method(Blob.prototype, "arrayBuffer", function (this: Blob) {
    return left-- > 0 ? Promise.reject(new DOMException("refused", "NotReadableError")) : read.call(this);
  });
  context.mock.method(performance, "now", () => now);
  context.mock.method(globalThis, "setTimeout", (then: () => void, after: number) => {
    now += after;
    setImmediate(then);
  });
}

test("a file is read once its browser reads at all", async (context) => {
  for (const times of [0, 1, 2, 10, 300]) {
    refusing(context, times);
    assert.deepEqual(await contentOf(new Blob(["abc"])), new TextEncoder().encode("abc").buffer, `${times} reads refused`);
    context.mock.restoreAll();
  }
});

test("a browser that reads nothing for a minute is given up, with the word of the side that it is on", async (context) => {
  refusing(context, 303);
  const source = await Source.of([{ path: ["a"], file: new File(["abc"], "a") }], "files");
  await assert.rejects(source.asText(100), { reason: "source_failed" });
  context.mock.restoreAll();
  refusing(context, 303);
  await assert.rejects(guarded(contentOf(new Blob(["abc"]))), { reason: "target_failed" });
});

test("a file that alone is refused has changed", async () => {
  let reads = 0;
  class Changed extends File {
    override slice(): Blob {
      return this;
    }
    override arrayBuffer(): Promise<ArrayBuffer> {
      reads++;
      return Promise.reject(new DOMException("changed", "NotReadableError"));
    }
  }
  const source = await Source.of([{ path: ["a"], file: new Changed(["abc"], "a") }], "files");
  await assert.rejects(source.asText(100), { reason: "source_changed" });
  assert.equal(reads, 2);
});
