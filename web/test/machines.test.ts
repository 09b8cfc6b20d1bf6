/** The machines of both sides: what goes out for what comes in, and at what time. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { whenFree } from "../src/disk/private_folder.ts";
import { Source } from "../src/disk/source.ts";
import { type Effect as ReceiveEffect, type Input as ReceiveInput, Receiving } from "../src/engine/receive.ts";
import { type Effect as ShareEffect, type Input as ShareInput, Sharing } from "../src/engine/share.ts";
import { PATIENCE, Waits } from "../src/engine/waits.ts";
import { type Header, KIND, type Manifest, NO_HEADERS, type Reason } from "../src/transfer/note.ts";

const transfer = new Uint8Array(16).fill(7);
const manifest: Manifest = { transfer, what: "file", name: "a.txt", size: 6, files: 1 };
const header: Header = { entry: 0, path: ["a.txt"], what: "file", size: 6, modified: null, stamp: new Uint8Array(8) };
const json = new Uint8Array(2);
const down = { is: "down", code: 1006, reason: "", opened: true, refused: null } as const;

/** Says what was done, in short. */
function brief(effects: readonly (ReceiveEffect | ShareEffect)[]): string[] {
  return effects.map((effect) => {
    switch (effect.do) {
      case "say":
        return `say ${(JSON.parse(effect.text) as { type: string }).type}`;
      case "seal":
        return `seal ${effect.note.kind}${effect.note.kind === KIND.ABORT ? ` ${effect.note.reason}` : ""}`;
      case "tell":
        return `tell ${effect.event.is}${"fault" in effect.event ? ` ${effect.event.fault.word}` : ""}`;
      case "dial":
        return `dial ${effect.after}`;
      case "hang_up":
        return `hang_up ${effect.code}`;
      default:
        return effect.do;
    }
  });
}

/** A machine that is fed, at a time that only this moves. */
function receiver(known = false) {
  const machine = new Receiving("a7f3k2", known);
  const at = { now: 0 };
  const feed = (input: ReceiveInput) => brief(machine.handle(input, at.now, 0));
  return { machine, at, feed };
}

const say = (fields: object) => ({ is: "text", text: JSON.stringify(fields) }) as const;
const joined = say({ type: "ROOM_JOINED", room_id: "a7f3k2" });
const challenge = say({ type: "CHALLENGE", version: 2, salt: "00".repeat(32), nonce: "00".repeat(16), key: "04".repeat(65) });
const start = { entries: 0, offset: 0, digest: NO_HEADERS };
const data = (offset: number, length: number) => ({ kind: KIND.DATA, entry: 0, offset, content: new Uint8Array(length) }) as const;

/** One that content is on its way to; without a `first` header it is yet to come. */
function begun(offered: Manifest = manifest, first: Header | null = header) {
  const it = receiver();
  it.feed({ is: "start" });
  assert.deepEqual(it.feed({ is: "up" }), ["say JOIN_ROOM"]);
  assert.deepEqual(it.feed(joined), ["tell joined", "make_key"]);
  assert.deepEqual(it.feed({ is: "key", key: new Uint8Array(65) }), ["say HELLO"]);
  assert.deepEqual(it.feed(challenge), ["tell proving", "prove"]);
  assert.deepEqual(it.feed({ is: "note", note: { kind: KIND.MANIFEST, manifest: offered }, more: false }), ["tell offered", "open_target"]);
  assert.deepEqual(it.feed({ is: "ready", start, header: null, bytes: 0 }), ["seal 2", "tell begun"]);
  if (first) assert.deepEqual(it.feed({ is: "note", note: { kind: KIND.ENTRY, header: first, json }, more: true }), ["entry"]);
  return it;
}

test("a receiver confirms only what is written, and at once where nothing else has come", () => {
  const { feed, machine } = begun();
  assert.deepEqual(feed({ is: "note", note: data(0, 3), more: true }), ["write"]);
  assert.deepEqual(feed({ is: "note", note: data(3, 3), more: false }), ["write", "seal 5"]);
  const end = { kind: KIND.END, entries: 1, bytes: 6, digest: NO_HEADERS } as const;
  assert.deepEqual(feed({ is: "note", note: end, more: false }), ["seal 5", "finish"]);
  assert.deepEqual(feed({ is: "finished" }), ["seal 7", "hang_up 1000", "tell delivered"]);
  assert.ok(machine.isOver());
});

