// A sender's and a receiver's round through the relay, on a `WebSocket` as browsers have it. Each
// resolves once its connection is closed, with what the other side said and the extensions agreed on.

// Opens a room, whose code `opened` is told, and shares `payload` with the receiver that joins it.
export async function send(socket, payload, opened) {
  const next = await open(socket);
  socket.send(JSON.stringify({ type: "CREATE_ROOM" }));
  opened((await event(next, "ROOM_CREATED")).room_id);
  await event(next, "PEER_JOINED");
  socket.send(payload);
  const heard = await next();
  await event(next, "PEER_DISCONNECTED");
  return finish(socket, next, heard);
}

// Joins a room, and answers what its sender shares.
export async function receive(socket, code, answer) {
  const next = await open(socket);
  socket.send(JSON.stringify({ type: "JOIN_ROOM", room_id: code }));
  await event(next, "ROOM_JOINED");
  const heard = await next();
  socket.send(answer);
  return finish(socket, next, heard);
}

// Waits for the connection. Returns what waits for its next message, or for its close.
async function open(socket) {
  const arrived = [];
  let wake;
  const arrive = (message) => {
    arrived.push(message);
    wake?.();
  };
  socket.addEventListener("message", ({ data }) => arrive(data));
  socket.addEventListener("close", ({ code, reason }) => arrive({ code, reason }));
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve);
    socket.addEventListener("error", reject);
  });
  return async (wanted = "string") => {
    while (arrived.length === 0) await new Promise((resolve) => (wake = resolve));
    const message = arrived.shift();
    if (typeof message !== wanted) throw new Error(`no ${wanted}: ${JSON.stringify(message)}`);
    return message;
  };
}

async function event(next, type) {
  const message = JSON.parse(await next());
  if (message.type !== type) throw new Error(`${message.type} instead of ${type}`);
  return message;
}

async function finish(socket, next, heard) {
  const { extensions } = socket;
  socket.close(1000);
  const { code } = await next("object");
  if (code !== 1000) throw new Error(`closed with ${code}`);
  return { heard, extensions };
}
