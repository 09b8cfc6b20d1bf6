/** What the relay says, and what the end of a line means: whether to come back, when, and why. */

import { type Fields, object } from "../transfer/json.ts";
import type { Fault, PlainFault, Why } from "./fault.ts";
import type { Pace } from "./waits.ts";

/** The end of a line: a Close's code and reason (RFC 6455 §7.1.5), or 1006 without one. */
export interface Down {
  readonly code: number;
  readonly reason: string;
  /** Whether it had been open. */
  readonly opened: boolean;
  /** What the relay says of connections that it does not open (`page/config`). */
  readonly refused: string | null;
}

/** What to do about trouble: it is over, or try again. */
export type Trouble =
  | { readonly over: Fault }
  | { readonly why: Why; readonly pace: Pace; readonly told: number | null };

/** A message of the relay's: its type, and the fields it has. */
export interface RelayWord {
  readonly type: string;
  readonly reason: string;
  /** Seconds that the relay wants one to stay away, in ms. */
  readonly told: number | null;
  readonly fields: Fields;
}

export function parseRelayWord(said: string): RelayWord | null {
  const fields = said.length > 8192 ? null : object(said);
  if (!fields || typeof fields["type"] !== "string") return null;
  const reason = typeof fields["reason"] === "string" ? fields["reason"].slice(0, 200) : "";
  const seconds = [fields["retry_after"], fields["reconnect_in"]].find((it) => typeof it === "number" && it >= 0);
  return { type: fields["type"], reason, told: seconds === undefined ? null : Number(seconds) * 1000, fields };
}

const later = (why: Why, told: number | null = null, pace: Pace = "quick"): Trouble => ({ why, pace, told });
const over = (word: PlainFault): Trouble => ({ over: { word } });

/** What a reason means, in an `ERROR` or a Close; `null` for one that is not known. */
export function ofReason(reason: string, told: number | null): Trouble | null {
  switch (reason.split(":")[0]) {
    case "room_not_found":
      return over("room_not_found");
    case "sender_disconnected":
      return over("sender_gone");
    case "room_expired":
      return over("room_expired");
    case "ended_by_operator":
    case "blocked":
    case "address_blocked":
      return over("sent_away");
    case "access_key_withdrawn":
    case "access_key_required":
      return over("key_refused");
    case "origin_not_allowed":
      return { over: { word: "relay_ended", said: reason } };
    case "replaced":
      return over("replaced");
    case "message_too_big":
      return { over: { word: "too_big", limit: Number(/of at most (\d+)/.exec(reason)?.[1] ?? 0) } };
    case "rate_limited":
      return later("rate_limited", told ?? 60_000);
    case "room_full":
      return later("room_full", told ?? 5000);
    case "too_many_rooms":
    case "address_rooms":
    case "address_sessions":
    case "relay_full":
    case "relay_buffers_full":
    case "address_buffers":
    case "cluster_unavailable":
      return later("relay_full", told ?? 5000);
    case "server_shutdown":
    case "relay_restarting":
    case "node_lost":
      return later("restart", told);
    case "sender_away":
      return later("sender_away", told);
    case "pair_idle":
    case "gave_way":
    case "ping_timeout":
    case "request_timeout":
      return later("line", told);
    default:
      return null;
  }
}

/** What it means that a line is gone; `told` is what an `ERROR` before it has said. */
export function ofDown(down: Down, told: number | null): Trouble {
  if (!down.opened) return (down.refused && ofReason(down.refused, told)) || later("unreached", told);
  const known = ofReason(down.reason, told);
  if (known) return known;
  const broken = [1002, 1003, 1007, 1008, 1009, 1010].includes(down.code);
  if (broken) return { over: { word: "relay_ended", said: down.reason || String(down.code) } };
  return later(down.code === 1012 ? "restart" : "line", told);
}
