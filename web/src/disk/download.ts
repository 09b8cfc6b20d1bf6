/**
 * A download that the browser makes of what the page hands to its service worker (service.ts), bit by bit. The
 * worker asks for more as the browser writes, which holds the page back.
 */

import { DiskFault } from "./fault.ts";
import type { Sink } from "./flow.ts";
import { guarded } from "./target.ts";

/** How long the browser may take to begin a download, in ms. */
const PATIENCE = 20_000;
/** How often the worker is told that it is needed, in ms: browsers end one that has heard nothing for half a minute. */
const NEEDED = 10_000;

export const hasDownload = (): boolean => "serviceWorker" in navigator && "ReadableStream" in window;

/** What the service worker is told of a download. */
export interface Offer {
  readonly id: string;
  readonly name: string;
  /** Bytes in all, where that is known. */
  readonly size: number | null;
}

/** Begins a download; `leaving` is called right before the browser goes to its address. Throws {@link DiskFault}. */
export const downloadSink = (offer: Offer, leaving: () => void): Promise<Sink> => guarded(begin(offer, leaving));

async function begin(offer: Offer, leaving: () => void): Promise<Sink> {
  await navigator.serviceWorker.register("service.js");
  const { active } = await navigator.serviceWorker.ready;
  if (!active) throw new DiskFault("target_failed");
  const { port1: port, port2 } = new MessageChannel();
  let [ready, wanted, gone] = [false, 0, false];
  let wake: (() => void) | null = null;
  port.onmessage = ({ data }: MessageEvent<"ready" | "more" | "gone">) => {
    if (data === "ready") ready = true;
    else if (data === "more") wanted++;
    else gone = true;
    wake?.();
  };
  const until = async (there: () => boolean, patience: number): Promise<void> => {
    const late = setTimeout(() => ((gone = true), wake?.()), patience);
    while (!there() && !gone) await new Promise<void>((go) => (wake = go));
    clearTimeout(late);
    if (gone) throw new DiskFault("target_failed");
  };
  active.postMessage(offer, [port2]);
  await until(() => ready, PATIENCE);
  leaving();
  location.assign(`download/${offer.id}`);
  await until(() => wanted > 0, PATIENCE);
  const needed = setInterval(() => active.postMessage(null), NEEDED);
  const last = (word: "end" | "abort"): void => {
    clearInterval(needed);
    port.postMessage(word);
  };
  return {
    async write(bytes) {
      // A browser that asks the person where to save may take its time.
      await until(() => wanted > 0, 10 * 60_000);
      wanted--;
      port.postMessage(bytes, [bytes.buffer]);
    },
    async close() {
      last("end");
      return null;
    },
    async abort() {
      last("abort");
    },
  };
}
