/** Keys of both versions, by WebCrypto (PBKDF2: RFC 8018 §5.2, HKDF: RFC 5869, ECDH on P-256). */

import { type Bytes, concat, fromText, random, sha256 } from "./bytes.ts";

/** Rounds of PBKDF2. */
const ROUNDS = 600_000;
const P256 = { name: "ECDH", namedCurve: "P-256" } as const;
const HMAC = { name: "HMAC", hash: "SHA-256" } as const;

/** The 32 bytes that a passphrase is worth under a salt. It takes some tenths of a second. */
export async function passKey(passphrase: string, salt: Bytes): Promise<Bytes> {
  const key = await crypto.subtle.importKey("raw", fromText(passphrase), "PBKDF2", false, ["deriveBits"]);
  const how = { name: "PBKDF2", hash: "SHA-256", salt, iterations: ROUNDS };
  return new Uint8Array(await crypto.subtle.deriveBits(how, key, 256));
}

/** HMAC-SHA256. */
export async function hmac(key: Bytes, message: Bytes): Promise<Bytes> {
  const imported = await crypto.subtle.importKey("raw", key, HMAC, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, message));
}

/** One side's key of one attempt. */
export interface Ephemeral {
  /** The point that the other side is told, uncompressed. */
  readonly point: Bytes;
  /** The x-coordinate that both sides come to; throws where `theirs` is no point of the curve. */
  agree(theirs: Bytes): Promise<Bytes>;
}

/** A fresh one. */
export async function ephemeral(): Promise<Ephemeral> {
  const pair = await crypto.subtle.generateKey(P256, false, ["deriveBits"]);
  return fromPair(pair.privateKey, new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey)));
}

/** One of a known key. */
export function fromPair(mine: CryptoKey, point: Bytes): Ephemeral {
  return {
    point,
    async agree(theirs) {
      const key = await crypto.subtle.importKey("raw", theirs, P256, false, []);
      return new Uint8Array(await crypto.subtle.deriveBits({ name: "ECDH", public: key }, mine, 256));
    },
  };
}

/** What both sides have said in clear. */
export interface Said {
  readonly code: string;
  readonly receiverKey: Bytes;
  readonly senderKey: Bytes;
  readonly salt: Bytes;
  readonly nonce: Bytes;
}

/** What an attempt is kept under. */
export interface Schedule {
  /** The receiver's proof that it knows the passphrase. */
  readonly proof: Bytes;
  readonly toReceiver: Bytes;
  readonly toSender: Bytes;
}

/** The hash of what both sides have said in clear. */
export const transcript = (said: Said): Promise<Bytes> =>
  sha256(
    fromText("distill 2"),
    fromText(said.code),
    new Uint8Array(1),
    said.receiverKey,
    said.senderKey,
    said.salt,
    said.nonce,
  );

/** The keys of an attempt, of what was agreed on and the passphrase's key. */
export async function schedule(said: Said, agreed: Bytes, pass: Bytes): Promise<Schedule> {
  const salt = await transcript(said);
  const input = await crypto.subtle.importKey("raw", concat(agreed, pass), "HKDF", false, ["deriveBits"]);
  const expand = async (info: string): Promise<Bytes> => {
    const how = { name: "HKDF", hash: "SHA-256", salt, info: fromText(info) };
    return new Uint8Array(await crypto.subtle.deriveBits(how, input, 256));
  };
  const proof = await hmac(await expand("receiver proof"), salt);
  return { proof, toReceiver: await expand("to receiver"), toSender: await expand("to sender") };
}

/** A passphrase's key is derived once for each salt. */
export class PassKeys {
  private last: { salt: string; key: Promise<Bytes> } | null = null;

  constructor(private readonly passphrase: string) {}

  under(salt: Bytes): Promise<Bytes> {
    const name = salt.join();
    if (this.last?.salt !== name) this.last = { salt: name, key: passKey(this.passphrase, salt) };
    return this.last.key;
  }
}

/** A salt for a share. */
export const freshSalt = (): Bytes => random(32);
