/** Formats that need no keys: codes, names, words, notes, sizes, zips, the window. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { ways } from "../src/disk/choose.ts";
import { EMPTY, MAX_HEADERS, targetOf } from "../src/disk/target.ts";
import { duration, pickLanguage, size } from "../src/text/index.ts";
import { concat, fromHex, fromText, toHex } from "../src/transfer/bytes.ts";
import { elsewhere, fromHash, fromTyped, shownCode } from "../src/transfer/code.ts";
import { crc32 } from "../src/transfer/crc.ts";
import { MAX_V1_MESSAGE, parseWord, wordText } from "../src/transfer/hello.ts";
import { isSafe, numbered, safeName, shown } from "../src/transfer/names.ts";
import { KIND, MAX_NOTE, parseData, parseNote } from "../src/transfer/note.ts";
import { Window } from "../src/transfer/window.ts";
import { makePassphrase, weakness } from "../src/transfer/words.ts";
import { Zip } from "../src/transfer/zip.ts";

test("hexadecimal of either case is read, and nothing else", () => {
  assert.equal(toHex(fromHex("00fFa9")!), "00ffa9");
  for (const wrong of ["0", "0g", "0x", " 00", 7, null]) assert.equal(fromHex(wrong), null);
  assert.equal(fromHex("0000", 1), null);
});

test("a code is what is typed without what parts it, and shown in two halves", () => {
  assert.equal(fromTyped(" A7F-3k2. "), "a7f3k2");
  assert.equal(fromTyped("ａ７ｆ３ｋ２"), "a7f3k2");
  assert.equal(fromTyped("https://relay.example.com/#a7f3k2"), "a7f3k2");
  assert.equal(fromTyped("https://relay.example.com/"), null);
  assert.equal(fromTyped("--"), null);
  assert.equal(fromTyped("a".repeat(33)), null);
  assert.equal(shownCode("a7f3k2"), "a7f-3k2");
  assert.equal(fromHash("#a7f3k2"), "a7f3k2");
  for (const hash of ["", "#", "#<script>", `#${"a".repeat(50)}`]) assert.equal(fromHash(hash), null);
});

test("a link that leads elsewhere is told from one to this page", () => {
  const base = "https://relay.example.com/";
  assert.equal(elsewhere("https://other.example.com/#a7f3k2", base), "https://other.example.com/");
  assert.equal(elsewhere(" http://relay.example.com/#a7f3k2 ", base), "http://relay.example.com/");
  assert.equal(elsewhere("https://relay.example.com/#a7f3k2", `${base}relay/`), base);
  assert.equal(elsewhere("링크: https://other.example.com/relay/#a7f3k2", base), "https://other.example.com/relay/");
  assert.equal(elsewhere("https://relay.example.com/relay#a7f3k2", `${base}relay/`), null);
  assert.equal(elsewhere("https://relay.example.com/index.html#a7f3k2", base), null);
  for (const typed of ["a7f3k2", "A7F-3k2", "", "a7f3k2:", "mailto:a7f3k2", "relay.example.com/#a7f3k2"]) assert.equal(elsewhere(typed, base), null);
});

test("ordinary names are safe, and those that lead elsewhere or mean something are not", () => {
  for (const name of ["a", ".profile", "보고서 (2).pdf", "COM10", "nullable", "\u2764\ufe0f.txt"]) assert.ok(isSafe(name), name);
  const bad = ["", ".", "..", "a/b", "a\\b", "C:", "a:b", "a\0b", "\u001b[2J", "a.", "a ", " a", "CON", "nul.tar.gz", "AUX .c", "COM¹", "\u202egpj.exe", "a\u3164", "\u034f", "\u2800", "\ufe0f", "\ud800", "x".repeat(256)];
  for (const name of bad) {
    assert.ok(!isSafe(name), JSON.stringify(name));
    assert.ok(isSafe(safeName(name)), `${JSON.stringify(name)} becomes ${JSON.stringify(safeName(name))}`);
  }
  assert.equal(safeName("../../etc/passwd"), ".._.._etc_passwd");
  assert.ok(safeName(`${"가".repeat(300)}.txt`).endsWith(".txt"));
  assert.equal(numbered("a.tar.gz", 2), "a.tar (2).gz");
});

test("a text of a stranger is shown without what cannot be seen", () => {
  assert.equal(shown("a\u001b[31m\u202e"), "a\\u{1b}[31m\\u{202e}");
  assert.equal(shown("abcdef", 3), "abc…");
});

test("a passphrase has six words, each time others; and a weak one is told from it", () => {
  const made = Array.from({ length: 100 }, makePassphrase);
  assert.equal(new Set(made).size, 100);
  for (const one of made) {
    assert.match(one, /^[a-z]+(-[a-z]+){5,}$/);
    assert.equal(weakness(one), null, one);
  }
  assert.equal(weakness("hunter2"), "short");
  assert.equal(weakness("123456789012345"), "simple");
  assert.equal(weakness("correct horse 12"), "few_words");
  assert.equal(weakness("gX7!pQ2#vL9@"), null);
});

test("notes of strangers are read as what they are, or not at all", () => {
  const parse = (kind: number, fields: unknown) => parseNote(kind, fromText(JSON.stringify(fields)));
  const header = { entry: 0, path: ["a"], kind: "file", size: 1, modified: null, executable: false, stamp: "00".repeat(8) };
  assert.equal(parse(KIND.ENTRY, header)?.kind, KIND.ENTRY);
  for (const change of [{ entry: -1 }, { entry: 1e300 }, { path: [] }, { path: [1] }, { path: Array(65).fill("a") }, { size: "1" }, { kind: "link" }, { stamp: "00" }]) {
    assert.equal(parse(KIND.ENTRY, { ...header, ...change }), null, JSON.stringify(change));
  }
  for (const body of ["", "[]", "null", "[".repeat(9000), "\xff"]) assert.equal(parseNote(KIND.START, fromText(body)), null);
  assert.equal(parse(KIND.ABORT, { reason: "x".repeat(MAX_NOTE) }), null);
  assert.deepEqual(parse(KIND.ABORT, { reason: "a later word" }), { kind: KIND.ABORT, reason: "other" });
  assert.equal(parse(KIND.DATA, {}), null);
  assert.equal(parse(99, {}), null);
  assert.equal(parseData(new Uint8Array(17).fill(255), new Uint8Array(1)), null);
});

test("words of strangers likewise", () => {
  assert.deepEqual(parseWord('{"type":"HELLO","version":1}'), { type: "HELLO", versions: [1], key: null });
  assert.equal(parseWord('{"type":"AUTH","proof":"00"}'), null);
  for (const text of ["", "null", "[]", '{"type":"PUSH"}', '{"type":7}']) assert.equal(parseWord(text), null);
  const many = { type: "SESSION_LIST", sessions: [...Array(20_000).fill({ sessionId: "a" }), null, 7] };
  const list = parseWord(JSON.stringify(many));
  assert.equal(list?.type === "SESSION_LIST" && list.sessions.length, 10_000);
  assert.equal(wordText({ type: "CHALLENGE", salt: new Uint8Array(2), key: null }), '{"type":"CHALLENGE","salt":"0000"}');
  assert.ok(MAX_V1_MESSAGE === 50 * 1024 * 1024);
});

test("the window keeps its bounds, and believes no more than was sent", () => {
  const window = new Window();
  for (const at of [0, 0]) {
    assert.ok(window.isOpen());
    window.sent(32 * 1024, at);
  }
  assert.ok(!window.isOpen());
  assert.equal(window.confirmed(3, 10), false);
  assert.ok(window.confirmed(2, 10));
  assert.equal(window.confirmed(1, 10), false);
  for (let small = 0; small < 1024; small++) window.sent(1, 10);
  assert.ok(!window.isOpen());
});

/** A line of this rate, in bytes a second, kept full for 20 s: the part of it that is used, and the most on its way. */
function onLine(rate: number, trip: (sent: number) => number): { used: number; most: number } {
  const [window, arrivals, length] = [new Window(), [] as number[], 32 * 1024];
  let [now, lineFree, arrived, sent, records, most] = [0, 0, 0, 0, 0, 0];
  while (now < 20_000) {
    for (; window.isOpen(); sent++) {
      window.sent(length, now);
      lineFree = Math.max(lineFree, now) + (1000 * length) / rate;
      arrived = Math.max(arrived, lineFree + trip(sent));
      arrivals.push(arrived);
    }
    if (now > 1000) most = Math.max(most, (sent - records) * length);
    now = arrivals.shift() ?? now;
    assert.ok(window.confirmed(++records, now));
  }
  return { used: (records * length) / 20 / rate, most };
}

