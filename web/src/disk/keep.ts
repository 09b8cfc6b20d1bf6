/**
 * What lets a page that was reloaded go on: a code, a transfer's number and the relay's token in sessionStorage,
 * which is this tab's alone, and copies of picked files in IndexedDB. Passphrases and keys are never kept.
 */

import { asObject, count, object, text } from "../transfer/json.ts";
import { contentOf } from "./read.ts";
import type { Picked } from "./source.ts";

export type Kept =
  | { readonly role: "receive"; readonly code: string }
  | {
      readonly role: "share";
      readonly code: string;
      readonly resumeToken: string;
      /** The transfer's number, as hexadecimal. */
      readonly transfer: string;
      readonly name: string;
      /** When the code's time is up, in ms since 1970. */
      readonly until: number;
    };

const NAME = "distill";
const STORE = "files";
/** Files of more than this in all are not kept: a browser would copy each. In bytes. */
const MAX_KEPT = 64 * 1024 * 1024;
/** How long files of a tab that never came back are kept, in ms. */
const KEPT = 24 * 60 * 60 * 1000;

/** Asks this tab's storage; `null` where the browser has none for this page, or no room in it. */
function inTab<T>(ask: (storage: Storage) => T): T | null {
  try {
    return ask(sessionStorage);
  } catch {
    return null;
  }
}

export function keep(kept: Kept): void {
  inTab((storage) => storage.setItem(NAME, JSON.stringify(kept)));
}

export function kept(): Kept | null {
  const fields = object(inTab((storage) => storage.getItem(NAME)));
  const [code, transfer] = [text(fields?.["code"], 64), text(fields?.["transfer"], 32)];
  const [resumeToken, name, until] = [text(fields?.["resumeToken"], 1000), text(fields?.["name"], 1000), count(fields?.["until"])];
  if (!fields || code === null) return null;
  if (fields["role"] === "receive") return { role: "receive", code };
  if (fields["role"] !== "share" || resumeToken === null || transfer === null || name === null || until === null) return null;
  return { role: "share", code, resumeToken, transfer, name, until };
}

/** Forgets this tab's transfer, and its files. */
export async function forget(): Promise<void> {
  const last = kept();
  inTab((storage) => storage.removeItem(NAME));
  if (last?.role === "share") await inStore("readwrite", (store) => store.delete(last.transfer)).catch(() => undefined);
}

/** Something picked as it is kept: its bytes, as not every browser reads a file again after a reload. */
interface Copy {
  readonly path: readonly string[];
  readonly bytes: ArrayBuffer | null;
  readonly lastModified: number;
}

async function copied({ path, file }: Picked): Promise<Copy> {
  return { path, bytes: file && (await contentOf(file)), lastModified: file?.lastModified ?? 0 };
}

function restored({ path, bytes, lastModified }: Copy): Picked {
  return { path, file: bytes && new File([bytes], path.at(-1) ?? "", { lastModified }) };
}

/** Keeps what was picked, where it is not too much. */
export async function keepPicked(transfer: string, picked: readonly Picked[]): Promise<void> {
  const size = picked.reduce((sum, { file }) => sum + (file?.size ?? 0), 0);
  if (size > MAX_KEPT || picked.length > 1000) return;
  try {
    const copies: Copy[] = [];
    // One after the other: each waits by itself where the browser reads nothing.
    for (const each of picked) copies.push(await copied(each));
    // The share may have ended meanwhile.
    const now = kept();
    if (now?.role !== "share" || now.transfer !== transfer) return;
    await inStore("readwrite", (store) => store.put({ copies, at: Date.now() }, transfer));
  } catch {
    // Without them the sender picks its files once more.
  }
}

/** What was picked for a transfer; `null` where it is not kept. */
export async function keptPicked(transfer: string): Promise<readonly Picked[] | null> {
  const found = await inStore("readonly", (store) => store.get(transfer)).catch(() => null);
  const copies = asObject(found)?.["copies"] as readonly Copy[] | undefined;
  return copies?.map(restored) ?? null;
}

/** Removes files that nobody came back for. */
export async function sweepPicked(now: number): Promise<void> {
  const old = (value: unknown): boolean => (count(asObject(value)?.["at"]) ?? 0) < now - KEPT;
  await inStore("readwrite", (store) => {
    const asked = store.openCursor();
    asked.addEventListener("success", () => {
      if (asked.result && old(asked.result.value)) asked.result.delete();
      asked.result?.continue();
    });
    return asked;
  }).catch(() => undefined);
}

/** Asks the store one thing. */
function inStore<T>(mode: IDBTransactionMode, ask: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open(NAME, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
      const database = opening.result;
      try {
        const transaction = database.transaction(STORE, mode);
        const asked = ask(transaction.objectStore(STORE));
        transaction.oncomplete = () => {
          database.close();
          resolve(asked.result);
        };
        transaction.onerror = transaction.onabort = () => {
          database.close();
          reject(transaction.error);
        };
      } catch (error) {
        // What cannot be copied, or is too much, is said at once.
        database.close();
        reject(error as Error);
      }
    };
  });
}
