/** Where content is kept, in browsers that let a page keep nothing, or fail. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { forget, keep, kept, keptPicked } from "../src/disk/keep.ts";

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
