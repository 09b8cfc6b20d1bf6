/**
 * A zip without compression, part by part, of any size (APPNOTE 6.3.10: §4.3.7 local header, §4.3.9 data
 * descriptor, §4.3.12 central directory, §4.3.14 zip64). Content goes between `begin` and `end`.
 */

import { type Bytes, concat, fromText } from "./bytes.ts";

const ZIP64 = 0xffffffff;
/** Sum and sizes come behind the content. */
const DESCRIPTOR = 1 << 3;
/** Names are UTF-8. */
const UTF8 = 1 << 11;
/** Made by a version that knows zip64, for Unix: so that folders are told by their mode. */
const MADE_BY = (3 << 8) | 45;

interface Member {
  readonly name: Bytes;
  readonly folder: boolean;
  readonly time: number;
  readonly at: number;
  size: number;
  crc: number;
}

export class Zip {
  private readonly members: Member[] = [];
  private at = 0;

  /** What stands in front of a member's content. */
  begin(path: readonly string[], folder: boolean, modified: number | null): Bytes {
    const name = fromText(path.join("/") + (folder ? "/" : ""));
    const member = { name, folder, time: dosTime(modified), at: this.at, size: 0, crc: 0 };
    this.members.push(member);
    // The descriptor's sizes have eight bytes where there is a zip64 extra field.
    const extra = folder ? new Uint8Array(0) : fields([2, 1], [2, 16], [8, 0], [8, 0]);
    const sizes: Field[] = folder ? [[4, 0], [4, 0], [4, 0]] : [[4, 0], [4, ZIP64], [4, ZIP64]];
    const flags = UTF8 | (folder ? 0 : DESCRIPTOR);
    const head = fields([4, 0x04034b50], [2, 45], [2, flags], [2, 0], [4, member.time], ...sizes, [2, name.length], [2, extra.length]);
    return this.counted(concat(head, name, extra));
  }

  /** What stands behind the content of the member that was begun last. */
  end(size: number, crc: number): Bytes {
    const member = this.members.at(-1);
    if (!member || member.folder) return new Uint8Array(0);
    member.size = size;
    member.crc = crc;
    this.at += size;
    return this.counted(fields([4, 0x08074b50], [4, crc], [8, size], [8, size]));
  }

  /** What stands at the end of all. */
  finish(): Bytes {
    const central = concat(...this.members.map(centralHeader));
    const count = this.members.length;
    const end64 = this.at + central.length;
    return concat(
      central,
      fields([4, 0x06064b50], [8, 44], [2, MADE_BY], [2, 45], [4, 0], [4, 0], [8, count], [8, count], [8, central.length], [8, this.at]),
      fields([4, 0x07064b50], [4, 0], [8, end64], [4, 1]),
      fields([4, 0x06054b50], [2, 0], [2, 0], [2, Math.min(count, 0xffff)], [2, Math.min(count, 0xffff)], [4, ZIP64], [4, ZIP64], [2, 0]),
    );
  }

  private counted(bytes: Bytes): Bytes {
    this.at += bytes.length;
    return bytes;
  }
}

function centralHeader({ name, folder, time, at, size, crc }: Member): Bytes {
  const extra = fields([2, 1], [2, 24], [8, size], [8, size], [8, at]);
  const flags = UTF8 | (folder ? 0 : DESCRIPTOR);
  const mode = folder ? ((0o40755 << 16) | 0x10) >>> 0 : (0o100644 << 16) >>> 0;
  const head = fields([4, 0x02014b50], [2, MADE_BY], [2, 45], [2, flags], [2, 0], [4, time], [4, crc], [4, ZIP64], [4, ZIP64]);
  const tail = fields([2, name.length], [2, extra.length], [2, 0], [2, 0], [2, 0], [4, mode], [4, ZIP64]);
  return concat(head, tail, name, extra);
}

/** How many bytes, and the number in them. */
type Field = readonly [width: 2 | 4 | 8, number: number];

/** Numbers, little-endian. */
function fields(...list: readonly Field[]): Bytes {
  const bytes = new Uint8Array(list.reduce((sum, [width]) => sum + width, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [width, number] of list) {
    if (width === 2) view.setUint16(at, number, true);
    else if (width === 4) view.setUint32(at, number, true);
    else view.setBigUint64(at, BigInt(number), true);
    at += width;
  }
  return bytes;
}

/** Time and date of MS-DOS, in UTC: from 1980 to 2107, in steps of two seconds. */
function dosTime(modified: number | null): number {
  const date = new Date(Math.min(Math.max(modified ?? 0, Date.UTC(1980, 0, 1)), Date.UTC(2107, 11, 31)));
  const day = ((date.getUTCFullYear() - 1980) << 9) | ((date.getUTCMonth() + 1) << 5) | date.getUTCDate();
  const time = (date.getUTCHours() << 11) | (date.getUTCMinutes() << 5) | (date.getUTCSeconds() >> 1);
  return ((day << 16) | time) >>> 0;
}
