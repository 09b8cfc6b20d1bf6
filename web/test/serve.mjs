// Serves web/dist as the relay does, with its headers, and hands WebSockets on to a relay:
//   node test/serve.mjs PORT RELAY_PORT
// SIGUSR2 cuts all lines.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { connect } from "node:net";

const [port, relay] = process.argv.slice(2).map(Number);
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const TYPES = { html: "text/html; charset=utf-8", js: "text/javascript", css: "text/css", svg: "image/svg+xml" };

const server = createServer(async (request, response) => {
  const { pathname } = new URL(request.url, "http://localhost");
  const name = pathname.endsWith("/") ? "index.html" : pathname.split("/").pop();
  if (pathname.endsWith("page/config")) {
    response.end(JSON.stringify({ access_key: false, max_message: 67108864, refused: null }));
    return;
  }
  if (pathname.includes("/download/")) return void response.writeHead(204).end();
  const content = await readFile(new URL(`../dist/${name}`, import.meta.url)).catch(() => null);
  const type = TYPES[name.split(".").pop()] ?? "text/plain";
  response.writeHead(content ? 200 : 404, { "Content-Type": type, "Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache" });
  response.end(content ?? "");
});
const lines = new Set();
process.on("SIGUSR2", () => lines.forEach((socket) => socket.destroy()));
server.on("upgrade", (request, socket, head) => {
  const lead = [`${request.method} ${request.url} HTTP/1.1`];
  for (let at = 0; at < request.rawHeaders.length; at += 2) lead.push(`${request.rawHeaders[at]}: ${request.rawHeaders[at + 1]}`);
  const to = connect(relay, "127.0.0.1", () => {
    to.write(`${lead.join("\r\n")}\r\n\r\n`);
    to.write(head);
    socket.pipe(to).pipe(socket);
  });
  lines.add(socket);
  for (const end of [socket, to]) {
    end.on("error", () => undefined);
    end.on("close", () => (lines.delete(socket), socket.destroy(), to.destroy()));
  }
});
server.listen(port, "127.0.0.1");