test("a receiver takes nothing out of its order", () => {
  const wrong = [
    data(1, 1),
    data(0, 7),
    data(0, 0),
    { ...data(0, 1), entry: 1 },
    { kind: KIND.ENTRY, header: { ...header, entry: 1 }, json },
    { kind: KIND.END, entries: 1, bytes: 0, digest: NO_HEADERS },
    { kind: KIND.MANIFEST, manifest },
    { kind: KIND.START, start },
    { kind: KIND.DELIVERED },
  ] as const;
  for (const note of wrong) {
    assert.deepEqual(begun().feed({ is: "note", note, more: false }), ["seal 8 protocol", "hang_up 1000", "tell failed misbehaved"]);
  }
  assert.deepEqual(begun().feed(say({ type: "CHALLENGE" })).at(-1), "tell failed misbehaved");
  // No file at all is not an empty one.
  const none = begun(manifest, null).feed({ is: "note", note: { kind: KIND.END, entries: 0, bytes: 0, digest: NO_HEADERS }, more: false });
  assert.equal(none.at(-1), "tell failed misbehaved");
});

test("a receiver whose line is lost comes back, and goes on with what it has", () => {
  const { feed } = begun();
  feed({ is: "note", note: data(0, 3), more: false });
  assert.deepEqual(feed(down), ["tell waiting", "hang_up 4000", "dial 250"]);
  feed({ is: "up" });
  // The relay has started again, and the sender is not back: that is no wrong code any more.
  assert.deepEqual(feed(say({ type: "ERROR", reason: "room_not_found" })), ["tell waiting", "hang_up 4000", "dial 1000"]);
  feed({ is: "up" });
  feed(joined);
  feed(challenge);
  feed({ is: "note", note: { kind: KIND.MANIFEST, manifest }, more: false });
  const from = { entries: 1, offset: 3, digest: NO_HEADERS };
  feed({ is: "ready", start: from, header, bytes: 3 });
  assert.deepEqual(feed({ is: "note", note: data(3, 3), more: false }), ["write", "seal 5"]);
});

test("a receiver that comes back takes no other transfer for its own, and no version without a proof", () => {
  const other = { ...manifest, transfer: new Uint8Array(16) };
  const again = () => {
    const it = begun();
    it.feed(down);
    it.feed({ is: "up" });
    it.feed(joined);
    return it;
  };
  const second = again();
  second.feed(challenge);
  assert.equal(second.feed({ is: "note", note: { kind: KIND.MANIFEST, manifest: other }, more: false }).at(-1), "tell failed aborted");
  const first = say({ type: "CHALLENGE", salt: "00".repeat(32), nonce: "00".repeat(16) });
  assert.equal(again().feed(first).at(-1), "tell failed misbehaved");
});

test("a receiver of sessions takes those that it has asked for, each once, and no verdict once content flows", () => {
  const first = say({ type: "CHALLENGE", salt: "00".repeat(32), nonce: "00".repeat(16) });
  const payload = (sessionId: string) => say({ type: "PAYLOAD", salt: "00".repeat(32), nonce: "00".repeat(12), ciphertext: "00".repeat(20), sessionId });
  const listed = () => {
    const it = receiver();
    it.feed({ is: "start" });
    it.feed({ is: "up" });
    it.feed(joined);
    assert.deepEqual(it.feed(first), ["tell proving", "prove", "tell waits_for_content"]);
    assert.deepEqual(it.feed({ is: "list" }), ["say LIST_SESSIONS"]);
    return it;
  };
  const { feed } = listed();
  assert.deepEqual(feed({ is: "select", id: "a" }), ["say SELECT_SESSION"]);
  assert.deepEqual(feed({ is: "select", id: "a" }), []);
  assert.deepEqual(feed(payload("a")), ["keep_payload"]);
  assert.deepEqual(feed({ is: "kept", bytes: 4 }), ["tell delivered"]);
  assert.equal(feed(payload("a")).at(-1), "tell failed misbehaved");
  assert.equal(listed().feed(payload("a")).at(-1), "tell failed misbehaved");
  assert.equal(begun().feed(say({ type: "DENIED", reason: "invalid_proof" })).at(-1), "tell failed misbehaved");
});

