/** The messages of version 2: their kinds, their JSON, and where a record of content belongs. */

import { type Bytes, concat, fromHex, fromNumber, fromText, sha256, toHex, toNumber, toText } from "./bytes.ts";
import { count, type Fields, object, text } from "./json.ts";

/** The longest JSON of a note, in bytes. */
export const MAX_NOTE = 16 * 1024;
/** The most content that one message carries, in bytes. */
export const RECORD = 32 * 1024;
/** Content is read in pieces of so many bytes. */
export const PIECE = 1024 * 1024;
/** The most names that a path may have. */
export const MAX_DEPTH = 64;
/** The longest message of version 2, in bytes. */
export const MAX_MESSAGE = RECORD + 64;

/** The first byte of a message. */
export const KIND = { MANIFEST: 1, START: 2, ENTRY: 3, DATA: 4, CONFIRM: 5, END: 6, DELIVERED: 7, ABORT: 8 } as const;

export type What = "file" | "folder" | "stream";

/** What is being sent. */
export interface Manifest {
  readonly transfer: Bytes;
  readonly what: What;
  readonly name: string;
  /** Bytes of content in all, where that is known. */
  readonly size: number | null;
  readonly files: number | null;
}

/** Where the sender goes on: the receiver knows the headers of `entries`, and has `offset` bytes of the last of these. */
export interface Start {
  readonly entries: number;
  readonly offset: number;
  readonly digest: Bytes;
}

/** A file or folder. */
export interface Header {
  readonly entry: number;
  readonly path: readonly string[];
  readonly what: What;
  readonly size: number | null;
  /** When the content was last changed, in ms since 1970. */
  readonly modified: number | null;
  /** Changes whenever the sender's file does. */
  readonly stamp: Bytes;
}

/** Why one side gives up, in one word; what is unknown here is shown as `other`. */
export const REASONS = [
  "source_changed",
  "source_failed",
  "source_gone",
  "no_space",
  "denied",
  "target_failed",
  "unsafe_name",
  "collision",
  "in_use",
  "protocol",
  "stalled",
  "interrupted",
  "other",
] as const;
export type Reason = (typeof REASONS)[number];

/** One message, opened. */
export type Note =
  | { readonly kind: typeof KIND.MANIFEST; readonly manifest: Manifest }
  | { readonly kind: typeof KIND.START; readonly start: Start }
  | { readonly kind: typeof KIND.ENTRY; readonly header: Header; readonly json: Bytes }
  | { readonly kind: typeof KIND.DATA; readonly entry: number; readonly offset: number; readonly content: Bytes }
  | { readonly kind: typeof KIND.CONFIRM; readonly records: number; readonly bytes: number }
  | { readonly kind: typeof KIND.END; readonly entries: number; readonly bytes: number; readonly digest: Bytes }
  | { readonly kind: typeof KIND.DELIVERED }
  | { readonly kind: typeof KIND.ABORT; readonly reason: Reason };

/** Where a record belongs, in clear in its message: entry, offset, and flags, of which this page knows none. */
export const DATA_HEAD = 8 + 8 + 1;

export const dataHead = (entry: number, offset: number): Bytes =>
  concat(fromNumber(entry), fromNumber(offset), new Uint8Array(1));

/** Reads a record; `null` where its head is none that this page asks for. */
export function parseData(head: Bytes, content: Bytes): Note | null {
  const [entry, offset] = [toNumber(head, 0), toNumber(head, 8)];
  if (entry === null || offset === null || head[16] !== 0 || content.length > RECORD) return null;
  return { kind: KIND.DATA, entry, offset, content };
}

/** The JSON of a note that is no record. */
export function noteJson(note: Exclude<Note, { kind: typeof KIND.DATA }>): Bytes {
  switch (note.kind) {
    case KIND.MANIFEST: {
      const { transfer, what, ...rest } = note.manifest;
      return json({ transfer: toHex(transfer), kind: what, ...rest });
    }
    case KIND.START:
      return json({ ...note.start, digest: toHex(note.start.digest), packing: [] });
    case KIND.ENTRY:
      return note.json;
    case KIND.CONFIRM:
      return json({ records: note.records, bytes: note.bytes });
    case KIND.END:
      return json({ entries: note.entries, bytes: note.bytes, digest: toHex(note.digest) });
    case KIND.DELIVERED:
      return json({});
    case KIND.ABORT:
      return json({ reason: note.reason });
  }
}

