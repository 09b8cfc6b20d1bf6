// A client on the WebSocket of Bun's own.

import { serve } from "./lines.mjs";

await serve((url, perMessageDeflate) => new WebSocket(url, { perMessageDeflate }));
