/**
 * What a receiver does, as a machine: inputs come in, effects go out, and time and chance are passed in. What
 * takes time is done by the driver (receiving.ts), one effect after the other, before the next input is handled.
 */

import { helloText, parseWord, type Payload, type Word, wordText } from "../transfer/hello.ts";
import { type Bytes, same } from "../transfer/bytes.ts";
import { KIND, type Header, type Manifest, type Note, type Reason, type Start } from "../transfer/note.ts";
import { COMING_BACK, type CommonEffect, type Event } from "./event.ts";
import type { Fault } from "./fault.ts";
import { type Down, ofDown, ofReason, parseRelayWord, type Trouble } from "./relay.ts";
import { PATIENCE, Waits } from "./waits.ts";

type Challenge = Extract<Word, { type: "CHALLENGE" }>;

export type Input =
  | { readonly is: "start" }
  | { readonly is: "up" }
  | ({ readonly is: "down" } & Down)
  | { readonly is: "text"; readonly text: string }
  /** The driver has a key for this attempt. */
  | { readonly is: "key"; readonly key: Bytes }
  /** `more`: further messages have come already. */
  | { readonly is: "note"; readonly note: Note; readonly more: boolean }
  /** What came does not open. */
  | { readonly is: "not_opened" }
  /** More has come than is taken, and the line is closed. */
  | { readonly is: "flooded" }
  /** The target is there, and has so much; `header` is the last it knows. */
  | { readonly is: "ready"; readonly start: Start; readonly header: Header | null; readonly bytes: number }
  /** What was received is whole and under its name. */
  | { readonly is: "finished" }
  /** A payload of version 1, of so many bytes, is opened and kept. */
  | { readonly is: "kept"; readonly bytes: number }
  | { readonly is: "disk"; readonly reason: Reason }
  | { readonly is: "list" }
  | { readonly is: "select"; readonly id: string }
  /** The person wants no more. */
  | { readonly is: "stop" }
  /** The page was not shown for so long, in ms, or the network is there again. */
  | { readonly is: "woke"; readonly hidden: number }
  | { readonly is: "tick" };

export type Effect =
  | CommonEffect
  /** Make a key for this attempt. */
  | { readonly do: "make_key" }
  /** Derive the keys, and say AUTH. */
  | { readonly do: "prove"; readonly challenge: Challenge; readonly code: string }
  | { readonly do: "open_target"; readonly manifest: Manifest }
  | { readonly do: "entry"; readonly header: Header; readonly json: Bytes }
  | { readonly do: "write"; readonly content: Bytes }
  | { readonly do: "finish"; readonly digest: Bytes }
  /** Open and keep a payload of version 1. */
  | { readonly do: "keep_payload"; readonly payload: Payload };

type Phase =
  /** No line. */
  | "away"
  | "joining"
  /** In the room; HELLO is said or about to be. */
  | "hello"
  /** AUTH of version 2 is said. */
  | "proved"
  /** The person, or the disk, is asked for a place. */
  | "choosing"
  | "content"
  /** Everything is there, and gets its name. */
  | "finishing"
  /** AUTH of version 1 is said. */
  | "v1"
  | "sessions"
  | "over";

/** Records between two confirmations where more have come already. */
const CONFIRM_EVERY = 8;
/** How long the other side may say nothing in a phase before another line is tried, in ms. */
const SILENCE: Partial<Record<Phase, number>> = { joining: 45_000, proved: 120_000, content: 120_000 };
/** By how much a folder may grow while it is shared, and by its size, in bytes. */
const GROWTH = 64 * 1024 * 1024;
/** A page that was hidden for so long may have lost its line unheard, in ms. */
const ASLEEP = 20_000;

export class Receiving {
  private phase: Phase = "away";
  private readonly waits = new Waits();
  /** What an `ERROR` on this line has said: a wait counts where the Close says the same. */
  private error: { reason: string; told: number | null } | null = null;
  private heard = 0;
  private manifest: Manifest | null = null;
  /** Where the next content belongs: the current header, and how much of it there is. */
  private header: Header | null = null;
  private offset = 0;
  private entries = 0;
  private bytes = 0;
  /** Sessions that were asked for and have not come. */
  private selected: string[] = [];
  private records = 0;
  private unconfirmed = 0;
  private lastTold = 0;
  /** Whether a page that wakes may try again before its time: not where the relay has told it, or charges for it. */
  private mayHurry = true;

  constructor(
    private code: string,
    /** Whether this receiver has been in the room before: a code that is unknown then may come back. */
    private known = false,
  ) {}