test("what is locked is tried again until it is free, and nothing else is", async () => {
  const failing = (name: string, times: number) => async () => {
    if (times-- > 0) throw new DOMException("", name);
    return "done";
  };
  assert.equal(await whenFree(failing("NoModificationAllowedError", 2)), "done");
  await assert.rejects(whenFree(failing("QuotaExceededError", 1)), { name: "QuotaExceededError" });
});

test("a code that was never right fails at once; a full room and a spent budget wait", () => {
  const asked = (reason: object) => {
    const { feed } = receiver();
    feed({ is: "start" });
    feed({ is: "up" });
    return feed(say({ type: "ERROR", ...reason }));
  };
  assert.deepEqual(asked({ reason: "room_not_found" }), ["hang_up 1000", "tell failed room_not_found"]);
  assert.deepEqual(asked({ reason: "room_full" }), ["tell waiting", "hang_up 4000", "dial 5000"]);
  assert.deepEqual(asked({ reason: "rate_limited", retry_after: 30 }), ["tell waiting", "hang_up 4000", "dial 30000"]);
});

test("a page that wakes tries again at once, but not where the relay has told it when", () => {
  const { feed } = receiver();
  feed({ is: "start" });
  feed({ is: "up" });
  feed(down);
  assert.deepEqual(feed({ is: "woke", hidden: 0 }), ["dial 0", "tell connecting"]);
  feed({ is: "up" });
  feed(say({ type: "ERROR", reason: "rate_limited", retry_after: 30 }));
  assert.deepEqual(feed({ is: "woke", hidden: 60_000 }), []);
});

test("a line on which nothing comes any more is given up", () => {
  const { feed, at } = begun();
  at.now = 119_000;
  assert.deepEqual(feed({ is: "tick" }), []);
  at.now = 121_000;
  assert.deepEqual(feed({ is: "tick" }), ["hang_up 4000", "dial 0", "tell connecting"]);
});

/** A share whose room is open. */
function sharer(token = true) {
  const machine = new Sharing(manifest);
  const at = { now: 0 };
  const feed = (input: ShareInput) => brief(machine.handle(input, at.now, 0));
  feed({ is: "start" });
  assert.deepEqual(feed({ is: "up" }), ["say CREATE_ROOM"]);
  const room = { type: "ROOM_CREATED", room_id: "a7f3k2", expires_in: 1800 };
  assert.deepEqual(feed(say(token ? { ...room, resume_token: "t" } : room)), ["tell opened"]);
  return { machine, at, feed };
}

const peer = say({ type: "PEER_JOINED", peer_id: "conn_1" });
const hello = say({ type: "HELLO", version: 1, versions: [1, 2], key: "04".repeat(65) });
const auth = say({ type: "AUTH", proof: "00".repeat(32) });

function sending() {
  const it = sharer();
  assert.deepEqual(it.feed(peer), ["tell peer_joined"]);
  assert.deepEqual(it.feed(hello), ["tell proving", "challenge"]);
  assert.deepEqual(it.feed(auth), ["verify"]);
  assert.deepEqual(it.feed({ is: "verified", ok: true }), ["seal 1", "tell proved"]);
  assert.deepEqual(it.feed({ is: "note", note: { kind: KIND.START, start } }), ["seek"]);
  assert.ok(!it.machine.wants());
  assert.deepEqual(it.feed({ is: "sought", bytes: 0 }), ["tell begun"]);
  assert.ok(it.machine.wants());
  return it;
}

