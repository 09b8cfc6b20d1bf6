/** Receiving: the code, where it is to go, and what has come. */

import { type Can, firstThatOpens, type Way, ways } from "../disk/choose.ts";
import { downloadSink, hasDownload } from "../disk/download.ts";
import { flowName, MAX_MEMORY, memorySink, openFlow } from "../disk/flow.ts";
import { forget, keep } from "../disk/keep.ts";
import { hasPicker, pick } from "../disk/picker.ts";
import { hasPrivate, openPrivate } from "../disk/private.ts";
import { MAX_ENTRIES, type Saved, type Target } from "../disk/target.ts";
import type { Event } from "../engine/event.ts";
import { DiskFault } from "../disk/fault.ts";
import type { Fault } from "../engine/fault.ts";
import { Receive } from "../engine/receiving.ts";
import { say, size, texts } from "../text/index.ts";
import { type Bytes, random, toHex, toText } from "../transfer/bytes.ts";
import { elsewhere, fromTyped } from "../transfer/code.ts";
import { safeName, shown } from "../transfer/names.ts";
import type { Manifest } from "../transfer/note.ts";
import { beginDownload, endRunning, startRunning } from "./awake.ts";
import { button, byId, field, needsKey, show } from "./dom.ts";
import { base, theRelay } from "./relay.ts";
import { explain, offerSave, showSaved, showText } from "./result.ts";
import { clear, failed, mark, progress, showEvent, status } from "./running.ts";
import { showSessions } from "./sessions.ts";

export function setUpReceiving(code: string | null): void {
  if (code !== null) field("code").value = code;
  const passphrase = field("receive-passphrase");
  field("show").addEventListener("change", () => (passphrase.type = field("show").checked ? "text" : "password"));
  byId("receive").addEventListener("submit", (event) => {
    event.preventDefault();
    void begin();
  });
}

async function begin(): Promise<void> {
  const typed = field("code").value;
  const [code, passphrase] = [fromTyped(typed), field("receive-passphrase").value];
  const error = byId("receive-error");
  const other = elsewhere(typed, base());
  error.textContent = !typed.trim() ? texts.need_code : other ? say("other_address", other) : code === null ? texts.wait_code : passphrase ? "" : texts.need_passphrase;
  if (code === null || other) field("code").focus();
  else if (!passphrase) field("receive-passphrase").focus();
  else if (needsKey()) error.textContent = texts.need_key;
  else await receive(code, passphrase, false);
}

/** Receives; `known`: this tab has received of this code before it was reloaded. */
export async function receive(code: string, passphrase: string, known: boolean): Promise<void> {
  show("receiving");
  clear();
  byId("result").replaceChildren();
  byId("offer").textContent = "";
  endWays();
  const relay = theRelay();
  let failure: Fault | null = null;
  const tell = (event: Event): void => {
    mark(event);
    switch (event.is) {
      case "joined":
        // The code has done its work; nobody who looks over a shoulder needs it.
        if (location.hash) history.replaceState(null, "", location.pathname + location.search);
        break;
      case "offered":
        return showOffer(event.manifest);
      case "sessions":
        status(texts.is_sessions);
        return showSessions(event.sessions, (id) => driver.post({ is: "select", id }));
      case "delivered":
        progress(event.bytes, event.bytes);
        return status(event.end ? texts.is_delivered : texts.is_sessions);
      case "waits_for_content":
        byId("ways").replaceChildren(button(texts.browse, () => (driver.post({ is: "list" }), endWays())));
        break;
      case "receiver_failed":
        return failed(event.fault);
      case "failed":
        failure = event.fault;
    }
    showEvent(event);
  };
  const saved = (of: Saved): void => showSaved(of);
  const openTarget = (manifest: Manifest): Promise<Target> => chooseTarget(manifest, saved, code);
  const driver: Receive = new Receive({ relay, code, passphrase, known, tell, openTarget, keepText });
  const stop = byId("stop");
  stop.textContent = texts.stop;
  stop.hidden = false;
  let stopped = false;
  stop.onclick = () => {
    stopped = true;
    driver.stop();
    status(texts.stopped);
  };
  startRunning(driver);
  await driver.run();
  endRunning();
  endWays();
  // Who has mistyped it may load the page anew and try again.
  if ((failure as Fault | null)?.word !== "wrong_passphrase") await forget();
  if (stopped || failure) driver.leave(!stopped);
  stop.textContent = texts.start_again;
  stop.onclick = () => {
    // The code is still there: a passphrase may just have been mistyped.
    field("code").value = code;
    show("start", false);
    field("receive-passphrase").focus();
  };
  field("receive-passphrase").value = "";
}