  isOver(): boolean {
    return this.phase === "over";
  }

  /** Whether leaving now would lose something. */
  isBusy(): boolean {
    return this.phase !== "over" && this.manifest !== null;
  }

  handle(input: Input, now: number, chance: number): Effect[] {
    if (this.phase === "over") return [];
    this.waits.at(now);
    switch (input.is) {
      case "start":
        return this.dial(0);
      case "up":
        this.phase = "joining";
        this.error = null;
        this.heard = now;
        return [say({ type: "JOIN_ROOM", room_id: this.code, queue_updates: true })];
      case "down":
        return this.lost(ofDown(input, this.error?.reason === input.reason ? this.error.told : null), now, chance);
      case "text":
        this.heard = now;
        return this.text(input.text, now, chance);
      case "key":
        return this.phase === "hello" ? [{ do: "say", text: helloText(input.key) }] : [];
      case "note":
        this.heard = now;
        return this.note(input.note, input.more, now, chance);
      case "not_opened":
        // It may have been meant for the receiver before this one, as may a text.
        return this.phase === "hello" ? [] : this.abort("protocol", { word: "not_authentic" });
      case "flooded":
        return this.fail({ word: "misbehaved" });
      case "ready":
        return this.ready(input.start, input.header, input.bytes, now);
      case "finished":
        return this.delivered();
      case "kept":
        return this.kept(input.bytes);
      case "disk":
        return this.abort(input.reason, { word: "disk", reason: input.reason });
      case "list":
        if (this.phase === "v1") this.phase = "sessions";
        return this.phase === "sessions" ? [say({ type: "LIST_SESSIONS" })] : [];
      case "select":
        return this.select(input.id);
      case "stop":
        return this.stop();
      case "woke":
        return this.woke(input.hidden, now);
      case "tick":
        return now - this.heard > this.patience() ? this.redial(now) : [];
    }
  }

  /** A stream may have nothing for a while, and its sender owes nothing then. */
  private patience(): number {
    const silent = this.phase === "content" && this.manifest?.what === "stream" ? PATIENCE : SILENCE[this.phase];
    return silent ?? Infinity;
  }

  private dial(after: number, mayHurry = true): Effect[] {
    this.phase = "away";
    this.mayHurry = mayHurry;
    return [{ do: "dial", after }, ...(after === 0 ? [tell({ is: "connecting" })] : [])];
  }

  /** Leaves this line for another one. */
  private redial(now: number): Effect[] {
    this.heard = now;
    return [{ do: "hang_up", code: COMING_BACK }, ...this.dial(0)];
  }

  private woke(hidden: number, now: number): Effect[] {
    if (this.phase === "away") return this.mayHurry ? this.dial(0) : [];
    const stale = hidden > ASLEEP && now - this.heard > ASLEEP;
    return stale && this.phase !== "v1" && this.phase !== "sessions" ? this.redial(now) : [];
  }

  private lost(trouble: Trouble, now: number, chance: number): Effect[] {
    // A sender of sessions leaves once it has sent one, unless it was told to stay.
    if (this.phase === "sessions" && this.bytes > 0) return this.over();
    if ("over" in trouble) {
      // A relay that has started again does not know the code until the sender is back.
      const comesBack = trouble.over.word === "room_not_found" && this.known;
      return comesBack ? this.again({ why: "not_back", pace: "slow", told: null }, now, chance) : this.fail(trouble.over);
    }
    return this.again(trouble, now, chance);
  }

  private again(trouble: Exclude<Trouble, { over: Fault }>, now: number, chance: number): Effect[] {
    const wait = this.waits.next(now, trouble.pace, trouble.told, chance);
    if (wait === null) return this.fail({ word: trouble.why === "unreached" || trouble.why === "line" ? "unreachable" : "peer_lost" });
    return [tell({ is: "waiting", why: trouble.why, for: wait }), { do: "hang_up", code: COMING_BACK }, ...this.dial(wait, trouble.told === null && trouble.pace === "quick")];
  }

  private fail(fault: Fault): Effect[] {
    this.phase = "over";
    return [{ do: "hang_up", code: 1000 }, tell({ is: "failed", fault })];
  }

  /** Tells the other side, where the attempt has keys for it, and ends. */
  private abort(reason: Reason, fault: Fault): Effect[] {
    return [...this.farewell(reason), ...this.fail(fault)];
  }

  private stop(): Effect[] {
    const last = this.phase === "sessions" ? [say({ type: "DONE" })] : this.farewell("interrupted");
    this.phase = "over";
    return [...last, { do: "hang_up", code: 1000 }];
  }

