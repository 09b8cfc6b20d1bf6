/** The folders of transfers in the origin's private file system: who has which, and when they go. */

const ROOT = "transfers";
/** How often, and after how long each time in ms, what is locked is tried. */
const [TRIES, TRY_AGAIN] = [50, 200];
/** How long a transfer that nobody goes on with is kept, in ms. */
const KEPT = 24 * 60 * 60 * 1000;

export async function openFolder(transfer: string): Promise<FileSystemDirectoryHandle> {
  return (await root()).getDirectoryHandle(transfer, { create: true });
}

export async function removeFolder(transfer: string): Promise<void> {
  const folders = await root();
  return whenFree(() => folders.removeEntry(transfer, { recursive: true }));
}

/** Does what takes a file that nobody writes to. Those of a worker that has ended are free a while later, which nobody is told of. */
export async function whenFree<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      const isLocked = error instanceof DOMException && error.name === "NoModificationAllowedError";
      if (!isLocked || tries === TRIES) throw error;
      await new Promise((later) => setTimeout(later, TRY_AGAIN));
    }
  }
}

const root = async () => (await navigator.storage.getDirectory()).getDirectoryHandle(ROOT, { create: true });

/**
 * Keeps a transfer for this page alone, until what this gives is called; `null` where another page has it for
 * longer than `patience`, in ms. A page that was reloaded may have to wait for the one that it was.
 */
export async function claim(transfer: string, patience: number): Promise<(() => void) | null> {
  return new Promise((claimed) => {
    const signal = AbortSignal.timeout(patience);
    const kept = () => new Promise<void>((done) => claimed(() => done()));
    navigator.locks.request(`distill ${transfer}`, { signal }, kept).catch(() => claimed(null));
  });
}

/** Removes what nobody has gone on with for a day. */
export async function sweep(now: number): Promise<void> {
  if (!navigator.storage?.getDirectory || !navigator.locks) return;
  const folders = await root();
  for await (const name of folders.keys()) {
    const done = await claim(name, 100);
    if (!done) continue;
    const changed = await lastChange(await folders.getDirectoryHandle(name));
    if (changed < now - KEPT) await removeFolder(name).catch(() => undefined);
    done();
  }
}

async function lastChange(folder: FileSystemDirectoryHandle): Promise<number> {
  let last = 0;
  for (const name of ["index", "sums", "0"]) {
    const handle = await folder.getFileHandle(name).catch(() => null);
    const file = await handle?.getFile().catch(() => null);
    last = Math.max(last, file?.lastModified ?? 0);
  }
  return last;
}
