/** Targets that the person picks: a file or a folder of this machine (File System Access). */

import { DiskFault } from "./fault.ts";
import { isSafe, numbered, safeName } from "../transfer/names.ts";
import type { Header, Manifest } from "../transfer/note.ts";
import { checkedPath, Paths } from "./paths.ts";
import { EMPTY, faultOf, type Saved, type Store, type Target, targetOf } from "./target.ts";

/** Asks for a place; has to be called by a click. Throws an `AbortError` where the person thinks better of it. */
export async function pick(manifest: Manifest, saved: (saved: Saved) => void): Promise<Target> {
  if (manifest.what !== "folder") {
    const handle = await window.showSaveFilePicker?.({ suggestedName: safeName(manifest.name) });
    if (!handle) throw new DiskFault("target_failed");
    return targetOf(new OneFile(handle), EMPTY, saved);
  }
  const folder = await window.showDirectoryPicker?.({ mode: "readwrite" });
  if (!folder) throw new DiskFault("target_failed");
  return targetOf(await NewFolder.in(folder, safeName(manifest.name)), EMPTY, saved);
}

export const hasPicker = (manifest: Manifest): boolean =>
  manifest.what === "folder" ? window.showDirectoryPicker !== undefined : window.showSaveFilePicker !== undefined;

/** One file. The browser shows it under its name once it is closed. */
class OneFile implements Store {
  private stream: FileSystemWritableFileStream | null = null;
  private bytes = 0;

  constructor(private readonly handle: FileSystemFileHandle) {}

  async begin(): Promise<void> {
    this.stream = await this.handle.createWritable();
  }

  async write(content: Uint8Array<ArrayBuffer>): Promise<void> {
    await this.stream?.write(content);
    this.bytes += content.length;
  }

  async finish(): Promise<Saved> {
    await this.stream?.close();
    return { name: this.handle.name, bytes: this.bytes, blob: null, forget: null };
  }

  async leave(): Promise<void> {
    await this.stream?.abort().catch(() => undefined);
  }
}

/** A folder that was not there before, in the one that was picked. */
class NewFolder implements Store {
  private stream: FileSystemWritableFileStream | null = null;
  private readonly paths = new Paths();
  private bytes = 0;

  private constructor(
    private readonly parent: FileSystemDirectoryHandle,
    private readonly root: FileSystemDirectoryHandle,
  ) {}

  static async in(parent: FileSystemDirectoryHandle, name: string): Promise<NewFolder> {
    for (let number = 1; number < 1000; number++) {
      const free = numbered(name, number);
      if (isSafe(free) && (await isFree(parent, free))) return new NewFolder(parent, await parent.getDirectoryHandle(free, { create: true }));
    }
    throw new DiskFault("collision");
  }

  async begin(header: Header): Promise<void> {
    await this.stream?.close();
    this.stream = null;
    const path = checkedPath(header.path);
    this.paths.add(path);
    let folder = this.root;
    const folders = header.what === "folder" ? path : path.slice(0, -1);
    for (const name of folders) folder = await folder.getDirectoryHandle(name, { create: true });
    if (header.what === "folder") return;
    const name = path.at(-1) ?? "";
    if (!(await isFree(folder, name))) throw new DiskFault("collision");
    this.stream = await (await folder.getFileHandle(name, { create: true })).createWritable();
  }

  async write(content: Uint8Array<ArrayBuffer>): Promise<void> {
    await this.stream?.write(content);
    this.bytes += content.length;
  }

  async finish(): Promise<Saved> {
    await this.stream?.close();
    return { name: this.root.name, bytes: this.bytes, blob: null, forget: null };
  }

  async leave(): Promise<void> {
    await this.stream?.abort().catch(() => undefined);
    await this.parent.removeEntry(this.root.name, { recursive: true }).catch(() => undefined);
  }
}

async function isFree(folder: FileSystemDirectoryHandle, name: string): Promise<boolean> {
  for (const kind of ["getFileHandle", "getDirectoryHandle"] as const) {
    const found = await folder[kind](name).then(
      () => true,
      (error: unknown) => {
        if (error instanceof DOMException && error.name === "NotFoundError") return false;
        // There is one, of the other kind.
        if (error instanceof DOMException && error.name === "TypeMismatchError") return true;
        throw faultOf(error);
      },
    );
    if (found) return false;
  }
  return true;
}