  private farewell(reason: Reason): Effect[] {
    const sealed = ["proved", "choosing", "content", "finishing"].includes(this.phase);
    return sealed ? [{ do: "seal", note: { kind: KIND.ABORT, reason } }] : [];
  }

  /** Until AUTH is said the relay speaks, and the sender may; from there on a text is the sender's. */
  private text(text: string, now: number, chance: number): Effect[] {
    if (this.phase === "joining" || this.phase === "hello") {
      const word = parseRelayWord(text);
      if (word?.type === "ROOM_JOINED" && this.phase === "joining") return this.joined(word.fields["room_id"]);
      if (word?.type === "QUEUED") {
        const position = Number(word.fields["position"]);
        return [tell({ is: "queued", position: Number.isSafeInteger(position) && position > 0 ? position : null })];
      }
      if (word?.type === "ERROR") return this.refused(word.reason, word.told, now, chance);
    }
    const word = parseWord(text);
    const isJudged = ["hello", "proved", "v1", "sessions"].includes(this.phase);
    if (isJudged && word?.type === "DENIED") return this.denied(word.reason);
    if (this.phase === "hello" && word?.type === "CHALLENGE") return this.challenged(word);
    if (this.phase === "v1" || this.phase === "sessions") return this.v1(word);
    if (this.phase === "hello") return [];
    return this.abort("protocol", { word: "misbehaved" });
  }

  private joined(code: unknown): Effect[] {
    if (typeof code === "string") this.code = code.slice(0, 64);
    this.phase = "hello";
    this.known = true;
    return [tell({ is: "joined" }), { do: "make_key" }];
  }

  private refused(reason: string, told: number | null, now: number, chance: number): Effect[] {
    this.error = { reason, told };
    const trouble = ofReason(reason, told);
    return trouble ? this.lost(trouble, now, chance) : this.fail({ word: "relay_ended", said: reason });
  }

  private denied(said: string): Effect[] {
    return this.fail(said === "invalid_proof" ? { word: "wrong_passphrase" } : { word: "denied", said });
  }

  private challenged(challenge: Challenge): Effect[] {
    const second = challenge.version === 2 && challenge.key !== null;
    if (!second && challenge.version !== 1) return this.abort("protocol", { word: "misbehaved" });
    // What was begun by version 2 is not taken up by one that has no proof of the sender.
    if (!second && this.manifest) return this.abort("protocol", { word: "misbehaved" });
    this.phase = second ? "proved" : "v1";
    const last: Effect[] = second ? [] : [tell({ is: "waits_for_content" })];
    return [tell({ is: "proving", first: !second }), { do: "prove", challenge, code: this.code }, ...last];
  }

  private select(id: string): Effect[] {
    if (this.phase !== "sessions" || this.selected.includes(id)) return [];
    this.selected.push(id);
    return [say({ type: "SELECT_SESSION", sessionId: id })];
  }

  private v1(word: Word | null): Effect[] {
    if (word?.type === "SESSION_LIST" && this.phase === "sessions") return [tell({ is: "sessions", sessions: word.sessions })];
    if (word?.type === "ERROR") {
      this.selected.shift();
      return [tell({ is: "receiver_failed", fault: { word: "denied", said: word.reason } })];
    }
    if (word?.type !== "PAYLOAD") return this.fail({ word: "misbehaved" });
    // A browser saves what comes without asking: of sessions only those that its person has picked.
    const place = this.selected.indexOf(word.sessionId ?? "");
    if (this.phase === "sessions" && place < 0) return this.fail({ word: "misbehaved" });
    this.selected.splice(place, 1);
    return [{ do: "keep_payload", payload: word }];
  }

  private kept(bytes: number): Effect[] {
    this.bytes = bytes;
    if (this.phase === "sessions") return [tell({ is: "delivered", bytes, end: false })];
    return [say({ type: "ACK" }), ...this.over()];
  }

  /** Everything has come. */
  private over(): Effect[] {
    this.phase = "over";
    return [{ do: "hang_up", code: 1000 }, tell({ is: "delivered", bytes: this.bytes, end: true })];
  }

  private note(note: Note, more: boolean, now: number, chance: number): Effect[] {
    if (note.kind === KIND.ABORT) return this.aborted(note.reason, now, chance);
    if (this.phase === "proved" && note.kind === KIND.MANIFEST) return this.offered(note.manifest);
    if (this.phase === "content") {
      if (note.kind === KIND.ENTRY) return this.entry(note.header, note.json, more);
      if (note.kind === KIND.DATA) return this.data(note.entry, note.offset, note.content, more, now);
      if (note.kind === KIND.END) return this.end(note.entries, note.bytes, note.digest);
    }
    return this.abort("protocol", { word: "misbehaved" });
  }

