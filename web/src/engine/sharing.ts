/** Shares: runs the machine of share.ts with keys, and with the source that the person has picked. */

import type { Source, Walk } from "../disk/source.ts";
import { type Bytes, random, same } from "../transfer/bytes.ts";
import { MAX_V1_MESSAGE, wordText } from "../transfer/hello.ts";
import { ephemeral, freshSalt, hmac, PassKeys, schedule, type Schedule } from "../transfer/keys.ts";
import type { Note } from "../transfer/note.ts";
import { Opener, Sealer } from "../transfer/seal.ts";
import { sealPayload } from "../transfer/v1.ts";
import { Driver } from "./driver.ts";
import type { Event } from "./event.ts";
import { DiskFault } from "../disk/fault.ts";
import type { Relay } from "./line.ts";
import { type Effect, type Input, type Room, Sharing } from "./share.ts";

export interface ShareOptions {
  readonly relay: Relay;
  readonly source: Source;
  readonly transfer: Bytes;
  readonly passphrase: string;
  /** A room to be taken up again. */
  readonly room: Room | null;
  /** The longest message that the relay takes of a sender, in bytes. */
  readonly maxMessage: number;
  readonly tell: (event: Event) => void;
}

export class Share extends Driver<Input, Effect> {
  private readonly salt = freshSalt();
  private readonly keys: PassKeys;
  private nonce: Bytes = new Uint8Array(0);
  /** The keys of this attempt; none in version 1. */
  private schedule: Schedule | null = null;
  private walk: Walk | null = null;
  protected declare readonly machine: Sharing;

  constructor(private readonly options: ShareOptions) {
    const manifest = options.source.manifest(options.transfer);
    super(new Sharing(manifest, options.room), options.relay, options.tell);
    this.keys = new PassKeys(options.passphrase);
    // The key takes a while: it is there when the first receiver comes.
    void this.keys.under(this.salt);
  }

  protected noted(note: Note): Input {
    return { is: "note", note };
  }

  protected override advance(): Promise<Input> | null {
    const { walk } = this;
    if (!walk || !this.machine.wants()) return null;
    return walk.next().then((step) => ({ is: "step", step }));
  }

  protected async perform(effect: Effect): Promise<Input | null> {
    switch (effect.do) {
      case "challenge":
        return this.challenge(effect.key, effect.code);
      case "verify":
        return { is: "verified", ok: await this.verify(effect.proof) };
      case "seek":
        this.walk = await this.options.source.walkFrom(effect.start);
        return { is: "sought", bytes: this.walk.bytes };
      case "say_payload":
        return { is: "payload", bytes: await this.sayPayload() };
      default:
        return null;
    }
  }

  private async challenge(receiverKey: Bytes | null, code: string): Promise<Input | null> {
    this.walk = this.sealer = this.opener = this.schedule = null;
    this.nonce = random(16);
    const { salt, nonce } = this;
    if (!receiverKey) {
      this.say(wordText({ type: "CHALLENGE", salt, nonce }));
      return null;
    }
    const mine = await ephemeral();
    const agreed = await mine.agree(receiverKey).catch(() => null);
    if (!agreed) return { is: "bad_key" };
    const said = { code, receiverKey, senderKey: mine.point, salt, nonce };
    this.schedule = await schedule(said, agreed, await this.keys.under(salt));
    this.say(wordText({ type: "CHALLENGE", version: 2, salt, nonce, key: mine.point }));
    return null;
  }

  private async verify(proof: Bytes): Promise<boolean> {
    if (!this.schedule) return same(proof, await hmac(await this.keys.under(this.salt), this.nonce));
    if (!same(proof, this.schedule.proof)) return false;
    this.sealer = await Sealer.new(this.schedule.toReceiver);
    this.opener = await Opener.new(this.schedule.toSender);
    return true;
  }

  /** Says the whole content in one message, as today's clients want it; `null` where it does not fit into one. */
  private async sayPayload(): Promise<number | null> {
    const longest = Math.min(this.options.maxMessage, MAX_V1_MESSAGE) / 2 - 1024;
    const content = await this.options.source.asText(longest);
    if (!content) return null;
    const key = await this.keys.under(this.salt);
    const payload = await sealPayload(key, this.salt, content).catch(() => {
      throw new DiskFault("source_failed");
    });
    this.say(wordText({ type: "PAYLOAD", ...payload }));
    return content.length;
  }
}
