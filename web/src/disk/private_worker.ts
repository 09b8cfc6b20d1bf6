/**
 * A worker that writes to the origin's private file system, where a page itself cannot write in place. A transfer
 * is a folder of it: `index` has the headers, a line each; `sums` the CRC-32 of each entry, four bytes each; and
 * `0`, `1`, … the content of entries by their number, so that no name of a stranger's is used.
 */

import { type Bytes, fromText, toText } from "../transfer/bytes.ts";
import { crc32 } from "../transfer/crc.ts";
import { chained, type Header, NO_HEADERS, parseKeptHeader } from "../transfer/note.ts";
import { openFolder, whenFree } from "./private_folder.ts";
import { MAX_ENTRIES, MAX_HEADERS, type Place } from "./target.ts";

export type Request =
  | { readonly ask: "open"; readonly transfer: string }
  | { readonly ask: "begin"; readonly json: Bytes; readonly folder: boolean }
  | { readonly ask: "write"; readonly content: Bytes }
  | { readonly ask: "finish" };

/** Content is flushed every so many bytes. */
const FLUSH_EVERY = 64 * 1024 * 1024;

let folder: FileSystemDirectoryHandle;
let index: FileSystemSyncAccessHandle;
let sums: FileSystemSyncAccessHandle;
let content: FileSystemSyncAccessHandle | null = null;
let entries = 0;
let sum = 0;
let unflushed = 0;

/** A file to write to; a page that was reloaded may have to wait for the worker of the one that it was. */
async function handle(name: string): Promise<FileSystemSyncAccessHandle> {
  const file = await folder.getFileHandle(name, { create: true });
  return whenFree(() => file.createSyncAccessHandle());
}

/** Opens a transfer, and says how much of it is there. */
async function open(transfer: string): Promise<Place> {
  folder = await openFolder(transfer);
  [index, sums] = [await handle("index"), await handle("sums")];
  const headers = readIndex();
  entries = headers.length;
  const header = headers.at(-1)?.header ?? null;
  let [digest, length, bytes, offset] = [NO_HEADERS, 0, 0, 0];
  for (const { json, header } of headers) {
    length += json.length;
    digest = new Uint8Array(await chained(digest, json));
    if (header.entry < entries - 1) bytes += header.size ?? 0;
  }
  if (header && header.what !== "folder") {
    content = await handle(String(entries - 1));
    offset = readContent(content, header.size ?? Infinity);
  }
  return { entries, offset, digest, header, headers: length, bytes: bytes + offset };
}

/** The headers of whole lines; what is behind them is cut off. */
function readIndex(): { header: Header; json: Bytes }[] {
  const bytes = new Uint8Array(Math.min(index.getSize(), MAX_HEADERS + MAX_ENTRIES));
  index.read(bytes, { at: 0 });
  const headers = [];
  let from = 0;
  for (let to = bytes.indexOf(10); to >= 0 && headers.length < MAX_ENTRIES; to = bytes.indexOf(10, from)) {
    const json = bytes.slice(from, to);
    const header = parseKeptHeader(toText(json) ?? "");
    if (header?.entry !== headers.length) break;
    headers.push({ header, json });
    from = to + 1;
  }
  index.truncate(from);
  return headers;
}

/** How much content there is, with its sum. */
function readContent(file: FileSystemSyncAccessHandle, longest: number): number {
  if (file.getSize() > longest) file.truncate(longest);
  const size = file.getSize();
  const block = new Uint8Array(1024 * 1024);
  for (let at = 0; at < size; ) {
    const read = file.read(block, { at });
    if (read === 0) throw new Error("short read");
    sum = crc32(sum, block.subarray(0, read));
    at += read;
  }
  return size;
}

/** The entry before is whole, and on the disk before the index tells of another. */
function settle(): void {
  if (!content) return;
  if (unflushed > 0) content.flush();
  content.close();
  content = null;
  write(sums, new Uint8Array(new Uint32Array([sum]).buffer), (entries - 1) * 4);
}

async function begin(json: Bytes, isFolder: boolean): Promise<void> {
  settle();
  write(index, json, index.getSize());
  write(index, fromText("\n"), index.getSize());
  [sum, unflushed] = [0, 0];
  if (!isFolder) content = await handle(String(entries));
  entries++;
}

function append(bytes: Bytes): void {
  if (!content) throw new Error("no entry");
  write(content, bytes, content.getSize());
  sum = crc32(sum, bytes);
  unflushed += bytes.length;
  if (unflushed < FLUSH_EVERY) return;
  content.flush();
  unflushed = 0;
}

function write(file: FileSystemSyncAccessHandle, bytes: Uint8Array, at: number): void {
  const written = file.write(bytes as Bytes, { at });
  // A disk that is full may take a part.
  if (written < bytes.length) throw new DOMException("short write", "QuotaExceededError");
}

/** Closes all files; the sums of the entries. */
function finish(): Uint32Array {
  settle();
  const all = new Uint8Array(entries * 4);
  sums.read(all, { at: 0 });
  for (const file of [index, sums]) {
    file.flush();
    file.close();
  }
  return new Uint32Array(all.buffer);
}

async function answer(request: Request): Promise<unknown> {
  switch (request.ask) {
    case "open":
      return open(request.transfer);
    case "begin":
      return begin(request.json, request.folder);
    case "write":
      return append(request.content);
    case "finish":
      return finish();
  }
}

// One after the other: the page waits for each answer before it asks again.
self.onmessage = ({ data }: MessageEvent<Request>) => {
  answer(data).then(
    (value) => self.postMessage({ value }),
    (error: unknown) => {
      const { name, message } = error instanceof Error ? error : new Error(String(error));
      self.postMessage({ error: { name, message } });
    },
  );
};
