/**
 * What a sender does, as a machine: inputs come in, effects go out, and time and chance are passed in. It answers
 * one receiver after another until it is stopped. What takes time is done by the driver (sharing.ts), one effect
 * after the other, before the next input is handled.
 */

import type { Step } from "../disk/source.ts";
import type { Bytes } from "../transfer/bytes.ts";
import { parseWord, type Word, wordText } from "../transfer/hello.ts";
import { KIND, type Manifest, type Note, type Reason, type Start } from "../transfer/note.ts";
import { Window } from "../transfer/window.ts";
import { COMING_BACK, type CommonEffect, type Event } from "./event.ts";
import type { Fault } from "./fault.ts";
import { type Down, ofDown, ofReason, parseRelayWord, type RelayWord, type Trouble } from "./relay.ts";
import { PATIENCE, Waits } from "./waits.ts";

export type Input =
  | { readonly is: "start" }
  | { readonly is: "up" }
  | ({ readonly is: "down" } & Down)
  | { readonly is: "text"; readonly text: string }
  | { readonly is: "note"; readonly note: Note }
  | { readonly is: "not_opened" }
  /** More has come than is taken, and the line is closed. */
  | { readonly is: "flooded" }
  /** The receiver's key is no point of the curve. */
  | { readonly is: "bad_key" }
  /** Whether the receiver's proof is right. */
  | { readonly is: "verified"; readonly ok: boolean }
  /** The source goes on from where the receiver wants it to. */
  | { readonly is: "sought"; readonly bytes: number }
  | { readonly is: "step"; readonly step: Step }
  /** The payload of version 1 is said, or the source does not fit into one. */
  | { readonly is: "payload"; readonly bytes: number | null }
  | { readonly is: "disk"; readonly reason: Reason }
  | { readonly is: "stop" }
  | { readonly is: "woke"; readonly hidden: number }
  | { readonly is: "tick" };

export type Effect =
  | CommonEffect
  /** Say CHALLENGE, of version 2 where there is a key. */
  | { readonly do: "challenge"; readonly key: Bytes | null; readonly code: string }
  | { readonly do: "verify"; readonly proof: Bytes }
  | { readonly do: "seek"; readonly start: Start }
  | { readonly do: "say_payload" };

/** What lets another line, or another page, take up the room. */
export interface Room {
  readonly code: string;
  readonly resumeToken: string;
}

type Phase =
  /** No line. */
  | "away"
  /** CREATE_ROOM or RESUME_ROOM is said. */
  | "asking"
  /** Nobody is there. */
  | "waiting"
  | "paired"
  | "challenged"
  /** MANIFEST is said; the receiver may have to ask its person. */
  | "offered"
  | "content"
  /** END is said. */
  | "ended"
  /** PAYLOAD of version 1 is said. */
  | "v1"
  /** All is said to this receiver: it is to leave. */
  | "leaving"
  | "over";

/** How long a receiver may say nothing in a phase before it is left, in ms. */
const SILENCE: Partial<Record<Phase, number>> = {
  asking: 45_000,
  paired: 60_000,
  // Somebody may have to type the passphrase.
  challenged: 300_000,
  offered: PATIENCE,
  content: 120_000,
  ended: 120_000,
  v1: PATIENCE,
  leaving: 10_000,
};
/** How long the room may be joined, in seconds: a transfer may be long, and its line be cut at the very end. */
const LIFE = 24 * 60 * 60;
/** Wrong proofs, in all, after which a share ends. */
const MOST_WRONG = 10;
/** The longest code that a relay is believed, in characters. */
const LONGEST_CODE = 64;
/** A page that was hidden for so long may have lost its line unheard, in ms. */
const ASLEEP = 20_000;

export class Sharing {
  private phase: Phase = "away";
  private readonly waits = new Waits();
  private window = new Window();
  private heard = 0;
  private wrong = 0;
  private second = false;
  private error: { reason: string; told: number | null } | null = null;
  private lastTold = 0;
  /** Whether a page that wakes may try again before its time: not where the relay has told it, or charges for it. */
  private mayHurry = true;
  private bytes = 0;
  private code = "";

  constructor(
    private readonly manifest: Manifest,
    private room: Room | null = null,
  ) {}

  /** Whether the next step of the source is to be sent. */
  wants(): boolean {
    return this.phase === "content" && this.window.isOpen();
  }

  isOver(): boolean {
    return this.phase === "over";
  }

  /** Whether leaving now would interrupt somebody. */
  isBusy(): boolean {
    return ["challenged", "offered", "content", "ended", "v1"].includes(this.phase);
  }

