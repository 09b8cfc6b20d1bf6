/** The service worker: it answers `download/ID` with what the page hands it, and nothing else. See download.ts. */

import type { Offer } from "./download.ts";

interface ServiceWorker {
  skipWaiting(): Promise<void>;
  readonly clients: { claim(): Promise<void> };
  addEventListener(type: "install" | "activate", listener: (event: { waitUntil(work: Promise<unknown>): void }) => void): void;
  addEventListener(type: "message", listener: (event: MessageEvent<Offer>) => void): void;
  addEventListener(type: "fetch", listener: (event: { request: Request; respondWith(answer: Response): void }) => void): void;
}

const worker = self as unknown as ServiceWorker;
const offers = new Map<string, { offer: Offer; port: MessagePort }>();

worker.addEventListener("install", () => void worker.skipWaiting());
worker.addEventListener("activate", (event) => event.waitUntil(worker.clients.claim()));

worker.addEventListener("message", ({ data, ports: [port] }) => {
  // Without a port it is a page that needs this worker to stay.
  if (!port || offers.size >= 16) return;
  offers.set(data.id, { offer: data, port });
  port.postMessage("ready");
});

worker.addEventListener("fetch", (event) => {
  const id = /\/download\/([0-9a-f]+)$/.exec(new URL(event.request.url).pathname)?.[1];
  const found = id === undefined ? undefined : offers.get(id);
  if (id === undefined || !found) return;
  offers.delete(id);
  event.respondWith(answer(found.offer, found.port));
});

function answer({ name, size }: Offer, port: MessagePort): Response {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      port.onmessage = ({ data }: MessageEvent<Uint8Array | "end" | "abort">) => {
        if (data === "end") controller.close();
        else if (data === "abort") controller.error(new Error("stopped"));
        else controller.enqueue(data);
      };
    },
    pull: () => port.postMessage("more"),
    cancel: () => port.postMessage("gone"),
  });
  const headers: Record<string, string> = {
    "Content-Type": "application/octet-stream",
    "Content-Disposition": `attachment; filename*=UTF-8''${encodeURIComponent(name).replace(/['()*]/g, (it) => `%${it.charCodeAt(0).toString(16)}`)}`,
    "X-Content-Type-Options": "nosniff",
  };
  if (size !== null) headers["Content-Length"] = String(size);
  return new Response(body, { headers });
}
