// The rounds that a program on Node.js or Bun is told of by lines, as README.md beside this has them.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { receive, send } from "./round.mjs";

// `connect` makes a WebSocket to a URL, which offers to compress or does not.
export async function serve(connect) {
  for await (const line of createInterface({ input: process.stdin })) {
    const [role, url, mode, file, code] = line.split(" ");
    const socket = connect(url, mode === "deflate");
    const text = readFileSync(file, "utf8");
    const { heard, extensions } = await (role === "send"
      ? send(socket, text, (code) => console.log(`room ${code}`))
      : receive(socket, code, text));
    const hash = createHash("sha256").update(heard).digest("hex");
    console.log(`heard ${hash} ${extensions.split(";")[0] || "none"}`);
  }
}
