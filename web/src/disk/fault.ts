import type { Reason } from "../transfer/note.ts";

/** A disk, or what stands for it, has failed. */
export class DiskFault extends Error {
  constructor(
    readonly reason: Reason,
    cause?: unknown,
  ) {
    super(reason, { cause });
  }
}
