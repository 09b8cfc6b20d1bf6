/**
 * How much may be on its way to the receiver, unconfirmed: half as much again as arrives in a round trip. It is what
 * holds a sender back, since a browser's socket takes whatever it is given. Times are in ms.
 *
 * A round trip here is the usual one of a line that is not full, as what waits on the line makes a trip longer. It is
 * not the shortest: busy sides answer late now and then, and each such answer would narrow the window. Where more
 * than the least is on its way, no more than that is allowed now and then for some messages, to see.
 */

import { RECORD } from "./note.ts";

/** Always allowed, in bytes. */
const LEAST = 64 * 1024;
/** Never more than this, in bytes. */
const MOST = 8 * 1024 * 1024;
/** Never more messages than these. */
const MOST_RECORDS = 1024;
/** A rate that was higher than the last is forgotten by one part in so many with each confirmation. */
const FADING = 16;
/** A round trip is worth one part in so many of what is taken for the usual one. */
const SMOOTHING = 4;
/** How many times what arrives in a round trip is allowed: enough to grow by, and no more, as it is lost with the line. */
const GAIN = 1.5;
/** How long what is known of the usual round trip is good for. */
const LOOK_EVERY = 5000;
/** Messages that are looked at. */
const LOOKS = 4;

interface Sent {
  readonly bytes: number;
  readonly at: number;
  /** Bytes that had been delivered when it was sent. */
  readonly delivered: number;
  /** Bytes that were on their way with it. */
  readonly among: number;
}

export class Window {
  private onItsWay: Sent[] = [];
  private bytes = 0;
  private records = 0;
  private delivered = 0;
  private rate = 0;
  /** The usual round trip. */
  private trip: number | null = null;
  /** Trips of a line that is not full that were seen in this look at it. */
  private looks = 0;
  /** When the last look was over. */
  private looked = -Infinity;

  /** Whether the next message may be sent. */
  isOpen(): boolean {
    return this.bytes + RECORD <= this.allowed() && this.onItsWay.length < MOST_RECORDS;
  }

  /** Bytes that may be on their way. */
  allowed(): number {
    if (this.looks < LOOKS) return LEAST;
    return Math.min(Math.max(GAIN * this.rate * (this.trip ?? 0), LEAST), MOST);
  }

  /** Whether nothing is on its way. */
  isEmpty(): boolean {
    return this.onItsWay.length === 0;
  }

  /** A message with so many bytes of content, or of its header, was sent. */
  sent(bytes: number, now: number): void {
    this.bytes += bytes;
    this.onItsWay.push({ bytes, at: now, delivered: this.delivered, among: this.bytes });
  }

  /** The receiver has written so many messages of this attempt in all; `false` where that cannot be. */
  confirmed(records: number, now: number): boolean {
    const fresh = records - this.records;
    if (fresh < 0 || fresh > this.onItsWay.length) return false;
    this.records = records;
    const done = this.onItsWay.splice(0, fresh);
    for (const sent of done) {
      this.bytes -= sent.bytes;
      this.delivered += sent.bytes;
    }
    const last = done.at(-1);
    if (last && now > last.at) this.measure(last, now);
    return true;
  }

  private measure(last: Sent, now: number): void {
    const trip = now - last.at;
    const rate = (this.delivered - last.delivered) / trip;
    this.rate = Math.max(rate, this.rate - (this.rate - rate) / FADING);
    if (last.among <= LEAST) {
      this.trip = this.trip === null ? trip : this.trip + (trip - this.trip) / SMOOTHING;
      this.looks++;
      this.looked = now;
    } else if (now > this.looked + LOOK_EVERY) {
      this.looks = 0;
      this.looked = now;
    }
  }
}