  /** Only of one that has stopped because this side was slow there is more to be had. */
  private aborted(reason: Reason, now: number, chance: number): Effect[] {
    if (reason === "stalled") return this.again({ why: "line", pace: "quick", told: null }, now, chance);
    return this.fail({ word: "aborted", reason });
  }

  private offered(manifest: Manifest): Effect[] {
    const other = this.manifest && !same(this.manifest.transfer, manifest.transfer);
    if (other) return this.abort("interrupted", { word: "aborted", reason: "source_changed" });
    this.manifest = manifest;
    this.waits.well();
    this.phase = "choosing";
    return [tell({ is: "offered", manifest }), { do: "open_target", manifest }];
  }

  private ready(start: Start, header: Header | null, bytes: number, now: number): Effect[] {
    if (this.phase !== "choosing") return [];
    this.phase = "content";
    this.heard = now;
    this.header = header;
    this.entries = start.entries;
    this.offset = start.offset;
    this.bytes = bytes;
    this.records = this.unconfirmed = 0;
    const total = this.manifest?.size ?? null;
    return [{ do: "seal", note: { kind: KIND.START, start } }, tell({ is: "begun", total, from: bytes })];
  }

  private entry(header: Header, json: Bytes, more: boolean): Effect[] {
    const whole = this.entries === 0 || !this.header || isWhole(this.header, this.offset);
    const { what, size } = this.manifest ?? {};
    const one = what !== "folder";
    if (header.entry !== this.entries || !whole || (one && (this.entries > 0 || header.what !== what))) {
      return this.abort("protocol", { word: "misbehaved" });
    }
    // The person has agreed to a file of that size, and a download has announced it.
    if (what === "file" && header.size !== size) return this.abort("interrupted", { word: "aborted", reason: "source_changed" });
    this.header = header;
    this.offset = 0;
    this.entries++;
    return [{ do: "entry", header, json }, ...this.confirm(more)];
  }

  private data(entry: number, offset: number, content: Bytes, more: boolean, now: number): Effect[] {
    const size = this.header?.size ?? null;
    const fits = (size === null || offset + content.length <= size) && this.bytes + content.length <= mostOf(this.manifest);
    const belongs = entry === this.entries - 1 && offset === this.offset && this.header?.what !== "folder";
    if (!fits || !belongs || content.length === 0) return this.abort("protocol", { word: "misbehaved" });
    this.offset += content.length;
    this.bytes += content.length;
    this.waits.progress();
    return [{ do: "write", content }, ...this.confirm(more), ...this.progress(now)];
  }

  /** Confirms what is written by then, at once where nothing else is to be done. */
  private confirm(more: boolean): Effect[] {
    this.records++;
    this.unconfirmed++;
    if (more && this.unconfirmed < CONFIRM_EVERY) return [];
    this.unconfirmed = 0;
    return [{ do: "seal", note: { kind: KIND.CONFIRM, records: this.records, bytes: this.bytes } }];
  }

  private progress(now: number): Effect[] {
    if (now - this.lastTold < 200) return [];
    this.lastTold = now;
    return [tell({ is: "progress", bytes: this.bytes, total: this.manifest?.size ?? null })];
  }

  private end(entries: number, bytes: number, digest: Bytes): Effect[] {
    const whole = this.header ? isWhole(this.header, this.offset) : this.manifest?.what === "folder";
    if (entries !== this.entries || bytes !== this.bytes || !whole) return this.abort("protocol", { word: "misbehaved" });
    this.phase = "finishing";
    const last: Note = { kind: KIND.CONFIRM, records: this.records, bytes: this.bytes };
    return [{ do: "seal", note: last }, { do: "finish", digest }];
  }

  private delivered(): Effect[] {
    return [{ do: "seal", note: { kind: KIND.DELIVERED } }, ...this.over()];
  }
}

const isWhole = (header: Header, offset: number): boolean => header.size === null || header.size === offset;

/** The most that may come: the size of a folder that changes while it is shared is about what it was. */
const mostOf = (manifest: Manifest | null): number => (manifest?.size == null ? Infinity : 2 * manifest.size + GROWTH);

const tell = (event: Event): Effect => ({ do: "tell", event });
const say = (word: Record<string, unknown>): Effect => ({ do: "say", text: wordText(word) });