  handle(input: Input, now: number, chance: number): Effect[] {
    if (this.phase === "over") return [];
    this.waits.at(now);
    switch (input.is) {
      case "start":
        return this.dial(0);
      case "up":
        this.enter("asking", now);
        this.error = null;
        return [say(this.room ? { type: "RESUME_ROOM", room_id: this.room.code, resume_token: this.room.resumeToken } : { type: "CREATE_ROOM", resume: true, expires_in: LIFE })];
      case "down":
        return this.lost(ofDown(input, this.error?.reason === input.reason ? this.error.told : null), now, chance);
      case "text":
        return this.text(input.text, now, chance);
      case "note":
        return this.note(input.note, now);
      case "not_opened":
        return this.isClear() ? this.deny("unexpected_message", { word: "misbehaved" }, now) : this.drop("protocol", { word: "not_authentic" }, now);
      case "flooded":
        return this.room ? this.drop("protocol", { word: "misbehaved" }, now) : this.fail({ word: "misbehaved" });
      case "bad_key":
        return this.deny("bad_key", { word: "misbehaved" }, now);
      case "verified":
        return this.verified(input.ok, now);
      case "sought":
        this.window = new Window();
        this.enter("content", now);
        this.waits.progress();
        return [tell({ is: "begun", total: this.manifest.size, from: input.bytes })];
      case "step":
        return this.step(input.step, now);
      case "payload":
        if (input.bytes === null) return this.deny("needs_newer_client", { word: "denied", said: "needs_newer_client" }, now);
        this.bytes = input.bytes;
        this.enter("v1", now);
        return [];
      case "disk":
        return this.drop(input.reason, { word: "disk", reason: input.reason }, now);
      case "stop":
        this.phase = "over";
        return [{ do: "seal", note: { kind: KIND.ABORT, reason: "interrupted" } }, { do: "hang_up", code: 1000 }];
      case "woke":
        return this.woke(input.hidden, now);
      case "tick":
        return this.tick(now);
    }
  }

  private enter(phase: Phase, now: number): void {
    this.phase = phase;
    this.heard = now;
  }

  private dial(after: number, mayHurry = true): Effect[] {
    this.phase = "away";
    this.mayHurry = mayHurry;
    return [{ do: "dial", after }, ...(after === 0 ? [tell({ is: "connecting" })] : [])];
  }

  private woke(hidden: number, now: number): Effect[] {
    if (this.phase === "away") return this.mayHurry ? this.dial(0) : [];
    const stale = hidden > ASLEEP && now - this.heard > ASLEEP && this.room;
    return stale ? [{ do: "hang_up", code: COMING_BACK }, ...this.dial(0)] : [];
  }

  private tick(now: number): Effect[] {
    const longest = SILENCE[this.phase] ?? Infinity;
    if (now - this.heard <= longest) return [];
    if (this.phase === "asking") return [{ do: "hang_up", code: COMING_BACK }, ...this.dial(0)];
    return this.phase === "leaving" ? this.leave(now) : this.drop("stalled", { word: "peer_lost" }, now);
  }

  private lost(trouble: Trouble, now: number, chance: number): Effect[] {
    if ("over" in trouble) return this.fail(trouble.over.word === "room_not_found" ? { word: "room_lost" } : trouble.over);
    // A relay without resuming ends a room with its line.
    if (!this.room && this.phase !== "away" && this.phase !== "asking") return this.fail({ word: "room_lost" });
    const wait = this.waits.next(now, trouble.pace, trouble.told, chance);
    if (wait === null) return this.fail({ word: trouble.why === "relay_full" ? "busy" : "unreachable" });
    return [tell({ is: "waiting", why: trouble.why, for: wait }), { do: "hang_up", code: COMING_BACK }, ...this.dial(wait, trouble.told === null && trouble.pace === "quick")];
  }

  private fail(fault: Fault): Effect[] {
    this.phase = "over";
    return [{ do: "hang_up", code: 1000 }, tell({ is: "failed", fault })];
  }

  /** Gives this receiver up, and is there for the next. */
  private drop(reason: Reason, fault: Fault, now: number): Effect[] {
    const last: Note = { kind: KIND.ABORT, reason };
    return [{ do: "seal", note: last }, tell({ is: "receiver_failed", fault }), ...this.leave(now)];
  }

  /** Has the relay take a receiver away that does not leave: it does when its sender comes by another line. */
  private leave(now: number): Effect[] {
    this.enter("leaving", now);
    return this.room ? [{ do: "hang_up", code: COMING_BACK }, ...this.dial(1000)] : [];
  }

  private text(text: string, now: number, chance: number): Effect[] {
    const relay = parseRelayWord(text);
    if (relay && this.phase === "asking") return this.answered(relay, now, chance);
    switch (relay?.type) {
      case "PEER_JOINED":
        this.enter("paired", now);
        return [tell({ is: "peer_joined" })];
      case "PEER_DISCONNECTED": {
        const wasBusy = this.isBusy();
        this.enter("waiting", now);
        return wasBusy ? [tell({ is: "peer_gone" })] : [];
      }
      case "ERROR":
        // A receiver could say this, too: what counts is the Close that comes with it.
        this.error = { reason: relay.reason, told: relay.told };
        return [];
      default:
        return this.word(parseWord(text), now);
    }
  }

