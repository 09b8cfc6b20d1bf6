/** The relay that serves this page. */

import { askConfig, type Config, type Relay } from "../engine/line.ts";
import { field } from "./dom.ts";

/** The page's folder: behind a proxy the relay may be under a path. */
export const base = (): string => location.origin + location.pathname.replace(/[^/]*$/, "");

/** Where it is, with the access key that was typed. */
export const theRelay = (): Relay => ({ base: base(), key: field("key-field").value.trim() || null });

/** The same, and what it says of itself. */
export async function askRelay(): Promise<{ relay: Relay; config: Config }> {
  const relay = theRelay();
  return { relay, config: await askConfig(relay) };
}
