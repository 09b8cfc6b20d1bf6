/**
 * Passphrases: one is made up of words of a well-known list, and a person's own is judged.
 *
 * The list is the EFF's first short one, of 1,296 words of at most five letters (Electronic Frontier Foundation,
 * CC BY 3.0 US, https://www.eff.org/dice). It weighs 7 KB where the long list weighs 60. Each word is worth
 * log2(1296) = 10.34 bits, and six are worth 62.0; a passphrase of `distill`, five words of the long list, is
 * worth 64.6. What that is worth where somebody can try passphrases, SHARING.md says ("Guessing the passphrase").
 */

/*! Words: the EFF's first short list, CC BY 3.0 US, https://www.eff.org/dice */
import list from "./eff_short_wordlist_1.txt";

const WORDS = list.trim().split("\n");

/** Words of a passphrase that is made up. */
const COUNT = 6;

/** Why a passphrase is weak. */
export type Weakness = "short" | "simple" | "few_words";

/** A passphrase of some words, with hyphens between them. */
export function makePassphrase(): string {
  return Array.from({ length: COUNT }, () => WORDS[below(WORDS.length)]).join("-");
}

/** A random number under `bound`, each as likely as any other. */
function below(bound: number): number {
  const fair = Math.floor(0x1_0000_0000 / bound) * bound;
  for (;;) {
    const [number = 0] = crypto.getRandomValues(new Uint32Array(1));
    if (number < fair) return number % bound;
  }
}

/** What is wrong with a passphrase that a person has chosen, by simple rules: `null` does not make it a good one. */
export function weakness(passphrase: string): Weakness | null {
  const characters = [...passphrase];
  if (characters.length < 12) return "short";
  const steps = characters.filter((it, at) => at > 0 && follows(characters[at - 1] ?? "", it)).length;
  if (new Set(characters).size < 6 || steps * 2 >= characters.length) return "simple";
  const words = passphrase.split(/[^\p{L}]+/u).filter((run) => run.length > 0).length;
  return words <= 3 && characters.length < 24 && !isJumbled(characters) ? "few_words" : null;
}

const ROWS = ["1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "abcdefghijklmnopqrstuvwxyz"];

/** Whether the second is what one comes to from the first without thinking. */
function follows(first: string, second: string): boolean {
  const pair = (first + second).toLowerCase();
  const back = (second + first).toLowerCase();
  return first === second || ROWS.some((row) => row.includes(pair) || row.includes(back));
}

/** Whether kinds of characters follow each other so often, at every third at least, that these are no words. */
function isJumbled(characters: readonly string[]): boolean {
  const kinds = characters.map((it) => (/\p{Lu}/u.test(it) ? 0 : /\p{L}/u.test(it) ? 1 : /\p{N}/u.test(it) ? 2 : 3));
  const changes = kinds.filter((kind, at) => at > 0 && kind !== kinds[at - 1]).length;
  return changes * 3 >= characters.length;
}
