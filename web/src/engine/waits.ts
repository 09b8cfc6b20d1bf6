/** How long to wait before the next try: doubling, spread, and bounded by patience. Times are in ms and passed in. */

/** How fast tries follow each other. */
export type Pace = "quick" | "slow";

/** A code that the relay does not know is charged: ten at once, then one a minute. */
const PACES = {
  quick: { first: 500, longest: 15_000, least: 0.5 },
  slow: { first: 1000, longest: 60_000, least: 1 },
} as const;

/** How long nothing may move before one gives up. */
export const PATIENCE = 10 * 60_000;
/** The longest wait that a relay is believed. */
const LONGEST_TOLD = 15 * 60_000;

export class Waits {
  private tries = { quick: 0, slow: 0 };
  private since: number;

  constructor(now: number) {
    this.since = now;
  }

  /** Something has moved: patience begins anew, and so does the doubling. */
  progress(now: number): void {
    this.tries = { quick: 0, slow: 0 };
    this.since = now;
  }

  /** How long to wait, and not less than was `told`; `chance` is from 0 to 1. `null` where patience is over. */
  next(now: number, pace: Pace, told: number | null, chance: number): number | null {
    const { first, longest, least } = PACES[pace];
    const doubled = Math.min(first * 2 ** Math.min(this.tries[pace]++, 16), longest);
    const wait = told === null ? doubled * (least + chance / 2) : Math.min(told, LONGEST_TOLD) + first * chance;
    // What the relay has told may be longer than patience: it is where the next place is.
    return now + (told === null ? wait : 0) <= this.since + PATIENCE ? wait : null;
  }
}
