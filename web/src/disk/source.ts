/** What is shared: files, a folder or a text, as the browser has handed them over. */

import { type Bytes, fromNumber, fromText, same, sha256, toText } from "../transfer/bytes.ts";
import { chained, entryNote, type Header, type Manifest, NO_HEADERS, PIECE, RECORD, type Start } from "../transfer/note.ts";
import { numbered, safeName } from "../transfer/names.ts";
import { DiskFault } from "./fault.ts";
import { contentOf, ReadsNothing } from "./read.ts";

/** A file, or an empty folder, with the names of the folders around it. */
export interface Picked {
  readonly path: readonly string[];
  readonly file: File | null;
}

interface Item extends Picked {
  readonly stamp: Bytes;
}

/** The most files and folders of one share. */
export const MAX_ITEMS = 100_000;

export class Source {
  private constructor(
    readonly what: "file" | "folder",
    readonly name: string,
    readonly size: number,
    readonly files: number,
    private readonly items: readonly Item[],
  ) {}

  /** What was picked; one file is sent as it is, more as a folder. `other` is the name of a folder that has none. */
  static async of(picked: readonly Picked[], other: string): Promise<Source> {
    const files = picked.filter((it) => it.file !== null);
    const size = files.reduce((sum, it) => sum + (it.file?.size ?? 0), 0);
    const [only] = picked;
    if (picked.length === 1 && only?.file && only.path.length === 1) {
      const name = safeName(only.path[0] ?? "");
      return new Source("file", name, size, 1, [await stamped({ path: [name], file: only.file })]);
    }
    const root = commonFolder(picked);
    const inside = picked.map(({ path, file }) => ({ path: path.slice(root === null ? 0 : 1).map(safeName), file }));
    const items = await Promise.all(withFolders(inside).map(stamped));
    return new Source("folder", safeName(root ?? other), size, files.length, items);
  }

  manifest(transfer: Bytes): Manifest {
    return { transfer, what: this.what, name: this.name, size: this.size, files: this.files };
  }

  /** The content, where it is one text of at most `longest` bytes; `null` where it is anything else. */
  async asText(longest: number): Promise<Bytes | null> {
    const file = this.what === "file" ? this.items[0]?.file : null;
    if (!file || file.size > longest) return null;
    const bytes = await read(file, 0, file.size);
    return toText(bytes) === null ? null : bytes;
  }

  /** Goes on where a receiver wants it to. Throws {@link DiskFault} where it knows something else than this. */
  async walkFrom({ entries, offset, digest }: Start): Promise<Walk> {
    let chain: Bytes = NO_HEADERS;
    let bytes = offset;
    for (let entry = 0; entry < entries; entry++) {
      const item = this.items[entry];
      if (!item) throw new DiskFault("source_changed");
      chain = await chained(chain, entryNote(header(item, entry)).json);
      if (entry < entries - 1) bytes += item.file?.size ?? 0;
    }
    const size = this.items[entries - 1]?.file?.size ?? 0;
    if (!same(chain, digest) || offset > size) throw new DiskFault("source_changed");
    return new Walk(this.items, entries, offset, chain, bytes);
  }
}

/** What comes next of the source. */
export type Step =
  | { readonly is: "entry"; readonly header: Header; readonly json: Bytes }
  | { readonly is: "content"; readonly entry: number; readonly offset: number; readonly content: Bytes }
  | { readonly is: "end"; readonly entries: number; readonly bytes: number; readonly digest: Bytes };

/** The way through a source, from wherever it began. */
export class Walk {
  private piece: Bytes = new Uint8Array(0);
  private pieceAt = 0;

  constructor(
    private readonly items: readonly Item[],
    private entries: number,
    private offset: number,
    private digest: Bytes,
    /** Content that lies behind, in bytes. */
    public bytes: number,
  ) {}

