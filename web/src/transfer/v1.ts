/** Version 1, which today's clients speak: the payload. Its proof is `hmac(passKey, nonce)`. */

import { type Bytes, random } from "./bytes.ts";
import type { Payload } from "./hello.ts";

const imported = (key: Bytes, use: "encrypt" | "decrypt") =>
  crypto.subtle.importKey("raw", key, "AES-GCM", false, [use]);

/** Seals content under the passphrase's key, which was derived with `salt`. */
export async function sealPayload(key: Bytes, salt: Bytes, content: Bytes): Promise<Payload> {
  const nonce = random(12);
  const how = { name: "AES-GCM", iv: nonce };
  const ciphertext = new Uint8Array(await crypto.subtle.encrypt(how, await imported(key, "encrypt"), content));
  return { salt, nonce, ciphertext, sessionId: null };
}

/** Opens a payload; `key` is the passphrase's under the payload's salt. Throws where that does not open it. */
export async function openPayload(key: Bytes, payload: Payload): Promise<Bytes> {
  const how = { name: "AES-GCM", iv: payload.nonce };
  return new Uint8Array(await crypto.subtle.decrypt(how, await imported(key, "decrypt"), payload.ciphertext));
}
