/**
 * Runs a machine: its inputs come from the line, a clock and the page, and are handled one after the other; its
 * effects are carried out in order. The two sides add what is their own.
 */

import type { Bytes } from "../transfer/bytes.ts";
import { KIND, type Note, type Reason } from "../transfer/note.ts";
import { NotOpened, type Opener, type Sealer } from "../transfer/seal.ts";
import { COMING_BACK, type CommonEffect, type Event } from "./event.ts";
import { DiskFault } from "../disk/fault.ts";
import { Inbox, Line, type Relay, weightOf } from "./line.ts";
import { nudgeCollector } from "./nudge.ts";
import type { Down } from "./relay.ts";

/** Inputs that both machines know. */
export type CommonInput =
  | { readonly is: "start" | "up" | "not_opened" | "flooded" | "stop" | "tick" }
  | ({ readonly is: "down" } & Down)
  | { readonly is: "text"; readonly text: string }
  | { readonly is: "disk"; readonly reason: Reason }
  | { readonly is: "woke"; readonly hidden: number };

export interface Machine<Input, Effect> {
  handle(input: Input, now: number, chance: number): Effect[];
  isOver(): boolean;
  isBusy(): boolean;
}

/** What waits to be handled: an input, or a sealed message; of which line, where it is of one. */
type Waiting<Input> = { readonly line: Line | null; readonly input: Input | { readonly is: "binary"; readonly bytes: Bytes } };

export abstract class Driver<Input extends { readonly is: string }, Effect extends { readonly do: string }> {
  protected sealer: Sealer | null = null;
  protected opener: Opener | null = null;
  private line: Line | null = null;
  private dialling: ReturnType<typeof setTimeout> | undefined;
  private readonly inbox = new Inbox<Waiting<Input | CommonInput>>();
  /** Has what is waited for be left. */
  private halt = (): void => undefined;

  protected constructor(
    protected readonly machine: Machine<Input | CommonInput, Effect | CommonEffect>,
    protected readonly relay: Relay,
    private readonly tell: (event: Event) => void,
  ) {}

  /** Carries out what is this side's own; an answer is handled before anything else. */
  protected abstract perform(effect: Effect): Promise<Input | null>;
  /** The input that an opened message is. */
  protected abstract noted(note: Note, more: boolean): Input;
  /** What this side does by itself while nothing comes; `null` for nothing. */
  protected advance(): Promise<Input> | null {
    return null;
  }

  isBusy(): boolean {
    return this.machine.isBusy();
  }

  /** Has an input handled after those that wait. */
  post(input: Input | CommonInput): void {
    this.inbox.add({ line: null, input });
  }

  /** Has it end now: what is being done, as a write that the browser lets wait, is left to itself. */
  stop(): void {
    this.halt();
    this.post({ is: "stop" });
  }

  /** Runs until the machine is over. */
  async run(): Promise<void> {
    const clock = setInterval(() => this.post({ is: "tick" }), 1000);
    await this.handle({ is: "start" });
    while (!this.machine.isOver()) {
      const own = this.inbox.isEmpty() ? this.advance() : null;
      if (own) await this.handleOwn(own);
      else await this.take(await this.inbox.next());
    }
    clearInterval(clock);
    clearTimeout(this.dialling);
  }

  private async handleOwn(own: Promise<Input>): Promise<void> {
    const input = await this.unlessStopped(own).catch((error: unknown): CommonInput => ({ is: "disk", reason: reasonOf(error) }));
    await this.handle(input);
  }

  private async take({ line, input }: Waiting<Input | CommonInput>): Promise<void> {
    // What an earlier line has brought is nobody's any more.
    if (line && line !== this.line) return;
    await this.handle(isBinary(input) ? await this.open(input.bytes) : input);
  }

  private async open(message: Bytes): Promise<Input | CommonInput> {
    try {
      nudgeCollector(message.length);
      if (!this.opener) throw new NotOpened("no keys yet");
      const note = await this.opener.open(message);
      if (note.kind === KIND.MANIFEST) this.bind(note.manifest.transfer);
      // A tick that waits is nothing that the other side has said.
      const more = this.inbox.has(({ line, input }) => line === this.line && isBinary(input));
      return this.noted(note, more);
    } catch {
      return { is: "not_opened" };
    }
  }

  private bind(transfer: Bytes): void {
    this.opener?.bind(transfer);
    this.sealer?.bind(transfer);
  }

  private async handle(input: Input | CommonInput): Promise<void> {
    for (const effect of this.machine.handle(input, performance.now(), Math.random())) {
      try {
        const answer = await this.unlessStopped(this.carryOut(effect));
        if (answer) await this.handle(answer);
        // What else was to be done is for a machine that goes on.
        if (answer && this.machine.isOver()) return;
      } catch (error) {
        return this.handle({ is: "disk", reason: reasonOf(error) });
      }
    }
  }

  /** What this work answers; where it is stopped meanwhile, that. What a machine does last is not stopped. */
  private unlessStopped<T>(work: Promise<T>): Promise<T | CommonInput> {
    if (this.machine.isOver()) return work;
    return new Promise((done, failed) => {
      this.halt = () => done({ is: "stop" });
      work.then(done, failed);
    });
  }

  private async carryOut(effect: Effect | CommonEffect): Promise<Input | CommonInput | null> {
    if (!isCommon(effect)) return this.perform(effect as Effect);
    switch (effect.do) {
      case "dial":
        clearTimeout(this.dialling);
        this.dialling = setTimeout(() => this.dial(), effect.after);
        break;
      case "say":
        this.say(effect.text);
        break;
      case "seal":
        await this.seal(effect.note);
        break;
      case "hang_up":
        this.line?.close(effect.code);
        this.line = null;
        break;
      case "tell":
        this.tell(effect.event);
    }
    return null;
  }

  private dial(): void {
    this.line?.close(1000);
    this.sealer = this.opener = null;
    const line: Line = new Line(this.relay, (input) => {
      if (this.inbox.add({ line, input }, weightOf(input))) return;
      // Whoever sends more than the window allows is no sender of ours: nothing more is heard of it.
      line.close(COMING_BACK);
      this.post({ is: "flooded" });
    });
    this.line = line;
  }

  protected say(text: string): void {
    this.line?.send(text);
  }

  private async seal(note: Note): Promise<void> {
    if (!this.sealer) return;
    const line = this.line;
    const message = await this.sealer.seal(note);
    if (note.kind === KIND.MANIFEST) this.bind(note.manifest.transfer);
    line?.send(message);
    nudgeCollector(message.length);
  }
}

const isBinary = (input: { readonly is: string }): input is { readonly is: "binary"; readonly bytes: Bytes } => input.is === "binary";

const COMMON: readonly string[] = ["dial", "say", "seal", "hang_up", "tell"] satisfies CommonEffect["do"][];
const isCommon = (effect: { readonly do: string }): effect is CommonEffect => COMMON.includes(effect.do);

function reasonOf(error: unknown): Reason {
  if (error instanceof DiskFault) return error.reason;
  console.error(error);
  return "target_failed";
}
