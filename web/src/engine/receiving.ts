/** Receives: runs the machine of receive.ts with keys, and with a target for what comes. */

import type { Target } from "../disk/target.ts";
import type { Bytes } from "../transfer/bytes.ts";
import { wordText } from "../transfer/hello.ts";
import { type Ephemeral, ephemeral, hmac, PassKeys, schedule } from "../transfer/keys.ts";
import type { Manifest, Note } from "../transfer/note.ts";
import { Opener, Sealer } from "../transfer/seal.ts";
import { openPayload } from "../transfer/v1.ts";
import { Driver } from "./driver.ts";
import type { Event } from "./event.ts";
import { DiskFault } from "../disk/fault.ts";
import type { Relay } from "./line.ts";
import { type Effect, type Input, Receiving } from "./receive.ts";

export interface ReceiveOptions {
  readonly relay: Relay;
  readonly code: string;
  readonly passphrase: string;
  /** Whether this transfer goes on after a reload. */
  readonly known: boolean;
  readonly tell: (event: Event) => void;
  /** Finds a place for what is offered; may ask the person. Throws {@link DiskFault}. */
  readonly openTarget: (manifest: Manifest) => Promise<Target>;
  /** Content of version 1: a text, of a session where there is a name. */
  readonly keepText: (content: Bytes, session: string | null) => Promise<void>;
}

export class Receive extends Driver<Input, Effect> {
  private readonly keys: PassKeys;
  private key: Ephemeral | null = null;
  private target: Promise<Target> | null = null;

  constructor(private readonly options: ReceiveOptions) {
    super(new Receiving(options.code, options.known), options.relay, options.tell);
    this.keys = new PassKeys(options.passphrase);
  }

  /** Leaves what was received, also where its place is found only now; what can be gone on with is kept if wanted. */
  leave(keep: boolean): void {
    this.target?.then((target) => target.leave(keep)).catch(() => undefined);
  }

  protected noted(note: Note, more: boolean): Input {
    return { is: "note", note, more };
  }

  protected async perform(effect: Effect): Promise<Input | null> {
    switch (effect.do) {
      case "make_key":
        this.key = await ephemeral();
        return { is: "key", key: this.key.point };
      case "prove":
        return this.prove(effect);
      case "open_target":
        this.openTarget(effect.manifest);
        return null;
      case "entry":
        await (await this.target)?.entry(effect.header, effect.json);
        return null;
      case "write":
        await (await this.target)?.write(effect.content);
        return null;
      case "finish":
        await (await this.target)?.finish(effect.digest);
        return { is: "finished" };
      case "keep_payload": {
        const { payload } = effect;
        const content = await openPayload(await this.keys.under(payload.salt), payload).catch(() => null);
        if (!content) return { is: "not_opened" };
        await this.options.keepText(content, payload.sessionId);
        return { is: "kept", bytes: content.length };
      }
      default:
        return null;
    }
  }

  private async prove({ challenge, code }: Extract<Effect, { do: "prove" }>): Promise<Input | null> {
    const { salt, nonce, key: senderKey, version } = challenge;
    const pass = await this.keys.under(salt);
    if (version !== 2 || !senderKey) {
      this.say(wordText({ type: "AUTH", proof: await hmac(pass, nonce) }));
      return null;
    }
    const agreed = await this.key?.agree(senderKey).catch(() => null);
    if (!agreed || !this.key) return { is: "not_opened" };
    const said = { code, receiverKey: this.key.point, senderKey, salt, nonce };
    const keys = await schedule(said, agreed, pass);
    this.sealer = await Sealer.new(keys.toSender);
    this.opener = await Opener.new(keys.toReceiver);
    this.say(wordText({ type: "AUTH", proof: keys.proof }));
    return null;
  }

  /** Asks for a place once, beside what comes meanwhile: a line may be lost while a person thinks. */
  private openTarget(manifest: Manifest): void {
    this.target ??= this.options.openTarget(manifest);
    this.target.then(
      (target) => {
        const { entries, offset, digest, header, bytes } = target.place;
        this.post({ is: "ready", start: { entries, offset, digest }, header, bytes });
      },
      (error: unknown) => {
        this.post({ is: "disk", reason: error instanceof DiskFault ? error.reason : "target_failed" });
      },
    );
  }
}
