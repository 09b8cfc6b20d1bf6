/** Reads blobs, and files, also while the page is being left. */

/** How long to wait before a browser that reads nothing is tried again, in ms. */
const TRY_AGAIN = 200;
/** How long a browser may read nothing, in ms. */
const PATIENCE = 60_000;

/** The browser has read nothing for a minute, whatever it was asked for. */
export class ReadsNothing extends Error {}

/**
 * What is in a blob. WebKit refuses every read from when a page begins to be left until the next page is there, or
 * the browser gives it up: this waits for that. Rejects with the browser's error where the blob alone cannot be
 * read, and with {@link ReadsNothing}.
 */
export async function contentOf(blob: Blob): Promise<ArrayBuffer> {
  const until = performance.now() + PATIENCE;
  for (let refused = 0; ; ) {
    try {
      return await blob.arrayBuffer();
    } catch (error) {
      // The browser may have begun to read again just after it refused: one more try tells.
      refused = (await hadToWait(until)) ? 0 : refused + 1;
      if (refused === 2) throw error;
    }
  }
}

/** Waits until the browser reads a blob that was made just now, and cannot have changed; `false` where it did at once. */
async function hadToWait(until: number): Promise<boolean> {
  for (let waited = false; ; waited = true) {
    const reads = await new Blob(["0"]).arrayBuffer().then(() => true, () => false);
    if (reads) return waited;
    if (performance.now() >= until) throw new ReadsNothing();
    await new Promise((later) => setTimeout(later, TRY_AGAIN));
  }
}
