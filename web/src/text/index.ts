/** The page's language, and how texts, sizes and times are put. */

import type { Fault } from "../engine/fault.ts";
import { shown } from "../transfer/names.ts";
import type { Texts } from "./en.ts";

export type TextName = keyof Texts;

/** The first language that there are texts of. */
export function pickLanguage(languages: readonly string[]): "en" | "ko" {
  const known = languages.map((it) => it.slice(0, 2).toLowerCase());
  return known.find((it): it is "en" | "ko" => it === "en" || it === "ko") ?? "en";
}

const language = pickLanguage(typeof navigator === "undefined" ? [] : navigator.languages);

// A language that is not spoken weighs nothing: each is a file of its own.
export const texts: Texts = language === "ko" ? (await import("./ko.ts")).ko : (await import("./en.ts")).en;

/** A text, filled in. What is filled in is never looked at again. */
export function say(name: TextName, ...values: readonly (string | number)[]): string {
  return texts[name].replace(/\{(\d)\}/g, (_, number: string) => String(values[Number(number)] ?? ""));
}

const UNITS = ["B", "KB", "MB", "GB", "TB"];

/** A size: `1.5 MB`, by powers of 1000, as file managers show it. */
export function size(bytes: number): string {
  const power = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), UNITS.length - 1);
  const value = bytes / 1000 ** power;
  return `${value.toFixed(power > 0 && value < 10 ? 1 : 0)} ${UNITS[power]}`;
}

/** A while: `1:05` or `2:00:00`. */
export function duration(seconds: number): string {
  const whole = Math.ceil(seconds);
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const used = parts[0] ? parts : parts.slice(1);
  return used.map((part, at) => (at ? String(part).padStart(2, "0") : String(part))).join(":");
}

export function faultText(fault: Fault): string {
  switch (fault.word) {
    case "aborted":
    case "disk":
      return say(`fault_${fault.word}`, say(`reason_${fault.reason}`));
    case "denied":
      return say("fault_denied", fault.said === "needs_newer_client" ? say("denied_needs_newer_client") : shown(fault.said));
    case "relay_ended":
      return say("fault_relay_ended", shown(fault.said));
    case "too_big":
      return say("fault_too_big", size(fault.limit));
    default:
      return say(`fault_${fault.word}`);
  }
}
