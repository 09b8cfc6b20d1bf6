/** Names from strangers: which are safe for a file, and how any text of theirs is shown. */

/** The longest name, in bytes of UTF-8. */
const MAX_NAME = 255;
const DEVICE = /^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])$/i;
/** Control characters, those that turn the direction of writing, and what cannot be seen but picks no variant. */
const HIDDEN = /[\p{Cc}\u2028-\u202e\ufff9-\ufffb]|(?!\p{Variation_Selector})\p{Default_Ignorable_Code_Point}/u;
/** Nothing is to be seen of these by themselves; the last is Braille's pattern without a dot. */
const BLANK = /^[\p{White_Space}\p{Variation_Selector}\u2800]*$/u;
const HIDDEN_ALL = new RegExp(HIDDEN, "gu");

/** Whether a file or folder may have this name on any system: one component, which leads nowhere else. */
export function isSafe(name: string): boolean {
  const length = new TextEncoder().encode(name).length;
  return (
    length > 0 &&
    length <= MAX_NAME &&
    !/\p{Cs}/u.test(name) &&
    !/^[ ]|[. ]$/.test(name) &&
    !/[/\\<>:"|?*]/.test(name) &&
    !HIDDEN.test(name) &&
    !BLANK.test(name) &&
    !DEVICE.test((name.split(".")[0] ?? "").trimEnd())
  );
}

/** A name that is safe, made of one that may not be. */
export function safeName(name: string): string {
  let safe = name.replace(HIDDEN_ALL, "").replace(/[/\\<>:"|?*]/g, "_");
  safe = safe.replace(/^ +|[. ]+$/g, "");
  while (new TextEncoder().encode(safe).length > MAX_NAME - 16) safe = [...safe].slice(1).join("");
  if (isSafe(safe)) return safe;
  return isSafe(`_${safe}`) ? `_${safe}` : "download";
}

/** The name for another of the same name: `name (2).txt`. */
export function numbered(name: string, number: number): string {
  if (number < 2) return name;
  const dot = name.lastIndexOf(".");
  return dot > 0 ? `${name.slice(0, dot)} (${number})${name.slice(dot)}` : `${name} (${number})`;
}

/** A text of a stranger's for people to see: what cannot be seen is written out, and at most `longest` characters are left. */
export function shown(text: string, longest = 120): string {
  const characters = [...text.slice(0, 4 * longest)];
  const seen = characters.map((it) => (HIDDEN.test(it) ? `\\u{${it.codePointAt(0)?.toString(16)}}` : it));
  return seen.length > longest ? `${seen.slice(0, longest).join("")}…` : seen.join("");
}
