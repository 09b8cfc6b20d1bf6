/** A target in the origin's private file system: it outlives the page, and the browser saves it from there. */

import { DiskFault } from "./fault.ts";
import { toHex } from "../transfer/bytes.ts";
import { safeName } from "../transfer/names.ts";
import type { Manifest } from "../transfer/note.ts";
import { Zip } from "../transfer/zip.ts";
import { checkedPath, Paths } from "./paths.ts";
import { claim, openFolder, removeFolder } from "./private_folder.ts";
import type { Request } from "./private_worker.ts";
import { contentOf } from "./read.ts";
import { guarded, type Place, type Saved, type Store, type Target, targetOf } from "./target.ts";

/** How long another page may still have the transfer, in ms. */
const CLAIM = 10_000;

/**
 * Whether this browser has one: some have it in no private window. Every browser that has one has workers write to
 * it, though a page cannot see that.
 */
export async function hasPrivate(): Promise<boolean> {
  try {
    await navigator.storage.getDirectory();
    return navigator.locks !== undefined;
  } catch {
    return false;
  }
}

/** Opens, or opens again, the folder of a transfer. Throws {@link DiskFault}. */
export async function openPrivate(manifest: Manifest, saved: (saved: Saved) => void): Promise<Target> {
  const transfer = toHex(manifest.transfer);
  const done = await claim(transfer, CLAIM);
  if (!done) throw new DiskFault("in_use");
  const worker = new Worker(DISK_WORKER, { type: "module" });
  const place = await guarded(ask<Place>(worker, { ask: "open", transfer })).catch((fault: unknown) => {
    worker.terminate();
    done();
    throw fault;
  });
  const paths = new Paths();
  const store: Store = {
    async begin(header, json) {
      if (manifest.what === "folder") paths.add(checkedPath(header.path));
      await ask(worker, { ask: "begin", json, folder: header.what === "folder" });
    },
    async write(content) {
      await ask(worker, { ask: "write", content }, [content.buffer]);
    },
    async finish() {
      const sums = await ask<Uint32Array>(worker, { ask: "finish" });
      worker.terminate();
      const whole = await collected(manifest, transfer, sums);
      done();
      return { ...whole, forget: () => removeFolder(transfer) };
    },
    async leave(keep) {
      worker.terminate();
      // What cannot be removed now is when nobody has gone on with it for a day.
      if (!keep) await removeFolder(transfer).catch(() => undefined);
      done();
    },
  };
  return targetOf(store, place, saved);
}

/** What the files of a transfer are together. They stay where they are: a blob of them is a list of places. */
async function collected(manifest: Manifest, transfer: string, sums: Uint32Array): Promise<Omit<Saved, "forget">> {
  const folder = await openFolder(transfer);
  const content = async (entry: number): Promise<File> => (await folder.getFileHandle(String(entry))).getFile();
  const index = await (await folder.getFileHandle("index")).getFile();
  const headers = new TextDecoder().decode(await contentOf(index)).trimEnd().split("\n");
  const name = safeName(manifest.name);
  if (manifest.what !== "folder") {
    const file = await content(0);
    return { name, bytes: file.size, blob: file };
  }
  const [zip, parts] = [new Zip(), [] as BlobPart[]];
  for (const [entry, line] of headers.entries()) {
    const { path, kind, modified } = JSON.parse(line || "{}") as { path: string[]; kind: string; modified: number | null };
    if (!path) continue;
    parts.push(zip.begin([name, ...path], kind === "folder", modified));
    if (kind === "folder") continue;
    const file = await content(entry);
    parts.push(file, zip.end(file.size, sums[entry] ?? 0));
  }
  const blob = new Blob([...parts, zip.finish()], { type: "application/zip" });
  return { name: `${name}.zip`, bytes: blob.size, blob };
}

/** Asks the worker, and waits for its answer. */
function ask<T>(worker: Worker, request: Request, give: Transferable[] = []): Promise<T> {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<{ value: T } | { error: { name: string; message: string } }>) => {
      if ("value" in data) resolve(data.value);
      else reject(new DOMException(data.error.message, data.error.name));
    };
    worker.onerror = () => reject(new DiskFault("target_failed"));
    worker.postMessage(request, give);
  });
}

