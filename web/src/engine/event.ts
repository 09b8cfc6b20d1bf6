/** What happens while one shares or receives, for a person to see; and what a machine has done by its driver. */

import type { Manifest, Note } from "../transfer/note.ts";
import type { Session } from "../transfer/hello.ts";
import type { Fault, Why } from "./fault.ts";

export type Event =
  | { readonly is: "connecting" }
  | { readonly is: "opened"; readonly code: string; readonly expiresIn: number; readonly resumeToken: string | null }
  | { readonly is: "queued"; readonly position: number | null }
  | { readonly is: "joined" | "peer_joined" }
  /** `first`: by version 1, whose key is the passphrase's alone. */
  | { readonly is: "proving"; readonly first: boolean }
  | { readonly is: "wrong_proof"; readonly left: number }
  /** The receiver knows the passphrase, and makes room for what it is offered. */
  | { readonly is: "proved" }
  | { readonly is: "offered"; readonly manifest: Manifest }
  | { readonly is: "begun"; readonly total: number | null; readonly from: number }
  | { readonly is: "progress"; readonly bytes: number; readonly total: number | null }
  | { readonly is: "waits_for_content" }
  | { readonly is: "sessions"; readonly sessions: readonly Session[] }
  | { readonly is: "delivered"; readonly bytes: number; readonly end: boolean }
  | { readonly is: "receiver_failed"; readonly fault: Fault }
  | { readonly is: "peer_gone" }
  | { readonly is: "waiting"; readonly why: Why; readonly for: number }
  | { readonly is: "failed"; readonly fault: Fault };

/** What both machines have their driver do, besides what is their own. */
export type CommonEffect =
  /** Open a line after so many ms. */
  | { readonly do: "dial"; readonly after: number }
  | { readonly do: "say"; readonly text: string }
  | { readonly do: "seal"; readonly note: Note }
  /** Close the line: 1000 where it is over, another code where one comes back. */
  | { readonly do: "hang_up"; readonly code: number }
  | { readonly do: "tell"; readonly event: Event };

/**
 * The close code of a line that is left to come back by another. A page cannot send 1001, and the relay ends a
 * room for 1000 or none.
 */
export const COMING_BACK = 4000;
