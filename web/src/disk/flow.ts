/** Targets that are one run of bytes, which the browser saves: a file, or a folder as a zip. */

import { DiskFault } from "./fault.ts";
import type { Bytes } from "../transfer/bytes.ts";
import { crc32 } from "../transfer/crc.ts";
import { safeName } from "../transfer/names.ts";
import type { Header, Manifest } from "../transfer/note.ts";
import { Zip } from "../transfer/zip.ts";
import { checkedPath, Paths } from "./paths.ts";
import { EMPTY, type Saved, type Store, type Target, targetOf } from "./target.ts";

/** Where the bytes go. */
export interface Sink {
  write(bytes: Bytes): Promise<void>;
  /** Content that is yet to be saved; nothing where the browser has it. */
  close(): Promise<Blob | null>;
  abort(): Promise<void>;
}

/** The name that a transfer is saved under as one file. */
export const flowName = ({ what, name }: Manifest): string => safeName(name) + (what === "folder" ? ".zip" : "");

export function openFlow(manifest: Manifest, sink: Sink, saved: (saved: Saved) => void): Target {
  const store = manifest.what === "folder" ? new Zipped(manifest, sink) : new Plain(manifest, sink);
  return targetOf(store, EMPTY, saved);
}

class Plain implements Store {
  private bytes = 0;

  constructor(
    private readonly manifest: Manifest,
    private readonly sink: Sink,
  ) {}

  async begin(): Promise<void> {}

  async write(content: Bytes): Promise<void> {
    this.bytes += content.length;
    await this.sink.write(content);
  }

  async finish(): Promise<Saved> {
    return { name: flowName(this.manifest), bytes: this.bytes, blob: await this.sink.close(), forget: null };
  }

  leave(): Promise<void> {
    return this.sink.abort();
  }
}

class Zipped implements Store {
  private readonly zip = new Zip();
  private readonly paths = new Paths();
  private size = 0;
  private sum = 0;
  private bytes = 0;

  constructor(
    private readonly manifest: Manifest,
    private readonly sink: Sink,
  ) {}

  async begin({ path, what, modified }: Header, _json: Bytes, entry: number): Promise<void> {
    this.paths.add(checkedPath(path));
    if (entry > 0) await this.put(this.zip.end(this.size, this.sum));
    [this.size, this.sum] = [0, 0];
    await this.put(this.zip.begin([safeName(this.manifest.name), ...path], what === "folder", modified));
  }

  async write(content: Bytes): Promise<void> {
    this.size += content.length;
    this.sum = crc32(this.sum, content);
    await this.put(content);
  }

  async finish(): Promise<Saved> {
    await this.put(this.zip.end(this.size, this.sum));
    await this.put(this.zip.finish());
    return { name: flowName(this.manifest), bytes: this.bytes, blob: await this.sink.close(), forget: null };
  }

  leave(): Promise<void> {
    return this.sink.abort();
  }

  private async put(bytes: Bytes): Promise<void> {
    this.bytes += bytes.length;
    if (bytes.length > 0) await this.sink.write(bytes);
  }
}

/** The most that is kept in memory, in bytes. */
export const MAX_MEMORY = 256 * 1024 * 1024;

/** The page's own memory. */
export function memorySink(): Sink {
  const parts: Bytes[] = [];
  let bytes = 0;
  return {
    async write(part) {
      bytes += part.length;
      if (bytes > MAX_MEMORY) throw new DiskFault("no_space");
      parts.push(part);
    },
    close: async () => new Blob(parts),
    abort: async () => void parts.splice(0),
  };
}
