/** Keeps the screen awake, and warns of leaving, while something runs; tells when a page that slept is back. */

interface Runs {
  isBusy(): boolean;
  post(input: { readonly is: "woke"; readonly hidden: number }): void;
}

let running: Runs | null = null;
let lock: WakeLockSentinel | null = null;
let hiddenSince: number | null = null;
/** Whether the browser goes to an address that is a download. */
let downloading = false;

export function startRunning(runs: Runs): void {
  running = runs;
  void holdScreen();
}

export function endRunning(): void {
  running = null;
  void lock?.release().catch(() => undefined);
  lock = null;
}

/** The next address is a download, and leaves nothing. */
export function beginDownload(): void {
  downloading = true;
  setTimeout(() => (downloading = false), 1000);
}

async function holdScreen(): Promise<void> {
  if (!running || document.hidden) return;
  // A battery that is low, or a browser that has none.
  const held = await navigator.wakeLock?.request("screen").catch(() => null);
  // It may have ended meanwhile.
  if (running) lock = held ?? null;
  else void held?.release().catch(() => undefined);
}

export function watchPage(): void {
  addEventListener("beforeunload", (event) => {
    if (!running?.isBusy() || downloading) return;
    event.preventDefault();
    // What Chromium asked for before 119.
    event.returnValue = true;
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) hiddenSince = Date.now();
    else {
      wake(hiddenSince === null ? 0 : Date.now() - hiddenSince);
      void holdScreen();
    }
  });
  addEventListener("online", () => wake(0));
}

const wake = (hidden: number): void => running?.post({ is: "woke", hidden });
