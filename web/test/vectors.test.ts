/** Keys, messages and proofs against the vectors that the Rust client is held to as well. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { type Bytes, fromHex, fromText, toHex, toText } from "../src/transfer/bytes.ts";
import { fromPair, hmac, passKey, schedule, transcript } from "../src/transfer/keys.ts";
import { chained, KIND, NO_HEADERS } from "../src/transfer/note.ts";
import { NotOpened, Opener, Sealer } from "../src/transfer/seal.ts";
import { openPayload } from "../src/transfer/v1.ts";

const VECTORS = new URL("../../crates/client/tests/vectors.json", import.meta.url);
const { version_1: first, version_2: second } = JSON.parse(readFileSync(VECTORS, "utf8"));

const bytes = (hex: string): Bytes => fromHex(hex) ?? assert.fail(hex);
const said = {
  code: second.room as string,
  receiverKey: bytes(second.receiver_key),
  senderKey: bytes(second.sender_key),
  salt: bytes(second.salt),
  nonce: bytes(second.nonce),
};

async function pair(scalar: string, point: string) {
  const url = (hex: string) => Buffer.from(hex, "hex").toString("base64url");
  const jwk = { kty: "EC", crv: "P-256", d: url(scalar), x: url(point.slice(2, 66)), y: url(point.slice(66)) };
  return fromPair(await crypto.subtle.importKey("jwk", jwk, { name: "ECDH", namedCurve: "P-256" }, false, ["deriveBits"]), bytes(point));
}

test("version 1: the proof and the payload", async () => {
  const key = await passKey(first.passphrase, bytes(first.salt));
  assert.equal(toHex(await hmac(key, bytes(first.nonce))), first.proof);
  const payload = { salt: bytes(first.payload_salt), nonce: bytes(first.payload_nonce), ciphertext: bytes(first.ciphertext), sessionId: null };
  const opened = await openPayload(await passKey(first.passphrase, payload.salt), payload);
  assert.equal(toText(opened), first.content);
  payload.ciphertext[0]! ^= 1;
  await assert.rejects(openPayload(key, payload));
});

test("version 2: both sides come to the keys of the vectors", async () => {
  const pass = await passKey(second.passphrase, said.salt);
  assert.equal(toHex(pass), second.pass_key);
  assert.equal(toHex(await transcript(said)), second.transcript);
  const receiver = await pair(second.receiver_private, second.receiver_key);
  const sender = await pair(second.sender_private, second.sender_key);
  for (const agreed of [await receiver.agree(said.senderKey), await sender.agree(said.receiverKey)]) {
    assert.equal(toHex(agreed), second.shared);
    const keys = await schedule(said, agreed, pass);
    assert.equal(toHex(keys.proof), second.proof);
    assert.equal(toHex(keys.toReceiver), second.to_receiver);
    assert.equal(toHex(keys.toSender), second.to_sender);
  }
});

test("version 2: a point that is not on the curve is refused", async () => {
  const receiver = await pair(second.receiver_private, second.receiver_key);
  const off = said.senderKey.slice();
  off[64]! ^= 1;
  await assert.rejects(receiver.agree(off));
});

test("version 2: messages of both sides open, and seal to the same bytes", async () => {
  for (const [messages, key] of [
    [second.from_sender, second.to_receiver],
    [second.from_receiver, second.to_sender],
  ]) {
    const [opener, sealer] = [await Opener.new(bytes(key)), await Sealer.new(bytes(key))];
    const bind = () => [opener, sealer].forEach((side) => side.bind(bytes(second.transfer)));
    if (messages === second.from_receiver) bind();
    for (const { message } of messages as { message: string }[]) await opensAndSeals(bytes(message), opener, sealer, bind);
  }
});

async function opensAndSeals(message: Bytes, opener: Opener, sealer: Sealer, bind: () => void): Promise<void> {
  if (message[0] === KIND.DATA) {
    // Packed content is authentic, and still none that this page has asked for.
    assert.equal(message[17], 1);
    await assert.rejects(opener.open(message), /unknown/);
    await sealer.seal({ kind: KIND.DELIVERED });
    return;
  }
  const note = await opener.open(message);
  const sealed = await sealer.seal(note);
  // START names the packing that is asked for: none here, one in the vectors.
  if (note.kind !== KIND.START) assert.equal(toHex(sealed), toHex(message));
  if (note.kind === KIND.MANIFEST) bind();
}

test("version 2: the chain of headers", async () => {
  assert.equal(toHex(await chained(NO_HEADERS, fromText(second.header))), second.digest);
});

test("version 2: what is changed, cut, or another direction's does not open", async () => {
  const [{ message }] = second.from_sender;
  const wrong = async (change: (it: Bytes) => Bytes, key = second.to_receiver) => {
    const opener = await Opener.new(bytes(key));
    await assert.rejects(opener.open(change(bytes(message))), NotOpened);
  };
  await wrong((it) => (it.set([it[9]! ^ 1], 9), it));
  await wrong((it) => (it.set([KIND.ABORT], 0), it));
  await wrong((it) => it.slice(0, -1));
  await wrong((it) => it.slice(0, 3));
  await wrong(() => new Uint8Array(0));
  await wrong(() => new Uint8Array(1024 * 1024));
  await wrong((it) => it, second.to_sender);
});
