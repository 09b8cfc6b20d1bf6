/** Every way to fail, in one word each. src/text has the sentences. */

import type { Reason } from "../transfer/note.ts";

export type Fault =
  | { readonly word: "aborted" | "disk"; readonly reason: Reason }
  | { readonly word: "denied" | "relay_ended"; readonly said: string }
  | { readonly word: "too_big"; readonly limit: number }
  | { readonly word: PlainFault };

/** Faults that have no more to tell. */
export type PlainFault =
  | "room_not_found"
  | "room_expired"
  | "room_lost"
  | "wrong_passphrase"
  | "too_many_wrong_passphrases"
  | "key_refused"
  | "sent_away"
  | "replaced"
  | "sender_gone"
  | "misbehaved"
  | "not_authentic"
  | "unreachable"
  | "busy"
  | "peer_lost";

/** Why one waits before the next try. */
export type Why =
  | "line"
  | "restart"
  | "unreached"
  | "sender_away"
  | "relay_full"
  | "room_full"
  | "rate_limited"
  | "not_back";
