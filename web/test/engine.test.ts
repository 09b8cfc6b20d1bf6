/** Both sides with their drivers, over a relay of this process. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { memorySink, openFlow } from "../src/disk/flow.ts";
import { Source } from "../src/disk/source.ts";
import type { Saved, Target } from "../src/disk/target.ts";
import type { Event } from "../src/engine/event.ts";
import { Inbox, weightOf } from "../src/engine/line.ts";
import { nudgeCollector } from "../src/engine/nudge.ts";
import { Receive, type ReceiveOptions } from "../src/engine/receiving.ts";
import { Share } from "../src/engine/sharing.ts";
import { type Bytes, fromText, random } from "../src/transfer/bytes.ts";
import { helloText, MAX_V1_CONTENT, MAX_V1_MESSAGE, wordText } from "../src/transfer/hello.ts";
import { passKey } from "../src/transfer/keys.ts";
import { sealPayload } from "../src/transfer/v1.ts";
import { TestRelay, TestSocket } from "./relay.ts";

const relay = { base: "http://relay.test/", key: null };
const passphrase = "correct horse battery staple";
/** What may take no longer, in ms: a standstill is a failure. */
const timeout = 20_000;

/** Hears what a side tells, and waits for it. */
class Heard {
  readonly events: Event[] = [];
  private waiting: { word: string; there: () => void }[] = [];

  readonly tell = (event: Event): void => {
    this.events.push(event);
    for (const { word, there } of this.waiting) if (word === event.is) there();
  };

  until(word: Event["is"]): Promise<void> {
    return new Promise((there) => this.waiting.push({ word, there }));
  }

  /** The words of what was told. */
  words(): string[] {
    return this.events.map((it) => ("fault" in it ? `${it.is} ${it.fault.word}` : it.is));
  }
}

/** A receiver that keeps what comes in memory. */
function receiver(options: Partial<ReceiveOptions> = {}) {
  const [heard, texts, saved]: [Heard, Bytes[], Saved[]] = [new Heard(), [], []];
  const receive = new Receive({
    relay,
    code: "a7f3k2",
    passphrase,
    known: false,
    tell: heard.tell,
    openTarget: async (manifest): Promise<Target> => openFlow(manifest, memorySink(), (of) => saved.push(of)),
    keepText: async (content) => void texts.push(content),
    ...options,
  });
  return { receive, heard, texts, saved };
}

async function sharer(content: Bytes) {
  const heard = new Heard();
  const source = await Source.of([{ path: ["a.bin"], file: new File([content], "a.bin", { lastModified: 5 }) }], "files");
  const share = new Share({ relay, source, transfer: random(16), passphrase, room: null, maxMessage: 64 * 1024 * 1024, tell: heard.tell });
  return { share, heard };
}

/** A sender of version 1 that lets anybody in, and says this for AUTH; `gone` is what it has heard by the end of that. */
async function oldSender(payload: object): Promise<{ gone: Promise<string[]>; socket: TestSocket }> {
  const socket = new TestSocket();
  const heard: string[] = [];
  let left: (heard: string[]) => void;
  const gone = new Promise<string[]>((told) => (left = told));
  await new Promise<void>((opened) => (socket.onopen = opened));
  await new Promise<void>((opened) => {
    socket.onmessage = ({ data }) => {
      const type = (JSON.parse(String(data)) as { type: string }).type;
      if (type === "ROOM_CREATED") opened();
      else if (type === "HELLO") socket.send(wordText({ type: "CHALLENGE", salt: random(32), nonce: random(16) }));
      else if (type === "AUTH") socket.send(wordText({ type: "PAYLOAD", ...payload }));
      else if (type === "PEER_DISCONNECTED") left(heard);
      else heard.push(type);
    };
    socket.send(JSON.stringify({ type: "CREATE_ROOM" }));
  });
  return { gone, socket };
}

async function payload(content: Bytes, by = passphrase) {
  const salt = random(32);
  return sealPayload(await passKey(by, salt), salt, content);
}

test("content goes from one side to the other", { timeout }, async () => {
  new TestRelay();
  const content = new Uint8Array(1_000_000).map((_, at) => at >> 8);
  const { share, heard } = await sharer(content);
  const { receive, saved } = receiver();
  const [sharing, delivered] = [share.run(), heard.until("delivered")];
  await receive.run();
  await delivered;
  assert.deepEqual(new Uint8Array((await saved[0]?.blob?.arrayBuffer()) ?? new ArrayBuffer(0)), content);
  share.stop();
  await sharing;
});

test("a confirmation is put off for content alone: the sender may be waiting for it", { timeout }, async () => {
  const between = new TestRelay();
  const { share } = await sharer(new Uint8Array(1_000_000));
  const { receive, saved } = receiver();
  between.between = (from, data) => {
    // A tick behind each message.
    if (from === "sender" && typeof data !== "string") queueMicrotask(() => setImmediate(() => receive.post({ is: "tick" })));
    return data;
  };
  const sharing = share.run();
  await receive.run();
  assert.equal(saved[0]?.bytes, 1_000_000);
  share.post({ is: "stop" });
  await sharing;
});

test("a payload of version 1 is acknowledged once it is kept", { timeout }, async () => {
  new TestRelay();
  const { gone } = await oldSender(await payload(fromText("hello")));
  const { receive, heard, texts } = receiver();
  await receive.run();
  assert.deepEqual(texts, [fromText("hello")]);
  assert.equal(heard.words().at(-1), "delivered");
  assert.deepEqual(await gone, ["PEER_JOINED", "ACK"]);
});

