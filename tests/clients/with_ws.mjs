// A client on npm's `ws`, which is looked for in NODE_PATH.

import { createRequire } from "node:module";
import { serve } from "./lines.mjs";

const WebSocket = createRequire(import.meta.url)("ws");

await serve((url, perMessageDeflate) => new WebSocket(url, { perMessageDeflate }));
