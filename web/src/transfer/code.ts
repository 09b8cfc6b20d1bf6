/** Room codes, as people read them to each other, and the links that end in them. The relay mends what is mistyped; see PROTOCOL.md, "Connecting". */

/** The longest code that is looked at, in characters. */
const LONGEST = 32;

/** What is left of a typed or pasted code, or of the end of a link: letters and digits. `null` where nothing is, or too much. */
export function fromTyped(typed: string): string | null {
  if (/:\/\/[^#]*$/.test(typed)) return null;
  const code = typed
    .slice(typed.lastIndexOf("#") + 1)
    .normalize("NFKC")
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]/gu, "");
  return code.length > 0 && code.length <= LONGEST ? code : null;
}

/** The folder in which a page is: behind a proxy a relay may be under a path. */
export const folder = (page: URL | Location): string => page.origin + page.pathname.replace(/[^/]*$/, "");

/** Where a link leads that was typed, or pasted with words about it, if not to the page in the folder `base`. */
export function elsewhere(typed: string, base: string): string | null {
  let link: URL;
  try {
    link = new URL(/https?:\/\/\S+/i.exec(typed)?.[0] ?? "");
  } catch {
    return null;
  }
  const isHere = folder(link) === base || `${link.origin}${link.pathname}/` === base;
  return isHere ? null : folder(link);
}

/** A code with a hyphen in the middle: `a7f-3k2`. */
export function shownCode(code: string): string {
  const middle = Math.ceil(code.length / 2);
  return code.length < 4 ? code : `${code.slice(0, middle)}-${code.slice(middle)}`;
}

/** A code for a screen reader: its characters one by one. */
export const spokenCode = (code: string): string => [...code.toUpperCase()].join(" ");

/** The code in a link's hash, `#a7f3k2`; `null` where there is none. */
export const fromHash = (hash: string): string | null => (/^#[\p{L}\p{N}-]{1,40}$/u.test(hash) ? fromTyped(hash) : null);
