/** What is shown while something runs: a sentence, a bar, numbers, a fault; the screen is kept awake meanwhile. */

import type { Event } from "../engine/event.ts";
import type { Fault } from "../engine/fault.ts";
import { duration, faultText, say, size, texts } from "../text/index.ts";
import { announce, byId } from "./dom.ts";
import { Rate } from "./rate.ts";

const bar = () => byId<HTMLProgressElement>("bar");
let rate = new Rate();
let countdown: ReturnType<typeof setInterval> | undefined;

/** Clears what was shown of something else. */
export function clear(): void {
  rate = new Rate();
  endCountdown();
  bar().value = 0;
  for (const name of Object.keys(byId("running").dataset)) delete byId("running").dataset[name];
  for (const id of ["status", "delivered", "first", "fault", "numbers"]) byId(id).textContent = "";
  // Until there is something to stop.
  byId("stop").hidden = true;
}

function endCountdown(): void {
  if (countdown !== undefined) byId("numbers").textContent = "";
  clearInterval(countdown);
  countdown = undefined;
}

export function status(sentence: string): void {
  endCountdown();
  announce("status", sentence);
}

export function failed(fault: Fault): void {
  status(texts.stopped);
  byId("fault").textContent = faultText(fault);
}

/** Leaves the last event where a test, or whoever helps by telephone, finds it in any language. */
export function mark(event: Event): void {
  const { dataset } = byId("running");
  dataset["state"] = event.is;
  if (event.is === "failed" || event.is === "receiver_failed") dataset["fault"] = event.fault.word;
  if ("bytes" in event) dataset["bytes"] = String(event.bytes);
  if (event.is === "delivered") dataset["delivered"] = String(Number(dataset["delivered"] ?? 0) + 1);
}

/** Shows what both sides show alike. */
export function showEvent(event: Event): void {
  switch (event.is) {
    case "proving":
      byId("first").textContent = event.first ? texts.first_version : "";
      status(texts.is_proving);
      return;
    case "connecting":
    case "joined":
    case "peer_joined":
    case "waits_for_content":
      status(say(`is_${event.is}`));
      return;
    case "queued":
      status(event.position === null ? texts.is_joined : say("is_queued", event.position));
      return;
    case "begun":
      status(texts.is_begun);
      rate = new Rate();
      progress(event.from, event.total);
      return;
    case "progress":
      progress(event.bytes, event.total);
      return;
    case "waiting":
      wait(say(`why_${event.why}`), event.for);
      return;
    case "failed":
      failed(event.fault);
      return;
    default:
  }
}

/** Counts down. The reason is read out, and the seconds are not, so that nobody has to hear them all. */
function wait(why: string, ms: number): void {
  const until = performance.now() + ms;
  status(why);
  const show = (): void => {
    const left = (until - performance.now()) / 1000;
    if (left > 0) byId("numbers").textContent = say("is_waiting", duration(left));
    else endCountdown();
  };
  countdown = setInterval(show, 1000);
  show();
}

export function progress(bytes: number, total: number | null): void {
  rate.at(bytes, performance.now());
  if (total === null) bar().removeAttribute("value");
  else bar().value = total === 0 ? 1 : bytes / total;
  const perSecond = rate.perSecond();
  const parts = [total === null ? size(bytes) : say("progress", size(bytes), size(total))];
  if (perSecond > 0 && bytes !== total) {
    parts.push(say("progress_rate", size(perSecond)));
    if (total !== null) parts.push(say("progress_left", duration((total - bytes) / perSecond)));
  }
  byId("numbers").textContent = parts.join(", ");
}
