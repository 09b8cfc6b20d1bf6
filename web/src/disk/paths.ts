/** Paths of entries of a folder: safe, and each only once. */

import { DiskFault } from "./fault.ts";
import { isSafe } from "../transfer/names.ts";

/** A path whose names are all safe. Throws {@link DiskFault}. */
export function checkedPath(path: readonly string[]): readonly string[] {
  if (!path.every(isSafe)) throw new DiskFault("unsafe_name");
  return path;
}

/** The paths there are, as a file system sees them that takes cases for the same. */
export class Paths {
  private readonly known = new Set<string>();

  add(path: readonly string[]): void {
    const key = path.join("/").normalize("NFC").toLowerCase();
    if (this.known.has(key)) throw new DiskFault("collision");
    this.known.add(key);
  }
}