  async next(): Promise<Step> {
    const current = this.items[this.entries - 1]?.file;
    if (current && this.offset < current.size) return this.content(current);
    const item = this.items[this.entries];
    if (!item) return { is: "end", entries: this.entries, bytes: this.bytes, digest: this.digest };
    const note = entryNote(header(item, this.entries));
    this.digest = await chained(this.digest, note.json);
    this.entries++;
    this.offset = 0;
    this.piece = new Uint8Array(0);
    return { is: "entry", header: note.header, json: note.json };
  }

  private async content(file: File): Promise<Step> {
    const { offset } = this;
    const end = this.pieceAt + this.piece.length;
    if (this.piece.length === 0 || offset < this.pieceAt || offset >= end) {
      this.piece = await read(file, offset, Math.min(file.size, (Math.floor(offset / PIECE) + 1) * PIECE));
      this.pieceAt = offset;
    }
    const content = this.piece.subarray(offset - this.pieceAt, offset - this.pieceAt + RECORD);
    this.offset += content.length;
    this.bytes += content.length;
    return { is: "content", entry: this.entries - 1, offset, content };
  }
}

/** Reads a part; a browser refuses where the file has changed since it was picked. */
async function read(file: File, from: number, to: number): Promise<Bytes> {
  const bytes = await contentOf(file.slice(from, to)).catch((error: unknown) => {
    throw new DiskFault(error instanceof ReadsNothing ? "source_failed" : "source_changed", error);
  });
  if (bytes.byteLength !== to - from) throw new DiskFault("source_changed");
  return new Uint8Array(bytes);
}

async function stamped({ path, file }: Picked): Promise<Item> {
  const hash = await sha256(fromNumber(file?.size ?? 0), fromNumber(Math.max(0, file?.lastModified ?? 0)), fromText(path.join("/")));
  return { path, file, stamp: hash.slice(0, 8) };
}

const header = ({ path, file, stamp }: Item, entry: number): Header => ({
  entry,
  path,
  what: file ? "file" : "folder",
  size: file?.size ?? null,
  modified: file && file.lastModified > 0 ? file.lastModified : null,
  stamp,
});

/** The one folder that everything lies in; `null` where there is none. */
function commonFolder(picked: readonly Picked[]): string | null {
  const first = picked[0]?.path[0];
  const all = first !== undefined && picked.every(({ path, file }) => path[0] === first && (path.length > 1 || !file));
  return all ? first : null;
}

/**
 * In order, with each folder in front of what lies in it. Files whose paths are the same, as those from two folders
 * or with names that were made safe may be, get a number.
 */
function withFolders(picked: readonly Picked[]): Picked[] {
  const all = new Map<string, Picked>();
  for (const { path, file } of picked) {
    const folders = path.slice(0, file ? -1 : undefined);
    for (const depth of folders.keys()) {
      const folder = folders.slice(0, depth + 1);
      all.set(folder.join("/"), { path: folder, file: null });
    }
  }
  for (const { path, file } of picked) {
    if (!file) continue;
    const [folders, name] = [path.slice(0, -1), path.at(-1) ?? ""];
    let free = path;
    for (let number = 2; all.has(free.join("/")); number++) free = [...folders, numbered(name, number)];
    all.set(free.join("/"), { path: free, file });
  }
  return [...all.values()].sort((left, right) => compare(left.path, right.path));
}

function compare(left: readonly string[], right: readonly string[]): number {
  for (let depth = 0; ; depth++) {
    const [one, other] = [left[depth], right[depth]];
    if (one === other && one !== undefined) continue;
    if (one === undefined || other === undefined) return (one === undefined ? 0 : 1) - (other === undefined ? 0 : 1);
    return compareNames(one, other);
  }
}

/** As bytes of UTF-8 are compared, which is by characters: UTF-16 has some of its units in another order. */
function compareNames(one: string, other: string): number {
  let at = 0;
  while (at < one.length && one[at] === other[at]) at++;
  return (one.codePointAt(at) ?? -1) - (other.codePointAt(at) ?? -1);
}