test("a sender sends until its window is full, and delivers once the receiver says so", () => {
  const { feed, machine } = sending();
  assert.deepEqual(feed({ is: "step", step: { is: "entry", header, json } }), ["seal 3"]);
  for (let records = 0; records < 2; records++) {
    feed({ is: "step", step: { is: "content", entry: 0, offset: 0, content: new Uint8Array(32 * 1024) } });
  }
  assert.ok(!machine.wants());
  feed({ is: "note", note: { kind: KIND.CONFIRM, records: 3, bytes: 6 } });
  assert.ok(machine.wants());
  assert.deepEqual(feed({ is: "step", step: { is: "end", entries: 1, bytes: 6, digest: NO_HEADERS } }), ["seal 6"]);
  assert.deepEqual(feed({ is: "note", note: { kind: KIND.DELIVERED } }), ["tell delivered"]);
  assert.deepEqual(feed(say({ type: "PEER_DISCONNECTED", peer_id: "conn_1" })), []);
  assert.deepEqual(feed(peer), ["tell peer_joined"]);
});

test("a sender leaves a receiver that breaks the rules, and is there for the next", () => {
  const gone = ["seal 8 protocol", "tell receiver_failed misbehaved", "hang_up 4000", "dial 1000"];
  assert.deepEqual(sending().feed({ is: "note", note: { kind: KIND.CONFIRM, records: 1, bytes: 0 } }), gone);
  assert.deepEqual(sending().feed({ is: "note", note: { kind: KIND.DELIVERED } }), gone);
  assert.deepEqual(sending().feed(hello), gone);
  const denied = ["say DENIED", "tell receiver_failed misbehaved"];
  const early = (...inputs: ShareInput[]) => {
    const it = sharer();
    it.feed(peer);
    return inputs.map((input) => it.feed(input)).at(-1);
  };
  assert.deepEqual(early(auth), denied);
  assert.deepEqual(early({ is: "not_opened" }), denied);
  assert.deepEqual(early(hello, hello), denied);
  assert.deepEqual(early(hello, { is: "bad_key" }), denied);
});

test("a sender that was lost resumes its room; without a token the room is lost", () => {
  const { feed } = sending();
  assert.deepEqual(feed(down), ["tell waiting", "hang_up 4000", "dial 250"]);
  assert.deepEqual(feed({ is: "up" }), ["say RESUME_ROOM"]);
  assert.deepEqual(feed(say({ type: "ERROR", reason: "room_not_found" })), ["hang_up 1000", "tell failed room_lost"]);
  assert.deepEqual(sharer(false).feed(down), ["hang_up 1000", "tell failed room_lost"]);
});

test("a receiver cannot end a share by words of the relay's, and the tenth wrong proof does", () => {
  const { feed } = sending();
  assert.deepEqual(feed(say({ type: "ERROR", reason: "room_expired" })), []);
  const guessed = sharer();
  for (let wrong = 1; wrong <= 10; wrong++) {
    guessed.feed(peer);
    guessed.feed(hello);
    guessed.feed(auth);
    const answer = guessed.feed({ is: "verified", ok: false });
    assert.equal(answer.at(-1), wrong < 10 ? "tell wrong_proof" : "tell failed too_many_wrong_passphrases");
  }
});

test("a receiver that says nothing is left", () => {
  const { feed, at } = sending();
  feed({ is: "step", step: { is: "entry", header, json } });
  at.now = 120_000;
  assert.deepEqual(feed({ is: "tick" }), []);
  at.now = 121_000;
  assert.deepEqual(feed({ is: "tick" }), ["seal 8 stalled", "tell receiver_failed peer_lost", "hang_up 4000", "dial 1000"]);
});

test("waits double up to their bound, are spread, and end with patience", () => {
  const waits = new Waits();
  assert.equal(waits.next(0, "quick", null, 0), 250);
  assert.equal(waits.next(0, "quick", null, 1), 1000);
  for (let tries = 0; tries < 20; tries++) waits.next(0, "quick", null, 0);
  assert.equal(waits.next(0, "quick", null, 1), 15_000);
  assert.equal(waits.next(PATIENCE, "quick", null, 0), null);
  waits.progress();
  assert.equal(waits.next(PATIENCE, "quick", null, 0), 250);
  assert.equal(waits.next(0, "quick", 100_000, 0), 100_000);
});

