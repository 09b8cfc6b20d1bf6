/** How long to wait before the next try: doubling, spread, and bounded by patience. Times are in ms and passed in. */

/** How fast tries follow each other. */
export type Pace = "quick" | "slow";

/** A code that the relay does not know is charged: ten at once, then one a minute. */
const PACES = {
  quick: { first: 500, longest: 15_000, least: 0.5 },
  slow: { first: 1000, longest: 60_000, least: 1 },
} as const;

/** How long one tries, from the first trouble on, before one gives up. */
export const PATIENCE = 10 * 60_000;
/** The most patience that passes while nobody looks at the time: a page that is asleep does not try. In ms. */
const LONGEST_GAP = 2 * 60_000;
/** The longest wait that a relay is believed. */
const LONGEST_TOLD = 15 * 60_000;

export class Waits {
  private tries = { quick: 0, slow: 0 };
  /** When the first trouble was since all was well. */
  private since: number | null = null;
  /** When somebody last looked at the time. */
  private seen = 0;

  /** Told of the time with whatever comes, and once a second where the page is awake. */
  at(now: number): void {
    const asleep = Math.max(0, now - this.seen - LONGEST_GAP);
    if (this.since !== null) this.since += asleep;
    this.seen = now;
  }

  /** The line does what it is for: patience begins anew with the next trouble. */
  well(): void {
    this.since = null;
  }

  /** Content has moved: the doubling begins anew as well. */
  progress(): void {
    this.tries = { quick: 0, slow: 0 };
    this.well();
  }

  /** How long to wait, and not less than was `told`; `chance` is from 0 to 1. `null` where patience is over. */
  next(now: number, pace: Pace, told: number | null, chance: number): number | null {
    const { first, longest, least } = PACES[pace];
    const doubled = Math.min(first * 2 ** Math.min(this.tries[pace]++, 16), longest);
    const wait = told === null ? doubled * (least + chance / 2) : Math.min(told, LONGEST_TOLD) + first * chance;
    this.since ??= now;
    // What the relay has told may be longer than patience: it is where the next place is.
    return now + (told === null ? wait : 0) <= this.since + PATIENCE ? wait : null;
  }
}