const json = (fields: Fields): Bytes => fromText(JSON.stringify(fields));

/** A header as it is sent, and hashed. */
export function entryNote(header: Header): Note & { kind: typeof KIND.ENTRY } {
  const { entry, path, what, size, modified, stamp } = header;
  const fields = { entry, path, kind: what, size, modified, executable: false, stamp: toHex(stamp) };
  return { kind: KIND.ENTRY, header, json: json(fields) };
}

/** Reads the JSON of a note; `null` where it is none of this kind, or over {@link MAX_NOTE}. */
export function parseNote(kind: number, body: Bytes): Note | null {
  const fields = body.length > MAX_NOTE ? null : object(toText(body));
  if (!fields) return null;
  switch (kind) {
    case KIND.MANIFEST: {
      const manifest = parseManifest(fields);
      return manifest && { kind, manifest };
    }
    case KIND.START: {
      const [entries, offset] = [count(fields["entries"]), count(fields["offset"])];
      const digest = fromHex(fields["digest"], 32);
      return entries === null || offset === null || !digest ? null : { kind, start: { entries, offset, digest } };
    }
    case KIND.ENTRY: {
      const header = parseHeader(fields);
      return header && { kind, header, json: body };
    }
    case KIND.CONFIRM: {
      const [records, bytes] = [count(fields["records"]), count(fields["bytes"])];
      return records === null || bytes === null ? null : { kind, records, bytes };
    }
    case KIND.END: {
      const [entries, bytes] = [count(fields["entries"]), count(fields["bytes"])];
      const digest = fromHex(fields["digest"], 32);
      return entries === null || bytes === null || !digest ? null : { kind, entries, bytes, digest };
    }
    case KIND.DELIVERED:
      return { kind };
    case KIND.ABORT:
      return { kind, reason: REASONS.find((it) => it === fields["reason"]) ?? "other" };
    default:
      return null;
  }
}

const isWhat = (value: unknown): value is What => value === "file" || value === "folder" || value === "stream";

/** A number that may be missing; `undefined` where it is something else. */
const maybe = (value: unknown): number | null | undefined => (value == null ? null : (count(value) ?? undefined));

function parseManifest(fields: Fields): Manifest | null {
  const transfer = fromHex(fields["transfer"], 16);
  const [name, what] = [text(fields["name"], 1000), fields["kind"]];
  const [size, files] = [maybe(fields["size"]), maybe(fields["files"])];
  if (!transfer || name === null || !isWhat(what) || size === undefined || files === undefined) return null;
  return { transfer, what, name, size, files };
}

function parseHeader(fields: Fields): Header | null {
  const [entry, stamp, what] = [count(fields["entry"]), fromHex(fields["stamp"], 8), fields["kind"]];
  const size = maybe(fields["size"]);
  const path = Array.isArray(fields["path"]) ? fields["path"] : [];
  const names = path.filter((it): it is string => text(it, 1000) !== null);
  const sound = path.length > 0 && path.length <= MAX_DEPTH && names.length === path.length;
  if (entry === null || !stamp || !isWhat(what) || size === undefined || !sound) return null;
  // A time before 1970 or beyond what a Date holds is no reason to refuse a file.
  return { entry, path: names, what, size, modified: count(fields["modified"]), stamp };
}

/** The header of an entry, of the JSON that was kept of it. */
export function parseKeptHeader(line: string): Header | null {
  const fields = object(line);
  return fields && parseHeader(fields);
}

/** The chain of headers with one more: two sides that have the same chain have the same headers. */
export const chained = (digest: Bytes, header: Bytes): Promise<Bytes> => sha256(digest, header);

/** The chain of no headers. */
export const NO_HEADERS = new Uint8Array(32);
