/** Sending: what is picked, the room that is shown, and what becomes of it. */

import { forget, keep, keepPicked, type Kept, keptPicked } from "../disk/keep.ts";
import { MAX_ITEMS, type Picked, Source } from "../disk/source.ts";
import type { Event } from "../engine/event.ts";
import { faultText, say, size, texts } from "../text/index.ts";
import { Share } from "../engine/sharing.ts";
import type { Room } from "../engine/share.ts";
import { type Bytes, fromHex, random, toHex } from "../transfer/bytes.ts";
import { shownCode, spokenCode } from "../transfer/code.ts";
import { MAX_V1_CONTENT } from "../transfer/hello.ts";
import { makePassphrase, weakness } from "../transfer/words.ts";
import { endRunning, startRunning } from "./awake.ts";
import { announce, byId, field, needsKey, show } from "./dom.ts";
import { askRelay, base } from "./relay.ts";
import { ofDrop, ofInput, TooMany } from "./picking.ts";
import { clear, mark, progress, showEvent, status } from "./running.ts";

let picked: readonly Picked[] = [];
/** Whether they are what a page before this one has kept. */
let areKept = false;

/** What is being shared. Who drops or chooses something else meanwhile has chosen for another time. */
interface Running {
  readonly picked: readonly Picked[];
  readonly transfer: Bytes;
  readonly passphrase: string;
}

export function setUpSending(): void {
  const passphrase = field("send-passphrase");
  passphrase.value = makePassphrase();
  byId("send-hint").textContent = texts.passphrase_made;
  byId("another").addEventListener("click", () => {
    passphrase.value = makePassphrase();
    byId("send-hint").textContent = texts.passphrase_made;
  });
  passphrase.addEventListener("input", () => {
    const weak = passphrase.value && weakness(passphrase.value);
    byId("send-hint").textContent = weak ? say(`weak_${weak}`) : "";
  });
  for (const button of document.querySelectorAll<HTMLElement>("[data-picks]")) {
    const input = field(button.dataset["picks"] ?? "");
    button.addEventListener("click", () => input.click());
    // Telephones have no folders to pick.
    button.hidden = input.id === "folder" && !("webkitdirectory" in input);
  }
  for (const input of [field("files"), field("folder")]) input.addEventListener("change", () => take(async () => ofInput(input.files)));
  setUpDropping();
  byId("text").addEventListener("input", () => void showPicked());
  byId("unpick").addEventListener("click", () => {
    picked = [];
    for (const id of ["files", "folder"]) field(id).value = "";
    showPicked();
    byId("text").focus();
  });
  byId("send").addEventListener("submit", (event) => {
    event.preventDefault();
    void begin();
  });
  showPicked();
}

function setUpDropping(): void {
  const drop = byId("drop");
  const over = (on: boolean) => (event: DragEvent) => {
    event.preventDefault();
    drop.classList.toggle("over", on);
  };
  // The whole page takes what is dropped: a browser would show the file in the page's place.
  addEventListener("dragover", over(true));
  addEventListener("dragleave", over(false));
  addEventListener("drop", (event) => {
    over(false)(event);
    const { dataTransfer } = event;
    if (dataTransfer && byId("running").hidden) take(() => ofDrop(dataTransfer));
  });
}

/** Takes what was picked: on the start, or to go on. */
function take(find: () => Promise<Picked[]>): void {
  find().then(
    (found) => {
      if (found.length === 0) return;
      picked = found;
      areKept = false;
      showPicked();
    },
    (error: unknown) => {
      const fault = error instanceof TooMany ? say("too_many_files", MAX_ITEMS) : texts.reason_source_failed;
      for (const id of ["send-error", "go-on-error"]) byId(id).textContent = fault;
    },
  );
}

function showPicked(): void {
  const files = picked.filter(({ file }) => file !== null);
  const bytes = files.reduce((sum, { file }) => sum + (file?.size ?? 0), 0);
  const text = byId<HTMLTextAreaElement>("text");
  const [first] = picked;
  // Files are sent or a text, not both.
  text.disabled = !!first;
  byId("unpick").hidden = !first;
  byId("send-error").textContent = "";
  let sentence = texts.picked_none as string;
  if (first && picked.length === 1) sentence = say("picked_one", first.path.at(-1) ?? "", size(bytes));
  else if (first) sentence = say("picked_many", first.path.length > 1 ? (first.path[0] ?? "") : texts.files_name, files.length, size(bytes));
  // Not how long it is, which would be read out with each key.
  else if (text.value) sentence = texts.picked_text;
  const old = picked.length > 1 || bytes > MAX_V1_CONTENT;
  announce("picked", sentence);
  byId("picked-hint").textContent = old ? say("old_clients", size(MAX_V1_CONTENT)) : "";
  byId("go-on-picked").textContent = first ? sentence : "";
}

