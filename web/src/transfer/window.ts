/**
 * How much may be on its way to the receiver, unconfirmed: twice what its line carries in a round trip. It is
 * what holds a sender back, since a browser's socket takes whatever it is given. Times are in ms.
 */

/** Always allowed, in bytes. */
const LEAST = 64 * 1024;
/** Never more than this, in bytes. */
const MOST = 8 * 1024 * 1024;
/** Never more messages than these. */
const MOST_RECORDS = 1024;
/**
 * A round trip counts for no less than this, in ms: sides that are busy answer late now and then, and a window of
 * the shortest trip alone would shrink with each such answer, and the rate with it.
 */
const LEAST_TRIP = 50;
/** A rate that was higher than the last is forgotten by one part in so many with each confirmation. */
const FADING = 16;

interface Sent {
  readonly bytes: number;
  readonly at: number;
  /** Bytes that had been delivered when it was sent. */
  readonly delivered: number;
}

export class Window {
  private onItsWay: Sent[] = [];
  private bytes = 0;
  private records = 0;
  private delivered = 0;
  private rate = 0;
  private leastTrip = Infinity;

  /** Whether the next message may be sent. */
  isOpen(): boolean {
    return this.bytes < this.allowed() && this.onItsWay.length < MOST_RECORDS;
  }

  /** Bytes that may be on their way. */
  allowed(): number {
    const wanted = this.leastTrip === Infinity ? 0 : 2 * this.rate * Math.max(this.leastTrip, LEAST_TRIP);
    return Math.min(Math.max(wanted, LEAST), MOST);
  }

  /** Whether nothing is on its way. */
  isEmpty(): boolean {
    return this.onItsWay.length === 0;
  }

  /** A message with so many bytes of content, or of its header, was sent. */
  sent(bytes: number, now: number): void {
    this.bytes += bytes;
    this.onItsWay.push({ bytes, at: now, delivered: this.delivered });
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
    if (last && now > last.at) this.measure(last, now - last.at);
    return true;
  }

  private measure(last: Sent, trip: number): void {
    const rate = (this.delivered - last.delivered) / trip;
    this.rate = Math.max(rate, this.rate - (this.rate - rate) / FADING);
    this.leastTrip = Math.min(this.leastTrip, trip);
  }
}
