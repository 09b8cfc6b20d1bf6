/** Messages of version 2 under the key of one direction: AES-256-GCM, numbered from 0 within an attempt. */

import { type Bytes, concat, fromNumber } from "./bytes.ts";
import { DATA_HEAD, dataHead, KIND, MAX_MESSAGE, MAX_NOTE, type Note, noteJson, parseData, parseNote } from "./note.ts";

/** What a message is bound to until MANIFEST has named the transfer. */
const NO_TRANSFER = new Uint8Array(16);

/** A message that does not open, or that says nothing known. */
export class NotOpened extends Error {}

class Direction {
  protected transfer: Bytes = NO_TRANSFER;
  private count = 0;

  protected constructor(protected readonly key: CryptoKey) {}

  /** From now on messages are bound to this transfer. */
  bind(transfer: Bytes): void {
    this.transfer = transfer;
  }

  /** What is in clear is bound to what is sealed. */
  protected how(kind: number, head: Bytes) {
    const iv = concat(new Uint8Array(4), fromNumber(this.count++));
    return { name: "AES-GCM", iv, additionalData: concat(new Uint8Array([kind]), this.transfer, head) };
  }
}

/** Seals what one side says. */
export class Sealer extends Direction {
  static async new(key: Bytes): Promise<Sealer> {
    return new Sealer(await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["encrypt"]));
  }

  /** The message that says it. Messages have to be sent in the order in which this is called. */
  async seal(note: Note): Promise<Bytes> {
    const head = note.kind === KIND.DATA ? dataHead(note.entry, note.offset) : new Uint8Array(0);
    const body = note.kind === KIND.DATA ? note.content : noteJson(note);
    const how = this.how(note.kind, head);
    const sealed = new Uint8Array(await crypto.subtle.encrypt(how, this.key, body));
    return concat(new Uint8Array([note.kind]), head, sealed);
  }
}

/** Opens what the other side says. */
export class Opener extends Direction {
  static async new(key: Bytes): Promise<Opener> {
    return new Opener(await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["decrypt"]));
  }

  /** The note of a message, in the order in which they came. Throws {@link NotOpened}. */
  async open(message: Bytes): Promise<Note> {
    const kind = message[0] ?? 0;
    const head = message.subarray(1, kind === KIND.DATA ? 1 + DATA_HEAD : 1);
    const longest = kind === KIND.DATA ? MAX_MESSAGE : MAX_NOTE + 64;
    if (message.length > longest || (kind === KIND.DATA && head.length < DATA_HEAD)) throw new NotOpened("length");
    const sealed = message.subarray(1 + head.length);
    const how = this.how(kind, head);
    const opened = await crypto.subtle.decrypt(how, this.key, sealed).catch(() => {
      throw new NotOpened("not authentic");
    });
    const body = new Uint8Array(opened);
    const note = kind === KIND.DATA ? parseData(head, body) : parseNote(kind, body);
    if (!note) throw new NotOpened("unknown");
    return note;
  }
}
