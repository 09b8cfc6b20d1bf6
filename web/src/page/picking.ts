/** Files and folders that are picked or dropped. */

import { MAX_ITEMS, type Picked } from "../disk/source.ts";

/** More than {@link MAX_ITEMS}. */
export class TooMany extends Error {}

/** The files of an input; those of a folder know where in it they lie. */
export function ofInput(files: FileList | null): Picked[] {
  if (!files) return [];
  if (files.length > MAX_ITEMS) throw new TooMany();
  return Array.from(files, (file) => ({ path: (file.webkitRelativePath || file.name).split("/"), file }));
}

/** What was dropped. The entries have to be asked for before anything is waited for. */
export async function ofDrop(transfer: DataTransfer): Promise<Picked[]> {
  const entries = Array.from(transfer.items, (item) => item.webkitGetAsEntry?.()).filter((it) => it != null);
  if (entries.length === 0) return ofInput(transfer.files);
  const picked: Picked[] = [];
  for (const entry of entries) await collect(entry, [entry.name], picked);
  return picked;
}

async function collect(entry: FileSystemEntry, path: readonly string[], picked: Picked[]): Promise<void> {
  if (picked.length >= MAX_ITEMS) throw new TooMany();
  if (entry.isFile) {
    const file = await new Promise<File>((found, failed) => (entry as FileSystemFileEntry).file(found, failed));
    picked.push({ path, file });
    return;
  }
  picked.push({ path, file: null });
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  for (;;) {
    // A browser gives some at a time.
    const some = await new Promise<FileSystemEntry[]>((found, failed) => reader.readEntries(found, failed));
    if (some.length === 0) return;
    for (const inner of some) await collect(inner, [...path, inner.name], picked);
  }
}