/** What is to be shared; a text has no time, so that it is the same source after a reload. */
function chosen(): readonly Picked[] {
  const text = byId<HTMLTextAreaElement>("text").value;
  if (picked.length > 0 || !text) return picked;
  return [{ path: [texts.text_name], file: new File([text], texts.text_name, { type: "text/plain", lastModified: 0 }) }];
}

async function begin(): Promise<void> {
  const passphrase = field("send-passphrase").value;
  const found = chosen();
  const missing = found.length === 0 ? texts.need_content : !passphrase ? texts.need_passphrase : needsKey() ? texts.need_key : "";
  byId("send-error").textContent = missing;
  if (!missing) await run({ picked: found, transfer: random(16), passphrase }, null);
}

/** Goes on with what this tab shared before it was reloaded. */
export async function offerToGoOn(kept: Extract<Kept, { role: "share" }>): Promise<void> {
  byId("go-on-what").textContent = say("go_on_share", kept.name, shownCode(kept.code));
  const files = await keptPicked(kept.transfer);
  picked = files ?? [];
  areKept = files !== null;
  showPicked();
  byId("go-on-files").hidden = files !== null;
  byId("go-on-again").textContent = say("picked_again", kept.name);
}

export async function goOn(kept: Extract<Kept, { role: "share" }>, passphrase: string): Promise<void> {
  const transfer = fromHex(kept.transfer, 16);
  if (picked.length === 0 || !transfer) {
    byId("go-on-error").textContent = say("picked_again", kept.name);
    return;
  }
  await run({ picked, transfer, passphrase }, { code: kept.code, resumeToken: kept.resumeToken });
}

async function run(running: Running, room: Room | null): Promise<void> {
  const { transfer, passphrase } = running;
  // Before anything is waited for: nobody shares twice by two clicks.
  show("sharing");
  clear();
  byId("room").hidden = true;
  byId("sharing-what").textContent = "";
  const source = await Source.of(running.picked, texts.files_name);
  byId("sharing-what").textContent =
    source.what === "file" ? say("offered", source.name, size(source.size)) : say("offered_files", source.name, source.files, size(source.size));
  const { relay, config } = await askRelay();
  let [delivered, isKept] = [0, areKept && room !== null];
  const tell = (event: Event): void => {
    mark(event);
    if (event.is === "opened") {
      const { code, resumeToken, expiresIn } = event;
      const until = Date.now() + expiresIn * 1000;
      opened(code, passphrase, until);
      if (resumeToken === null) return;
      keep({ role: "share", code, resumeToken, transfer: toHex(transfer), name: source.name, until });
      if (!isKept) void keepPicked(toHex(transfer), running.picked);
      isKept = true;
    } else if (event.is === "delivered") {
      delivered++;
      byId("delivered").textContent = say("delivered_count", delivered);
      progress(event.bytes, event.bytes);
      status(texts.is_delivered_there);
    } else if (event.is === "receiver_failed") {
      const refused = event.fault.word === "denied";
      status(say("is_receiver_failed", refused ? texts.denied_needs_newer_client : faultText(event.fault)));
    } else if (event.is === "wrong_proof") status(say("is_wrong_proof", event.left));
    else if (event.is === "proved" || event.is === "peer_gone") status(say(`is_${event.is}`));
    else showEvent(event);
  };
  const share = new Share({ relay, source, transfer, passphrase, room, maxMessage: config.maxMessage, tell });
  const stop = byId("stop");
  stop.textContent = texts.stop_sharing;
  stop.hidden = false;
  stop.onclick = () => {
    share.stop();
    status(texts.stopped);
  };
  startRunning(share);
  await share.run();
  endRunning();
  await forget();
  byId("room").hidden = true;
  stop.textContent = texts.start_again;
  stop.onclick = () => show("start");
}

function opened(code: string, passphrase: string, until: number): void {
  const link = `${base()}#${code}`;
  const socket = base().replace(/^http/, "ws");
  byId("shared-code").textContent = shownCode(code);
  byId("spoken-code").textContent = spokenCode(code);
  byId("shared-passphrase").textContent = passphrase;
  byId("shared-link").textContent = link;
  byId("shared-line").textContent = `distill receive ${shownCode(code)} --relay ${socket}`;
  // It weighs as much as a seventh of the page, and is needed here alone.
  void import("./qr.ts").then(({ qrImage }) => byId("qr").replaceChildren(qrImage(link, texts.qr)));
  byId("expires").textContent = say("expires", new Date(until).toLocaleString(texts.lang, { dateStyle: "medium", timeStyle: "short" }));
  byId("room").hidden = false;
  status(texts.is_opened);
}