test("a source is walked again from where a receiver is, and only if it is the same", async () => {
  const file = (text: string, name: string) => ({ path: ["f", name], file: new File([text], name, { lastModified: 5 }) });
  const picked = [file("bbb", "b"), file("aaaaa", "a")];
  const source = await Source.of(picked, "files");
  assert.equal(source.name, "f");
  const walk = await source.walkFrom(start);
  const steps = [];
  for (let step = await walk.next(); step.is !== "end"; step = await walk.next()) steps.push(step);
  assert.deepEqual(steps.map((it) => (it.is === "entry" ? it.header.path.join("/") : it.is)), ["a", "content", "b", "content"]);
  const end = await walk.next();
  assert.ok(end.is === "end" && end.bytes === 8 && end.entries === 2);
  const from = { entries: 2, offset: 1, digest: end.digest };
  const rest = await (await source.walkFrom(from)).next();
  assert.ok(rest.is === "content" && rest.offset === 1 && rest.content.length === 2);
  const changed = await Source.of([picked[0]!, file("aaaa", "a")], "files");
  await assert.rejects(changed.walkFrom(from), { reason: "source_changed" });
  await assert.rejects(source.walkFrom({ ...from, offset: 4 }), { reason: "source_changed" });
  await assert.rejects(source.walkFrom({ ...from, entries: 3 }), { reason: "source_changed" });
});

test("no file is left out for another of the same path", async () => {
  const file = (path: string) => ({ path: path.split("/"), file: new File([path], "x", { lastModified: 5 }) });
  // A folder comes first, whatever was picked first; and some names are the same once they are safe.
  const source = await Source.of([file("a"), file("a/b"), file("a/b"), file("c?.txt"), file("c_.txt")], "files");
  const walk = await source.walkFrom(start);
  const paths = [];
  let step = await walk.next();
  for (; step.is !== "end"; step = await walk.next()) if (step.is === "entry") paths.push(step.header.path.join("/"));
  assert.deepEqual(paths, ["a", "a/b", "a/b (2)", "a (2)", "c_ (2).txt", "c_.txt"]);
  assert.equal(step.bytes, source.size);
});

test("a folder comes in the order of UTF-8", async () => {
  const names = ["b", "a😀", "a", "（1）.txt", "😀.txt", "😁.txt", "한.txt"];
  const source = await Source.of(names.map((it) => ({ path: [it], file: new File([], it) })), "files");
  const walk = await source.walkFrom(start);
  const paths = [];
  for (let step = await walk.next(); step.is !== "end"; step = await walk.next()) if (step.is === "entry") paths.push(step.header.path[0]);
  assert.deepEqual(paths, [...names].sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other))));
});

/** Has a machine that has nothing to do look at the time, until then. */
function stayAwake({ at, feed }: ReturnType<typeof sharer>, until: number): void {
  for (; at.now < until; at.now += 60_000) assert.deepEqual(feed({ is: "tick" }), []);
}

test("patience is for one trouble, however long all was well before it", () => {
  const share = sharer();
  stayAwake(share, 2 * PATIENCE);
  assert.deepEqual(share.feed(down), ["tell waiting", "hang_up 4000", "dial 250"]);
  share.feed({ is: "up" });
  share.feed(say({ type: "ROOM_RESUMED", room_id: "a7f3k2", expires_in: 900, resume_token: "t" }));
  stayAwake(share, 4 * PATIENCE);
  assert.equal(share.feed(down)[0], "tell waiting");
  stayAwake(share, 5 * PATIENCE);
  assert.deepEqual(share.feed(down), ["hang_up 1000", "tell failed unreachable"]);
  const receive = begun();
  receive.at.now = 2 * PATIENCE;
  assert.equal(receive.feed(down)[0], "tell waiting");
});

test("a page that sleeps loses little of its patience, and some each time", () => {
  for (const it of [sharer(), begun()]) {
    for (let slept = 0; slept < 5; slept++) {
      assert.equal(it.feed(down)[0], "tell waiting");
      it.at.now += PATIENCE;
    }
    assert.equal(it.feed(down).at(-1), "tell failed unreachable");
  }
});

