/** Reads JSON of strangers: what is not as it should be is `null`, and never throws. */

export type Fields = { readonly [name: string]: unknown };

/** The object that a text is; `null` for anything else. */
export function object(text: string | null): Fields | null {
  if (text === null) return null;
  try {
    return asObject(JSON.parse(text));
  } catch {
    return null;
  }
}

export const asObject = (value: unknown): Fields | null =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : null;

/** A count: a whole number from 0 that is held exactly. */
export const count = (value: unknown): number | null =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : null;

/** A text of at most `longest` UTF-16 units. */
export const text = (value: unknown, longest: number): string | null =>
  typeof value === "string" && value.length <= longest ? value : null;
