/** How fast something grows, over the last seconds. Times are in ms and passed in. */

const SPAN = 5000;

export class Rate {
  private readonly points: { bytes: number; at: number }[] = [];

  at(bytes: number, now: number): void {
    this.points.push({ bytes, at: now });
    while (this.points.length > 2 && now - (this.points[1]?.at ?? now) > SPAN) this.points.shift();
  }

  /** 0 where that is not known yet. */
  perSecond(): number {
    const [first, last] = [this.points[0], this.points.at(-1)];
    if (!first || !last || last.at - first.at < 500) return 0;
    return ((last.bytes - first.bytes) / (last.at - first.at)) * 1000;
  }
}