test("a thin line is given little, and a fast one all it takes", () => {
  const [thin, long, near] = [onLine(1e5, () => 50), onLine(1e7, () => 100), onLine(1e9, () => 1)];
  assert.ok(thin.used > 0.98 && thin.most <= 3 * 64 * 1024, JSON.stringify(thin));
  assert.ok(long.used > 0.85 && long.most <= 3e6, JSON.stringify(long));
  assert.ok(near.used > 0.85 && near.most <= 3e6, JSON.stringify(near));
  assert.equal(onLine(1e9, () => 100).most, 8 * 1024 * 1024);
  // One trip in twenty is a short one, or only the first was.
  for (const short of [(sent: number) => sent % 20 === 0, (sent: number) => sent === 0]) {
    const busy = onLine(1e8, (sent) => (short(sent) ? 1 : 200));
    assert.ok(busy.used > 0.1, JSON.stringify(busy));
  }
});

test("CRC-32 is zip's, in one piece or in more", () => {
  assert.equal(crc32(0, fromText("123456789")), 0xcbf43926);
  assert.equal(crc32(crc32(0, fromText("1234")), fromText("56789")), 0xcbf43926);
});

test("a zip has its members where its directory says, also where sums come behind", () => {
  const zip = new Zip();
  const content = fromText("hello");
  const parts = [zip.begin(["a"], true, null), zip.begin(["a", "가.txt"], false, Date.UTC(2026, 10, 27)), content];
  parts.push(zip.end(content.length, crc32(0, content)));
  const end = zip.finish();
  const all = concat(...parts, end);
  const view = new DataView(all.buffer);
  const end64 = all.length - 22 - 20 - 56;
  assert.equal(view.getUint32(end64, true), 0x06064b50);
  assert.equal(view.getBigUint64(end64 + 32, true), 2n);
  const directory = Number(view.getBigUint64(end64 + 48, true));
  assert.equal(view.getUint32(directory, true), 0x02014b50);
  assert.equal(directory, all.length - end.length);
});