test("a payload of version 1 that does not open, or cannot be kept, is not acknowledged", { timeout }, async () => {
  const keepText = () => Promise.reject(new Error("no room"));
  const failures = [
    ["failed not_authentic", await payload(fromText("hello"), "another passphrase"), {}],
    ["failed disk", await payload(fromText("hello")), { keepText }],
  ] as const;
  for (const [fault, said, options] of failures) {
    new TestRelay();
    const { gone } = await oldSender(said);
    const { receive, heard } = receiver(options);
    await receive.run();
    assert.equal(heard.words().at(-1), fault);
    assert.ok(!heard.words().includes("delivered"));
    assert.deepEqual(await gone, ["PEER_JOINED"]);
  }
});

test("the longest payload of version 1 has a place", { timeout: 6 * timeout }, async () => {
  new TestRelay();
  const content = new Uint8Array(MAX_V1_CONTENT).fill(65);
  await oldSender(await payload(content));
  const { receive, heard, texts } = receiver();
  await receive.run();
  assert.deepEqual(heard.words().at(-1), "delivered");
  assert.equal(texts[0]?.length, MAX_V1_CONTENT);
});

test("what waits has a bound by its weight and by its number, and is heard no more beyond it", () => {
  const inbox = new Inbox<number>();
  const few = weightOf({ is: "text", text: "x".repeat(MAX_V1_MESSAGE) });
  assert.ok(inbox.add(0, few));
  assert.ok(!inbox.add(1, few));
  const short = weightOf({ is: "binary", bytes: new Uint8Array(0) });
  let count = 0;
  while (inbox.add(2, short)) assert.ok(++count < 100_000);
  // It can be told that this is too much.
  assert.ok(inbox.add(3));
});

test("a sender that says more than can wait is left, and heard no more", { timeout }, async () => {
  const between = new TestRelay();
  const sender = await oldSender({});
  // The receiver is busy with its key meanwhile.
  sender.socket.onmessage = ({ data }) => {
    if (!String(data).includes("HELLO")) return;
    sender.socket.send(wordText({ type: "CHALLENGE", salt: random(32), nonce: random(16) }));
    for (let at = 0; at < 70; at++) sender.socket.send("x".repeat(1024 * 1024));
  };
  await receiver().receive.run();
  assert.deepEqual(between.closed, [4000]);
});

test("a tick between records holds no confirmation back", { timeout }, async () => {
  const between = new TestRelay();
  const { share, heard } = await sharer(new Uint8Array(1_000_000));
  const { receive } = receiver();
  // It is posted while a record is opened, which takes a while.
  between.between = (from, data) => {
    if (from === "sender" && typeof data !== "string") setImmediate(() => setImmediate(() => receive.post({ is: "tick" })));
    return data;
  };
  const sharing = share.run();
  const delivered = heard.until("delivered");
  await receive.run();
  await delivered;
  share.stop();
  await sharing;
});

test("a receiver whose key is no point of the curve is told so", { timeout }, async () => {
  new TestRelay();
  const { share, heard } = await sharer(new Uint8Array(1));
  const [sharing, opened] = [share.run(), heard.until("opened")];
  await opened;
  const socket = new TestSocket();
  const denied = new Promise<string>((told) => {
    socket.onopen = () => socket.send(JSON.stringify({ type: "JOIN_ROOM", room_id: "a7f3k2" }));
    socket.onmessage = ({ data }) => (String(data).includes("ROOM_JOINED") ? socket.send(helloText(new Uint8Array(65).fill(4))) : told(String(data)));
  });
  assert.deepEqual(JSON.parse(await denied), { type: "DENIED", reason: "bad_key" });
  share.stop();
  await sharing;
});

test("a receiver stops at once, also while a write waits", { timeout }, async () => {
  const between = new TestRelay();
  const { share, heard } = await sharer(new Uint8Array(1_000_000));
  const [sharing, failed] = [share.run(), heard.until("receiver_failed")];
  let waits = (): void => undefined;
  const writing = new Promise<void>((begun) => (waits = begun));
  const sink = { ...memorySink(), write: () => (waits(), new Promise<void>(() => undefined)) };
  const { receive, heard: here } = receiver({ openTarget: async (manifest) => openFlow(manifest, sink, () => undefined) });
  const receiving = receive.run();
  await writing;
  receive.stop();
  await receiving;
  await failed;
  assert.equal(here.words().at(-1), "begun");
  assert.deepEqual(between.closed, [1000]);
  share.stop();
  await sharing;
});

test("a place that is found once it is too late is left again", { timeout }, async () => {
  new TestRelay();
  const { share, heard } = await sharer(new Uint8Array(1));
  const [sharing, failed] = [share.run(), heard.until("receiver_failed")];
  let asks = (): void => undefined;
  let found = (_: Target): void => undefined;
  const asked = new Promise<void>((begun) => (asks = begun));
  const { receive } = receiver({ openTarget: () => (asks(), new Promise((there) => (found = there))) });
  const receiving = receive.run();
  await asked;
  receive.stop();
  await Promise.all([receiving, failed]);
  receive.leave(false);
  const left = new Promise<void>((aborted) => {
    const sink = { ...memorySink(), abort: async () => aborted() };
    found(openFlow({ transfer: random(16), what: "file", name: "a", size: 1, files: 1 }, sink, () => undefined));
  });
  await left;
  share.stop();
  await sharing;
});

test("a machine that has little memory goes on", () => {
  const { ArrayBuffer } = globalThis;
  globalThis.ArrayBuffer = function () {
    throw new RangeError("Array buffer allocation failed");
  } as unknown as typeof ArrayBuffer;
  try {
    nudgeCollector(8 * 1024 * 1024);
  } finally {
    globalThis.ArrayBuffer = ArrayBuffer;
  }
});