test("a receiver that was too slow comes back, and one that is sent away otherwise does not", () => {
  const abort = (reason: Reason) => begun().feed({ is: "note", note: { kind: KIND.ABORT, reason }, more: false });
  assert.deepEqual(abort("stalled"), ["tell waiting", "hang_up 4000", "dial 250"]);
  assert.deepEqual(abort("source_changed"), ["hang_up 1000", "tell failed aborted"]);
});

test("a stream that has nothing to say keeps its line for a while", () => {
  const { feed, at } = begun({ ...manifest, what: "stream", size: null }, { ...header, what: "stream", size: null });
  at.now = 300_000;
  assert.deepEqual(feed({ is: "tick" }), []);
  // A line may be dead unheard.
  at.now = PATIENCE + 1;
  assert.deepEqual(feed({ is: "tick" }), ["hang_up 4000", "dial 0", "tell connecting"]);
});

test("a sender may not send much more than it has offered, nor a file of another size", () => {
  const folder = begun({ ...manifest, what: "folder", size: 10 }, { ...header, size: null });
  const record = new Uint8Array(32 * 1024);
  let offset = 0;
  const next = () => folder.feed({ is: "note", note: { kind: KIND.DATA, entry: 0, offset, content: record }, more: true });
  for (; offset <= 64 * 1024 * 1024 - record.length; offset += record.length) assert.equal(next()[0], "write");
  assert.equal(next().at(-1), "tell failed misbehaved");
  const it = receiver();
  for (const input of [{ is: "start" }, { is: "up" }, joined, { is: "key", key: new Uint8Array(65) }, challenge] as const) it.feed(input);
  it.feed({ is: "note", note: { kind: KIND.MANIFEST, manifest }, more: false });
  it.feed({ is: "ready", start, header: null, bytes: 0 });
  const longer = { kind: KIND.ENTRY, header: { ...header, size: 7 }, json } as const;
  assert.deepEqual(it.feed({ is: "note", note: longer, more: false }), ["seal 8 interrupted", "hang_up 1000", "tell failed aborted"]);
});

test("a receiver has time to type its passphrase", () => {
  const { feed, at } = sharer();
  feed(peer);
  feed(hello);
  at.now = 299_000;
  assert.deepEqual(feed({ is: "tick" }), []);
  assert.deepEqual(feed(auth), ["verify"]);
});

test("what was meant for the receiver before is passed over", () => {
  const { feed } = receiver();
  for (const input of [{ is: "start" }, { is: "up" }, joined, { is: "key", key: new Uint8Array(65) }] as const) feed(input);
  assert.deepEqual(feed(say({ type: "PAYLOAD", salt: "00".repeat(32), nonce: "00".repeat(12), ciphertext: "" })), []);
  assert.deepEqual(feed({ is: "not_opened" }), []);
  assert.deepEqual(receiver().feed({ is: "flooded" }), ["hang_up 1000", "tell failed misbehaved"]);
  assert.deepEqual(feed(challenge), ["tell proving", "prove"]);
});

test("both sides say which version it goes on by, and the room is asked for as long as a token lasts", () => {
  const first = say({ type: "CHALLENGE", salt: "00".repeat(32), nonce: "00".repeat(16) });
  for (const [said, isFirst] of [[first, true], [challenge, false]] as const) {
    const { machine, feed } = receiver();
    for (const input of [{ is: "start" }, { is: "up" }, joined, { is: "key", key: new Uint8Array(65) }] as const) feed(input);
    assert.deepEqual(machine.handle(said, 0, 0)[0], { do: "tell", event: { is: "proving", first: isFirst } });
  }
  for (const [said, isFirst] of [[say({ type: "HELLO", version: 1 }), true], [hello, false]] as const) {
    const { machine, feed } = sharer();
    feed(peer);
    assert.deepEqual(machine.handle(said, 0, 0)[0], { do: "tell", event: { is: "proving", first: isFirst } });
  }
  const machine = new Sharing(manifest);
  machine.handle({ is: "start" }, 0, 0);
  assert.deepEqual(machine.handle({ is: "up" }, 0, 0), [
    { do: "say", text: JSON.stringify({ type: "CREATE_ROOM", resume: true, expires_in: 86_400 }) },
  ]);
});
