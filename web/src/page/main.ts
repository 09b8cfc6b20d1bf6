/** The page: what it can do here, and what it begins with. */

import { forget, type Kept, kept, sweepPicked } from "../disk/keep.ts";
import { sweep } from "../disk/private_folder.ts";
import { say, texts } from "../text/index.ts";
import { fromHash, shownCode } from "../transfer/code.ts";
import { watchPage } from "./awake.ts";
import { askForKey, byId, field, fillTexts, needsKey, show } from "./dom.ts";
import { askRelay } from "./relay.ts";
import { receive, setUpReceiving } from "./receive_view.ts";
import { goOn, offerToGoOn, setUpSending } from "./share_view.ts";

async function start(): Promise<void> {
  fillTexts();
  if (!isSecureContext) return show("insecure", false);
  if (!crypto.subtle || !("WebSocket" in window) || !("timeout" in AbortSignal)) return show("old", false);
  watchPage();
  setUpSending();
  setUpReceiving(fromHash(location.hash));
  addEventListener("hashchange", () => {
    const code = fromHash(location.hash);
    if (code === null || byId("start").hidden) return;
    field("code").value = code;
    showStart();
  });
  const last = kept();
  const isOver = last?.role === "share" && last.until <= Date.now();
  if (isOver) await forget();
  // A link that was opened in this tab is what its person wants now.
  if (last && !isOver && (!location.hash || fromHash(location.hash) === last.code)) await showGoOn(last);
  else showStart();
  byId("key").addEventListener("submit", (event) => event.preventDefault());
  void askRelay().then(({ config }) => askForKey(config.accessKey));
  void sweep(Date.now()).catch(() => undefined);
  void sweepPicked(Date.now());
}

function showStart(): void {
  const code = fromHash(location.hash);
  show("start", false);
  if (code === null) return;
  // Who was sent a link came to receive.
  byId("start").prepend(byId("receive-title").closest("section") as HTMLElement);
  field("receive-passphrase").focus();
}

async function showGoOn(last: Kept): Promise<void> {
  // Who mistypes it here sends all receivers away; the sender may see what is typed.
  field("go-on-passphrase").type = last.role === "share" ? "text" : "password";
  if (last.role === "share") await offerToGoOn(last);
  else byId("go-on-what").textContent = say("go_on_receive", shownCode(last.code));
  show("go-on", false);
  const passphrase = field("go-on-passphrase");
  passphrase.focus();
  byId("go-on-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const typed = passphrase.value;
    const missing = !typed ? texts.need_passphrase : needsKey() ? texts.need_key : "";
    byId("go-on-error").textContent = missing;
    if (missing) return;
    void (last.role === "share" ? goOn(last, typed) : receive(last.code, typed, true));
  });
  byId("go-on-forget").addEventListener("click", () => void forget().then(() => location.reload()));
}

void start();