test("sizes and times are put as people read them", () => {
  assert.deepEqual([0, 999, 1500, 20_000_000, 2e9].map(size), ["0 B", "999 B", "1.5 KB", "20 MB", "2.0 GB"]);
  assert.deepEqual([0, 65, 7200].map(duration), ["0:00", "1:05", "2:00:00"]);
  assert.equal(pickLanguage(["fr", "ko-KR", "en"]), "ko");
  assert.equal(pickLanguage(["fr"]), "en");
});

test("a place is found for every size that a browser can hold, and none is promised beyond", () => {
  const all = { pick: true, private: 10e9, download: true };
  assert.equal(ways({ what: "file", size: 1000 }, all)[0], "private");
  assert.equal(ways({ what: "file", size: 2e9 }, all)[0], "pick");
  assert.equal(ways({ what: "folder", size: 1000 }, all)[0], "pick");
  assert.equal(ways({ what: "file", size: 2e9 }, { ...all, pick: false })[0], "private");
  assert.equal(ways({ what: "file", size: 20e9 }, { ...all, pick: false })[0], "download");
  // Where a part may be left behind of what fails, a small file waits in memory until it is whole.
  const without = { pick: false, private: null, download: true };
  assert.equal(ways({ what: "file", size: 1e6 }, without)[0], "memory");
  assert.equal(ways({ what: "folder", size: 1e8 }, without)[0], "download");
  assert.equal(ways({ what: "stream", size: null }, without)[0], "download");
  assert.deepEqual(ways({ what: "file", size: 2e9 }, { pick: false, private: null, download: false }), []);
  assert.deepEqual(ways({ what: "file", size: 1e6 }, { pick: false, private: null, download: false }), ["memory"]);
});

test("the headers of a transfer have a bound together", async () => {
  const store = { begin: async () => {}, write: async () => {}, leave: async () => {}, finish: () => Promise.reject(new Error()) };
  const target = targetOf(store, EMPTY, () => {});
  const header = { entry: 0, path: ["a"], what: "file", size: 0, modified: null, stamp: new Uint8Array(8) } as const;
  const json = new Uint8Array(16 * 1024);
  for (let length = json.length; length <= MAX_HEADERS; length += json.length) await target.entry(header, json);
  await assert.rejects(target.entry(header, json), { reason: "target_failed" });
});
