/** Bytes as the protocol writes them: hexadecimal, UTF-8, big-endian numbers, SHA-256. */

/** Bytes that WebCrypto and sockets take (never shared memory). */
export type Bytes = Uint8Array<ArrayBuffer>;

const utf8 = new TextEncoder();
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The UTF-8 of a text. */
export const fromText = (text: string): Bytes => utf8.encode(text) as Bytes;

/** The text of UTF-8; `null` where it is none. */
export function toText(bytes: BufferSource): string | null {
  try {
    return strict.decode(bytes);
  } catch {
    return null;
  }
}

const PAIRS = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** Hexadecimal, in lower case. */
export function toHex(bytes: Bytes): string {
  // By blocks: one string for each byte of a long message would take many times its size.
  const blocks: string[] = [];
  for (let at = 0; at < bytes.length; at += 8192) {
    let block = "";
    for (const byte of bytes.subarray(at, at + 8192)) block += PAIRS[byte];
    blocks.push(block);
  }
  return blocks.join("");
}

/** Reads hexadecimal of either case; `null` where it is none, or not of `length` bytes where that is given. */
export function fromHex(text: unknown, length?: number): Bytes | null {
  if (typeof text !== "string" || text.length % 2 !== 0) return null;
  if (length !== undefined && text.length !== 2 * length) return null;
  const bytes = new Uint8Array(text.length / 2);
  for (let at = 0; at < bytes.length; at++) {
    const high = digit(text.charCodeAt(2 * at));
    const low = digit(text.charCodeAt(2 * at + 1));
    if (high < 0 || low < 0) return null;
    bytes[at] = high * 16 + low;
  }
  return bytes;
}

function digit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  const lower = code | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}

/** One behind the other. */
export function concat(...parts: Bytes[]): Bytes {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Eight bytes, big-endian. */
export function fromNumber(number: number): Bytes {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(number));
  return bytes;
}

/** Reads eight bytes, big-endian; `null` for more than a number holds exactly. */
export function toNumber(bytes: Bytes, at: number): number | null {
  const number = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(at));
  return Number.isSafeInteger(number) ? number : null;
}

/** SHA-256 of these, one behind the other. */
export const sha256 = async (...parts: Bytes[]): Promise<Bytes> =>
  new Uint8Array(await crypto.subtle.digest("SHA-256", concat(...parts)));

/** Fresh random bytes. */
export const random = (length: number): Bytes => crypto.getRandomValues(new Uint8Array(length));

/** Whether both are the same, in a time that does not tell where they differ. */
export function same(left: Bytes, right: Bytes): boolean {
  let differ = left.length ^ right.length;
  left.forEach((byte, at) => (differ |= byte ^ (right[at] ?? 0)));
  return differ === 0;
}
