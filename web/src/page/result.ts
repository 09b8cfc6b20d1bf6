/** What has come: a link to save it, and a text to read. */

import type { Saved } from "../disk/target.ts";
import { say, texts } from "../text/index.ts";
import { shown } from "../transfer/names.ts";
import { button, byId, made } from "./dom.ts";

/** The longest text that is shown, in bytes. */
const MAX_SHOWN = 64 * 1024;

/** Has the browser save it, or says where it is; a short text is shown as well. */
export function showSaved(saved: Saved): void {
  if (saved.blob && saved.bytes <= MAX_SHOWN && /\.(txt|md)$/i.test(saved.name)) void saved.blob.text().then(showText);
  offerSave(saved);
}

export function offerSave({ name, blob, forget }: Saved): void {
  const result = byId("result");
  if (!blob) {
    result.append(made("p", say("saved", shown(name))));
    return;
  }
  const link = made("a", say("save", shown(name)), "button");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  const row = made("div", "", "row");
  row.append(link);
  const hint = made("p", texts.save_hint, "hint");
  if (forget) row.append(forgetButton(forget, link, hint));
  result.append(row, hint);
  link.click();
}

/** Deletes the page's copy, once the person says that it is saved: a page cannot see when a browser has done so. */
function forgetButton(forget: () => Promise<void>, link: HTMLAnchorElement, hint: HTMLElement): HTMLButtonElement {
  let isBusy = false;
  const element = button(texts.forget_copy, async () => {
    if (isBusy) return;
    isBusy = true;
    const done = await forget().then(
      () => true,
      () => false,
    );
    isBusy = false;
    if (!done) return void (hint.textContent = texts.not_forgotten);
    URL.revokeObjectURL(link.href);
    link.parentElement?.remove();
    hint.textContent = texts.forgotten;
    // A keyboard's place would go with the button.
    hint.tabIndex = -1;
    hint.focus();
  });
  return element;
}

/** Says more of why there is nothing. */
export function explain(sentence: string): void {
  byId("result").append(made("p", sentence, "hint"));
}

export function showText(text: string): void {
  const label = made("label", texts.received_text);
  const area = made("textarea");
  label.htmlFor = area.id = "received-text";
  area.readOnly = true;
  area.rows = 8;
  area.value = text.slice(0, MAX_SHOWN);
  byId("result").prepend(label, area);
}