function showOffer({ what, name, size: bytes, files }: Manifest): void {
  const much = bytes === null ? texts.size_unknown : size(bytes);
  byId("offer").textContent = what === "folder" && files !== null ? say("offered_files", shown(name), files, much) : say("offered", shown(name), much);
}

function endWays(): void {
  byId("ways").replaceChildren();
  byId("ways-hint").textContent = "";
}

/** What this browser can do for a transfer. */
async function abilities(manifest: Manifest): Promise<Can> {
  const estimate = (await hasPrivate()) ? await navigator.storage.estimate().catch(() => null) : null;
  const room = estimate && (estimate.quota ?? 0) - (estimate.usage ?? 0);
  return { pick: hasPicker(manifest), private: room, download: hasDownload() };
}

/** Opens the best target, or asks for one where the person has to click. */
async function chooseTarget(manifest: Manifest, saved: (saved: Saved) => void, code: string): Promise<Target> {
  if ((manifest.files ?? 0) > MAX_ENTRIES) {
    explain(say("too_many_offered", MAX_ENTRIES));
    throw new DiskFault("target_failed");
  }
  const found = ways(manifest, await abilities(manifest));
  if (found.length === 0) {
    explain(`${texts.no_room} ${say("memory_hint", size(MAX_MEMORY))}`);
    throw new DiskFault("no_space");
  }
  const openFirst = (ways: readonly Way[]): Promise<Target> => firstThatOpens(ways, (way) => open(way, manifest, saved, code));
  if (found[0] !== "pick") return openFirst(found);
  const others = found.filter((way) => way !== "pick");
  status(texts.is_offered);
  const [other] = others;
  byId("ways-hint").textContent = other === "memory" ? say("memory_hint", size(MAX_MEMORY)) : other === "private" ? texts.choose_hint : "";
  return new Promise((resolve, reject) => {
    const choose = (ways: readonly Way[]) => () => {
      openFirst(ways).then(
        (target) => {
          endWays();
          resolve(target);
        },
        // Who closes the browser's question may choose again.
        (error: unknown) => (error instanceof DOMException && error.name === "AbortError" ? undefined : reject(error as Error)),
      );
    };
    const first = button(texts.choose_place, choose(["pick"]), "main");
    byId("ways").replaceChildren(first, ...(other ? [button(say(`way_${other}`), choose(others))] : []));
    first.focus();
  });
}

async function open(way: Way, manifest: Manifest, saved: (saved: Saved) => void, code: string): Promise<Target> {
  switch (way) {
    case "pick":
      return pick(manifest, saved);
    case "private": {
      const target = await openPrivate(manifest, saved);
      keep({ role: "receive", code });
      return target;
    }
    case "download": {
      const size = manifest.what === "file" ? manifest.size : null;
      const offer = { id: toHex(random(16)), name: flowName(manifest), size };
      const sink = await downloadSink(offer, beginDownload);
      const abort = async (): Promise<void> => {
        await sink.abort();
        explain(texts.download_left);
      };
      return openFlow(manifest, { ...sink, abort }, saved);
    }
    case "memory":
      return openFlow(manifest, memorySink(), saved);
  }
}

/** Keeps content of version 1: a session has a name, and a distillation is a text to read as well. */
async function keepText(content: Bytes, session: string | null): Promise<void> {
  const name = session === null ? "distillation.md" : safeName(session.endsWith(".jsonl") ? session : `${session}.jsonl`);
  const text = session === null ? toText(content) : null;
  if (text !== null) showText(text);
  offerSave({ name, bytes: content.length, blob: new Blob([content], { type: "text/plain" }), forget: null });
}
