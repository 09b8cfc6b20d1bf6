// The relay's job, written plainly with Bun's server (uWebSockets inside). For comparison; no limits.

import { randomInt, randomUUID } from "node:crypto";
import type { ServerWebSocket } from "bun";

type Socket = ServerWebSocket<Session>;
type Room = { code: string; sender: Socket; receiver: Socket | null };
type Session = { room?: Room; peerId?: string };

const ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789";
const rooms = new Map<string, Room>();

const newCode = () => Array.from({ length: 6 }, () => ALPHABET[randomInt(36)]).join("");
const say = (socket: Socket, type: string, fields: object) =>
  socket.send(JSON.stringify({ type, ...fields }));

function create(socket: Socket) {
  const room = { code: newCode(), sender: socket, receiver: null };
  rooms.set(room.code, room);
  socket.data.room = room;
  say(socket, "ROOM_CREATED", { room_id: room.code, expires_in: 1800 });
}

function join(socket: Socket, code: string) {
  const room = rooms.get(code);
  if (!room || room.receiver) {
    say(socket, "ERROR", { reason: "room_not_found", message: "There is no such room." });
    return;
  }
  room.receiver = socket;
  socket.data = { room, peerId: `conn_${randomUUID()}` };
  say(socket, "ROOM_JOINED", { room_id: code });
  say(room.sender, "PEER_JOINED", { peer_id: socket.data.peerId });
}

Bun.serve<Session>({
  hostname: "127.0.0.1",
  port: Number(process.argv[2]),
  fetch: (request, server) =>
    server.upgrade(request, { data: {} }) ? undefined : new Response(null, { status: 400 }),
  websocket: {
    maxPayloadLength: 10 * 1024 * 1024,
    backpressureLimit: 1024 * 1024 * 1024, // beyond it messages would be dropped, and none may be
    message(socket, message) {
      const { room } = socket.data;
      if (room) {
        (room.sender === socket ? room.receiver : room.sender)?.send(message);
        return;
      }
      const request = JSON.parse(message.toString());
      if (request.type === "CREATE_ROOM") create(socket);
      else join(socket, request.room_id);
    },
    close(socket) {
      const { room, peerId } = socket.data;
      if (!room) return;
      if (room.sender === socket) {
        rooms.delete(room.code);
        room.receiver?.close(1001, "sender_disconnected");
      } else {
        room.receiver = null;
        say(room.sender, "PEER_DISCONNECTED", { peer_id: peerId });
      }
    },
  },
});
