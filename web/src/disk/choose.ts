/** Which kind of target a transfer gets in this browser. */

import type { Manifest } from "../transfer/note.ts";
import { DiskFault } from "./fault.ts";
import { MAX_MEMORY } from "./flow.ts";

/** What this browser can do. */
export interface Can {
  /** Ask for a file or folder of the machine. */
  readonly pick: boolean;
  /** Write to the origin's private file system, which has room for so many bytes. */
  readonly private: number | null;
  /** Make a download of what the page hands over bit by bit. */
  readonly download: boolean;
}

export type Way = "pick" | "private" | "download" | "memory";

/** From so many bytes on a person is asked where to save: a copy in the browser would take the place twice. */
export const ASK_FROM = 256 * 1024 * 1024;

/** Up to so many bytes memory goes before a download, of which a browser may leave a part behind where it fails. */
export const SMALL = 16 * 1024 * 1024;

/** The ways there are, the best first; where it is `pick`, the person is to click. */
export function ways({ what, size }: Pick<Manifest, "what" | "size">, can: Can): Way[] {
  const ways: Way[] = [];
  if (can.private !== null && (size ?? 0) <= can.private) ways.push("private");
  const fits = (most: number): boolean => size !== null && size <= most;
  if (fits(SMALL)) ways.push("memory");
  if (can.download) ways.push("download");
  if (fits(MAX_MEMORY) && !fits(SMALL)) ways.push("memory");
  const ask = can.pick && (what !== "file" || size === null || size >= ASK_FROM || ways[0] !== "private");
  return ask ? ["pick", ...ways] : ways;
}

/** Opens the first way that works: a private file system, or a download, may be there and be of no use. */
export async function firstThatOpens<T>([way, ...others]: readonly Way[], open: (way: Way) => Promise<T>): Promise<T> {
  if (way === undefined) throw new DiskFault("target_failed");
  return open(way).catch((error: unknown) => {
    // Who receives it in another page wants it there.
    const isElsewhere = others.length > 0 && error instanceof DiskFault && error.reason !== "in_use";
    if (!isElsewhere) throw error;
    return firstThatOpens(others, open);
  });
}
