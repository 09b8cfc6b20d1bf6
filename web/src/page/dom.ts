/** The page's elements. Texts of strangers come into it as text alone. */

import { say, type TextName, texts } from "../text/index.ts";

/** The element of this id, which index.html has. */
export function byId<Kind extends HTMLElement = HTMLElement>(id: string): Kind {
  const found = document.getElementById(id);
  if (!found) throw new Error(`no #${id}`);
  return found as Kind;
}

export const field = (id: string): HTMLInputElement => byId<HTMLInputElement>(id);

/** Puts a text where a screen reader listens: the same again would be read out again. */
export function announce(id: string, text: string): void {
  const element = byId(id);
  if (element.textContent !== text) element.textContent = text;
}

/** An element with a text. */
export function made<Name extends keyof HTMLElementTagNameMap>(name: Name, text = "", className = ""): HTMLElementTagNameMap[Name] {
  const element = document.createElement(name);
  element.textContent = text;
  if (className) element.className = className;
  return element;
}

/** A button that does something. */
export function button(text: string, act: () => void, className = ""): HTMLButtonElement {
  const element = made("button", text, className);
  element.type = "button";
  element.addEventListener("click", act);
  return element;
}

/** Puts the texts of this language into the page. */
export function fillTexts(): void {
  document.documentElement.lang = texts.lang;
  document.title = texts.title;
  for (const element of document.querySelectorAll<HTMLElement>("[data-text]")) {
    element.textContent = say(element.dataset["text"] as TextName);
  }
  byId("bar").setAttribute("aria-label", texts.progress_label);
  for (const element of document.querySelectorAll<HTMLButtonElement>("[data-copies]")) makeCopying(element);
}

function makeCopying(element: HTMLButtonElement): void {
  const source = byId(element.dataset["copies"] ?? "");
  element.textContent = texts.copy;
  element.setAttribute("aria-describedby", source.id);
  element.addEventListener("click", async () => {
    const done = await navigator.clipboard?.writeText(source.textContent ?? "").then(
      () => true,
      () => false,
    );
    if (done) element.textContent = texts.copied;
    else getSelection()?.selectAllChildren(source);
    setTimeout(() => (element.textContent = texts.copy), 3000);
  });
}

let keyIsAsked = false;

/** Shows the field of an access key, where the relay asks for one. */
export function askForKey(asked: boolean): void {
  keyIsAsked = asked;
  byId("key").hidden = !asked;
}

/** Whether the access key is missing; then its field is where the person is. */
export function needsKey(): boolean {
  const isMissing = keyIsAsked && !field("key-field").value.trim();
  if (isMissing) field("key-field").focus();
  return isMissing;
}

const VIEWS = ["insecure", "old", "go-on", "start", "sharing", "receiving"] as const;
export type View = (typeof VIEWS)[number];

/** Shows one view alone, and has a screen reader begin at its heading. */
export function show(view: View, focus = true): void {
  for (const other of VIEWS) byId(other).hidden = other !== view;
  const running = view === "sharing" || view === "receiving";
  byId("running").hidden = !running;
  byId("key").hidden = running || !keyIsAsked;
  scrollTo(0, 0);
  if (focus) byId(view).querySelector<HTMLElement>("h2")?.focus();
}
