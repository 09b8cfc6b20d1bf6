/** Where content goes. How much of it is there, and the chain of its headers, is kept here once for all kinds. */

import { DiskFault } from "./fault.ts";
import { type Bytes, same } from "../transfer/bytes.ts";
import { chained, type Header, NO_HEADERS } from "../transfer/note.ts";

/** The most files and folders that are taken of one transfer. */
export const MAX_ENTRIES = 100_000;
/** The most that is taken of their headers, in bytes. */
export const MAX_HEADERS = 32 * 1024 * 1024;

/** How much there is. */
export interface Place {
  readonly entries: number;
  /** Bytes of the last entry. */
  readonly offset: number;
  /** The chain of headers. */
  readonly digest: Bytes;
  /** The last entry's. */
  readonly header: Header | null;
  /** Bytes of all headers. */
  readonly headers: number;
  /** Bytes of content in all. */
  readonly bytes: number;
}

export const EMPTY: Place = { entries: 0, offset: 0, digest: NO_HEADERS, header: null, headers: 0, bytes: 0 };

/** What was received, for the person. */
export interface Saved {
  readonly name: string;
  readonly bytes: number;
  /** Content that the browser is yet to save; nothing where it lies where the person wanted it. */
  readonly blob: Blob | null;
  /** Removes this page's own copy. */
  readonly forget: (() => Promise<void>) | null;
}

export interface Target {
  readonly place: Place;
  /** An entry begins. Throws {@link DiskFault}. */
  entry(header: Header, json: Bytes): Promise<void>;
  /** Content of it; the promise is kept once it is written. Throws {@link DiskFault}. */
  write(content: Bytes): Promise<void>;
  /** That was all, with this chain. Throws {@link DiskFault}. */
  finish(digest: Bytes): Promise<void>;
  /** It goes no further; what can be gone on with later is kept where that is asked for. */
  leave(keep: boolean): Promise<void>;
}

/** What a kind of target does with content. */
export interface Store {
  begin(header: Header, json: Bytes, entry: number): Promise<void>;
  write(content: Bytes, offset: number): Promise<void>;
  /** Everything is there. */
  finish(): Promise<Saved>;
  leave(keep: boolean): Promise<void>;
}

/** A target of a store; `saved` hears what came of it. */
export function targetOf(store: Store, from: Place, saved: (saved: Saved) => void): Target {
  let place = from;
  return {
    get place() {
      return place;
    },
    async entry(header, json) {
      const headers = place.headers + json.length;
      if (place.entries >= MAX_ENTRIES || headers > MAX_HEADERS) throw new DiskFault("target_failed");
      await guarded(store.begin(header, json, place.entries));
      const digest = await chained(place.digest, json);
      place = { entries: place.entries + 1, offset: 0, digest, header, headers, bytes: place.bytes };
    },
    async write(content) {
      const { length } = content;
      await guarded(store.write(content, place.offset));
      place = { ...place, offset: place.offset + length, bytes: place.bytes + length };
    },
    async finish(digest) {
      if (!same(digest, place.digest)) throw new DiskFault("protocol");
      saved(await guarded(store.finish()));
    },
    leave: (keep) => store.leave(keep),
  };
}

/** What a browser says of its storage, in a word of ours. */
export async function guarded<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw faultOf(error);
  }
}

export function faultOf(error: unknown): DiskFault {
  if (error instanceof DiskFault) return error;
  const name = error instanceof Error ? error.name : "";
  if (name === "QuotaExceededError") return new DiskFault("no_space", error);
  if (name === "NotAllowedError" || name === "SecurityError") return new DiskFault("denied", error);
  return new DiskFault("target_failed", error);
}
