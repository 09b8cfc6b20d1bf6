/** The relay that serves this page. */

import { askConfig, type Config, type Relay } from "../engine/line.ts";
import { folder } from "../transfer/code.ts";
import { field } from "./dom.ts";

/** The page's folder. */
export const base = (): string => folder(location);

/** Where it is, with the access key that was typed. */
export const theRelay = (): Relay => ({ base: base(), key: field("key-field").value.trim() || null });

/** The same, and what it says of itself. */
export async function askRelay(): Promise<{ relay: Relay; config: Config }> {
  const relay = theRelay();
  return { relay, config: await askConfig(relay) };
}
