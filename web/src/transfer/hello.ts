/** The texts that sender and receiver say up to AUTH, and all of version 1. */

import { type Bytes, fromHex, toHex } from "./bytes.ts";
import { asObject, count, object, text } from "./json.ts";

/** The longest message that today's clients take, in bytes. */
export const MAX_V1_MESSAGE = 50 * 1024 * 1024;
/** The most content of one message of version 1, in bytes: it travels as hexadecimal, with some words around it. */
export const MAX_V1_CONTENT = MAX_V1_MESSAGE / 2 - 1024;
/** The most sessions that are looked at in one list. */
const MAX_SESSIONS = 10_000;

/** Content of version 1, sealed. */
export interface Payload {
  readonly salt: Bytes;
  readonly nonce: Bytes;
  readonly ciphertext: Bytes;
  readonly sessionId: string | null;
}

/** What a sender of sessions tells of one. All of it is a stranger's. */
export interface Session {
  readonly id: string;
  readonly summary: string;
  readonly firstPrompt: string;
  readonly messages: number | null;
  readonly modified: string;
  readonly project: string;
}

/** One text message between sender and receiver. */
export type Word =
  | { readonly type: "HELLO"; readonly versions: readonly number[]; readonly key: Bytes | null }
  | { readonly type: "CHALLENGE"; readonly version: number; readonly salt: Bytes; readonly nonce: Bytes; readonly key: Bytes | null }
  | { readonly type: "AUTH"; readonly proof: Bytes }
  | { readonly type: "DENIED" | "ERROR"; readonly reason: string }
  | ({ readonly type: "PAYLOAD" } & Payload)
  | { readonly type: "SESSION_LIST"; readonly sessions: readonly Session[] }
  | { readonly type: "ACK" };

/** Reads a text; `null` for what is none of the messages above. */
export function parseWord(said: string): Word | null {
  const fields = object(said);
  if (!fields) return null;
  switch (fields["type"]) {
    case "HELLO": {
      const versions = Array.isArray(fields["versions"]) ? fields["versions"] : [1];
      const known = versions.slice(0, 16).filter((it): it is number => count(it) !== null);
      return { type: "HELLO", versions: known, key: fromHex(fields["key"], 65) };
    }
    case "CHALLENGE": {
      const [salt, nonce] = [fromHex(fields["salt"], 32), fromHex(fields["nonce"], 16)];
      const version = fields["version"] === undefined ? 1 : count(fields["version"]);
      if (!salt || !nonce || version === null) return null;
      return { type: "CHALLENGE", version, salt, nonce, key: fromHex(fields["key"], 65) };
    }
    case "AUTH": {
      const proof = fromHex(fields["proof"], 32);
      return proof && { type: "AUTH", proof };
    }
    case "DENIED":
    case "ERROR":
      return { type: fields["type"], reason: text(fields["reason"], 200) ?? "" };
    case "PAYLOAD": {
      const [salt, nonce] = [fromHex(fields["salt"], 32), fromHex(fields["nonce"], 12)];
      const ciphertext = fromHex(fields["ciphertext"]);
      if (!salt || !nonce || !ciphertext) return null;
      return { type: "PAYLOAD", salt, nonce, ciphertext, sessionId: text(fields["sessionId"], 200) };
    }
    case "SESSION_LIST": {
      const sessions = Array.isArray(fields["sessions"]) ? fields["sessions"] : null;
      return sessions && { type: "SESSION_LIST", sessions: sessions.slice(0, MAX_SESSIONS).flatMap(parseSession) };
    }
    case "ACK":
      return { type: "ACK" };
    default:
      return null;
  }
}

/** A list with what is a session of it, or with nothing. */
function parseSession(value: unknown): Session[] {
  const fields = asObject(value);
  const id = text(fields?.["sessionId"], 200);
  if (!fields || id === null) return [];
  const short = (name: string): string => (typeof fields[name] === "string" ? fields[name].slice(0, 300) : "");
  return [
    {
      id,
      summary: short("summary"),
      firstPrompt: short("firstPrompt"),
      messages: count(fields["messageCount"]),
      modified: short("modified"),
      project: short("projectPath"),
    },
  ];
}

/** The text to send: bytes become hexadecimal, and what is `null` is left out. */
export function wordText(word: Record<string, unknown>): string {
  return JSON.stringify(word, (_name, value: unknown) =>
    value === null ? undefined : value instanceof Uint8Array ? toHex(value as Bytes) : value,
  );
}

/** What a receiver of both versions begins with. */
export const helloText = (key: Bytes): string => wordText({ type: "HELLO", version: 1, versions: [1, 2], key });
