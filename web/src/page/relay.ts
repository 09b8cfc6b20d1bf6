/** The relay that serves this page. */

import { askConfig, type Config, type Relay } from "../engine/line.ts";
import { field } from "./dom.ts";

/** The page's folder: behind a proxy the relay may be under a path. */
export const base = (): string => location.origin + location.pathname.replace(/[^/]*$/, "");

/** Where it is, with the access key that was typed, and what it says of itself. */
export async function askRelay(): Promise<{ relay: Relay; config: Config }> {
  const relay = { base: base(), key: field("key-field").value.trim() || null };
  return { relay, config: await askConfig(relay) };
}
