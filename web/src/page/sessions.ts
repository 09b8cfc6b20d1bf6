/** The sessions that a sender of today shares: a list to save from. */

import { say, texts } from "../text/index.ts";
import type { Session } from "../transfer/hello.ts";
import { shown } from "../transfer/names.ts";
import { button, byId, made } from "./dom.ts";

/** The most that are shown of a list. */
const MAX_SHOWN = 500;

export function showSessions(sessions: readonly Session[], select: (id: string) => void): void {
  const list = made("ul", "", "sessions");
  list.setAttribute("aria-label", texts.sessions);
  // A list that scrolls has to be reached by the keyboard.
  list.tabIndex = 0;
  for (const session of sessions.slice(0, MAX_SHOWN)) list.append(line(session, select));
  byId("result").replaceChildren(list);
}

function line(session: Session, select: (id: string) => void): HTMLLIElement {
  const item = made("li");
  const about = made("div");
  const title = session.summary || session.firstPrompt || session.id;
  about.append(made("div", shown(title)), made("div", say("session_about", session.messages ?? "?", when(session.modified)), "hint"));
  const save = button(texts.session_save, () => select(session.id));
  save.setAttribute("aria-label", `${texts.session_save}: ${shown(title, 60)}`);
  item.append(about, save);
  return item;
}

/** A time as its sender writes it, in ISO 8601, as this language does; anything else as it is. */
function when(modified: string): string {
  const date = new Date(modified);
  const known = modified !== "" && !Number.isNaN(date.getTime());
  return known ? date.toLocaleString(texts.lang, { dateStyle: "medium", timeStyle: "short" }) : shown(modified);
}
