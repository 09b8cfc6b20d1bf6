// The relay's job, written plainly with npm's `ws`. For comparison; no limits.

import { randomInt, randomUUID } from "node:crypto";
import { WebSocketServer } from "ws";

const ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789";
const rooms = new Map();

const newCode = () => Array.from({ length: 6 }, () => ALPHABET[randomInt(36)]).join("");
const say = (socket, type, fields) => socket.send(JSON.stringify({ type, ...fields }));

function create(socket) {
  const code = newCode();
  const room = { sender: socket, receiver: null };
  rooms.set(code, room);
  say(socket, "ROOM_CREATED", { room_id: code, expires_in: 1800 });
  socket.on("message", (data, binary) => room.receiver?.send(data, { binary }));
  socket.on("close", () => {
    rooms.delete(code);
    room.receiver?.close(1001, "sender_disconnected");
  });
}

function join(socket, code) {
  const room = rooms.get(code);
  if (!room || room.receiver) {
    say(socket, "ERROR", { reason: "room_not_found", message: "There is no such room." });
    return;
  }
  room.receiver = socket;
  const peer_id = `conn_${randomUUID()}`;
  say(socket, "ROOM_JOINED", { room_id: code });
  say(room.sender, "PEER_JOINED", { peer_id });
  socket.on("message", (data, binary) => room.sender.send(data, { binary }));
  socket.on("close", () => {
    room.receiver = null;
    say(room.sender, "PEER_DISCONNECTED", { peer_id });
  });
}

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(process.argv[2]),
  maxPayload: 10 * 1024 * 1024,
});
server.on("connection", (socket) => {
  socket.on("error", () => socket.terminate());
  socket.once("message", (data) => {
    const request = JSON.parse(data);
    if (request.type === "CREATE_ROOM") create(socket);
    else join(socket, request.room_id);
  });
});
