/**
 * Has the browser's collector come by while content flows. WebCrypto keeps a copy of each message until it does,
 * and a collector does not see the weight of those: a tab that received 2 GB held 194 MiB, and with this 107 (both
 * of Chromium 156).
 */

/** Content between two nudges, in bytes. */
const EVERY = 4 * 1024 * 1024;
/** What is allocated, in bytes: the collector sees it, and it takes no memory, as nobody touches it. */
const WEIGHT = 64 * 1024 * 1024;

let since = 0;

/** A message of so many bytes was handled. */
export function nudgeCollector(bytes: number): void {
  since += bytes;
  if (since < EVERY) return;
  since = 0;
  try {
    new ArrayBuffer(WEIGHT);
  } catch {
    // There is no room for it: the collector has come by for that.
  }
}
