/** One WebSocket to the relay. What comes is kept in order until it is asked for, up to a bound. */

import { type Bytes } from "../transfer/bytes.ts";
import type { Down } from "./relay.ts";

/** The most that may have come of a line and not been handled: twice the window, and one message of version 1. */
const MOST_WAITING = 68 * 1024 * 1024;
/** What a message weighs besides what is in it, so that many short ones have a bound, too. */
const LEAST_WEIGHT = 1024;
/** How long a handshake may take, in ms. */
const HANDSHAKE = 20_000;

/** Where the relay is, and what it asks for. */
export interface Relay {
  /** The page's folder, by http or https; ends in a slash. */
  readonly base: string;
  /** The access key, where the relay wants one. */
  readonly key: string | null;
}

/** What `page/config` says. Where it says nothing, as an older relay, it is what is likely. */
export interface Config {
  readonly accessKey: boolean;
  /** The longest message of a sender, in bytes. */
  readonly maxMessage: number;
  readonly refused: string | null;
}

export type Heard =
  | { readonly is: "up" }
  | ({ readonly is: "down" } & Down)
  | { readonly is: "text"; readonly text: string }
  | { readonly is: "binary"; readonly bytes: Bytes };

export async function askConfig(relay: Relay): Promise<Config> {
  const headers: Record<string, string> = relay.key ? { Authorization: `Bearer ${relay.key}` } : {};
  const likely = { accessKey: false, maxMessage: 64 * 1024 * 1024, refused: null };
  try {
    // Which a browser says of itself with a WebSocket, and not with this.
    const origin = new URL(relay.base).origin;
    const answer = await fetch(new URL(`page/config?origin=${origin}`, relay.base), { headers, cache: "no-store", signal: AbortSignal.timeout(HANDSHAKE) });
    const fields = answer.ok ? ((await answer.json()) as Record<string, unknown>) : {};
    const max = fields["max_message"];
    return {
      accessKey: fields["access_key"] === true,
      maxMessage: typeof max === "number" && max > 0 ? max : likely.maxMessage,
      refused: typeof fields["refused"] === "string" ? fields["refused"] : null,
    };
  } catch {
    return likely;
  }
}

/** Opens a line; `hear` is called with all that comes of it, in order, and with "down" once, last. */
export class Line {
  private readonly socket: WebSocket;
  private readonly timer: ReturnType<typeof setTimeout>;
  private opened = false;
  private ended = false;

  constructor(
    private readonly relay: Relay,
    private readonly hear: (heard: Heard) => void,
  ) {
    const url = new URL(relay.base);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    if (relay.key) url.searchParams.set("key", relay.key);
    this.socket = new WebSocket(url);
    this.socket.binaryType = "arraybuffer";
    this.timer = setTimeout(() => this.close(1000), HANDSHAKE);
    this.socket.onopen = () => {
      clearTimeout(this.timer);
      this.opened = true;
      this.hear({ is: "up" });
    };
    this.socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
      if (this.ended) return;
      this.hear(typeof data === "string" ? { is: "text", text: data } : { is: "binary", bytes: new Uint8Array(data) });
    };
    this.socket.onclose = ({ code, reason }) => void this.down(code, reason);
  }

  send(data: string | Bytes): void {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(data);
  }

  /** Closes it; nothing more is heard of it. What was sent before arrives. */
  close(code: number): void {
    clearTimeout(this.timer);
    if (this.opened) this.ended = true;
    this.socket.close(code);
  }

  /** A browser does not tell a page why a line did not open: the relay says it in `page/config`. */
  private async down(code: number, reason: string): Promise<void> {
    clearTimeout(this.timer);
    if (this.ended) return;
    this.ended = true;
    const refused = this.opened ? null : (await askConfig(this.relay)).refused;
    this.hear({ is: "down", code, reason, opened: this.opened, refused });
  }
}

/** What one thing that was heard weighs while it waits, in bytes; a text by its length, as ours are of ASCII. */
export function weightOf(heard: Heard): number {
  const content = heard.is === "binary" ? heard.bytes.length : heard.is === "text" ? heard.text.length : 0;
  return LEAST_WEIGHT + content;
}

/** What has come and waits to be handled, in order. */
export class Inbox<T> {
  private waiting: { item: T; weight: number }[] = [];
  private weight = 0;
  private wake: (() => void) | null = null;

  /** Adds one; `false` where too much waits already. What weighs nothing always has a place. */
  add(item: T, weight = 0): boolean {
    if (weight > 0 && this.weight + weight > MOST_WAITING) return false;
    this.weight += weight;
    this.waiting.push({ item, weight });
    this.wake?.();
    return true;
  }

  isEmpty(): boolean {
    return this.waiting.length === 0;
  }

  /** Whether one like this waits. */
  has(like: (item: T) => boolean): boolean {
    return this.waiting.some(({ item }) => like(item));
  }

  /** The next one, once there is one. */
  async next(): Promise<T> {
    for (;;) {
      const first = this.waiting.shift();
      if (first) {
        this.weight -= first.weight;
        return first.item;
      }
      await new Promise<void>((wake) => (this.wake = wake));
    }
  }
}