  private answered(relay: RelayWord, now: number, chance: number): Effect[] {
    if (relay.type === "ERROR") {
      this.error = { reason: relay.reason, told: relay.told };
      const trouble = ofReason(relay.reason, relay.told);
      return trouble ? this.lost(trouble, now, chance) : this.fail({ word: "relay_ended", said: relay.reason });
    }
    const { room_id: code, resume_token: token, expires_in: left } = relay.fields;
    const granted = relay.type === "ROOM_CREATED" || relay.type === "ROOM_RESUMED";
    if (!granted || typeof code !== "string" || code.length > LONGEST_CODE) return [];
    this.room = typeof token === "string" ? { code, resumeToken: token } : null;
    this.code = code;
    this.waits.well();
    this.enter("waiting", now);
    const expiresIn = typeof left === "number" ? left : 0;
    return [tell({ is: "opened", code, expiresIn, resumeToken: this.room?.resumeToken ?? null })];
  }

  private word(word: Word | null, now: number): Effect[] {
    if (this.phase === "waiting" || this.phase === "leaving") return [];
    if (this.phase === "paired" && word?.type === "HELLO") {
      this.second = word.versions.includes(2) && word.key !== null;
      this.enter("challenged", now);
      return [tell({ is: "proving", first: !this.second }), { do: "challenge", key: this.second ? word.key : null, code: this.code }];
    }
    if (this.phase === "challenged" && word?.type === "AUTH") return [{ do: "verify", proof: word.proof }];
    if (this.phase === "v1" && word?.type === "ACK") return this.delivered(now);
    return this.isClear() ? this.deny("unexpected_message", { word: "misbehaved" }, now) : this.drop("protocol", { word: "misbehaved" }, now);
  }

  /** Whether HELLO or AUTH is due: nothing can be sealed yet. */
  private isClear(): boolean {
    return this.phase === "paired" || this.phase === "challenged";
  }

  private verified(ok: boolean, now: number): Effect[] {
    if (this.phase !== "challenged") return [];
    if (!ok) return this.denied(now);
    if (!this.second) return [{ do: "say_payload" }];
    this.enter("offered", now);
    return [{ do: "seal", note: { kind: KIND.MANIFEST, manifest: this.manifest } }, tell({ is: "proved" })];
  }

  private denied(now: number): Effect[] {
    const denied = say({ type: "DENIED", reason: "invalid_proof" });
    const left = MOST_WRONG - ++this.wrong;
    if (left <= 0) return [denied, ...this.fail({ word: "too_many_wrong_passphrases" })];
    this.enter("leaving", now);
    return [denied, tell({ is: "wrong_proof", left })];
  }

  /** Sends this receiver away for good. */
  private deny(reason: string, fault: Fault, now: number): Effect[] {
    this.enter("leaving", now);
    return [say({ type: "DENIED", reason }), tell({ is: "receiver_failed", fault })];
  }

  private delivered(now: number): Effect[] {
    this.enter("leaving", now);
    return [tell({ is: "delivered", bytes: this.bytes, end: false })];
  }

  private note(note: Note, now: number): Effect[] {
    if (this.phase === "waiting" || this.phase === "leaving") return [];
    if (note.kind === KIND.ABORT) {
      this.enter("leaving", now);
      return [tell({ is: "receiver_failed", fault: { word: "aborted", reason: note.reason } })];
    }
    if (note.kind === KIND.START && this.phase === "offered") {
      this.heard = now;
      return [{ do: "seek", start: note.start }];
    }
    if (note.kind === KIND.CONFIRM && (this.phase === "content" || this.phase === "ended")) return this.confirmed(note.records, note.bytes, now);
    if (note.kind === KIND.DELIVERED && this.phase === "ended") return this.delivered(now);
    return this.drop("protocol", { word: "misbehaved" }, now);
  }

  private confirmed(records: number, bytes: number, now: number): Effect[] {
    if (!this.window.confirmed(records, now)) return this.drop("protocol", { word: "misbehaved" }, now);
    this.heard = now;
    this.waits.progress();
    if (now - this.lastTold < 200) return [];
    this.lastTold = now;
    const total = this.manifest.size;
    return [tell({ is: "progress", bytes: Math.min(bytes, total ?? bytes), total })];
  }

  private step(step: Step, now: number): Effect[] {
    if (this.phase !== "content") return [];
    // Silence counts from when there is something to confirm.
    if (this.window.isEmpty()) this.heard = now;
    switch (step.is) {
      case "entry":
        this.window.sent(step.json.length, now);
        return [{ do: "seal", note: { kind: KIND.ENTRY, header: step.header, json: step.json } }];
      case "content":
        this.window.sent(step.content.length, now);
        return [{ do: "seal", note: { kind: KIND.DATA, entry: step.entry, offset: step.offset, content: step.content } }];
      case "end":
        this.bytes = step.bytes;
        this.enter("ended", now);
        return [{ do: "seal", note: { kind: KIND.END, entries: step.entries, bytes: step.bytes, digest: step.digest } }];
    }
  }
}

const tell = (event: Event): Effect => ({ do: "tell", event });
const say = (word: Record<string, unknown>): Effect => ({ do: "say", text: wordText(word) });
