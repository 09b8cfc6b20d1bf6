"""The relay's job, written plainly with Python's `websockets`. For comparison; no limits."""

import asyncio
import contextlib
import json
import secrets
import string
import sys
import uuid

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

ALPHABET = string.ascii_lowercase + string.digits
rooms = {}


class Room:
    def __init__(self, sender):
        self.sender = sender
        self.receiver = None


async def say(socket, kind, **fields):
    await socket.send(json.dumps({"type": kind, **fields}))


async def send_from(socket):
    code = "".join(secrets.choice(ALPHABET) for _ in range(6))
    room = rooms[code] = Room(socket)
    await say(socket, "ROOM_CREATED", room_id=code, expires_in=1800)
    try:
        async for message in socket:
            if room.receiver:
                with contextlib.suppress(ConnectionClosed):
                    await room.receiver.send(message)
    finally:
        del rooms[code]
        if room.receiver:
            await room.receiver.close(1001, "sender_disconnected")


async def receive_from(socket, code):
    room = rooms.get(code)
    if room is None or room.receiver:
        await say(socket, "ERROR", reason="room_not_found", message="There is no such room.")
        return
    room.receiver = socket
    peer_id = f"conn_{uuid.uuid4()}"
    await say(socket, "ROOM_JOINED", room_id=code)
    await say(room.sender, "PEER_JOINED", peer_id=peer_id)
    try:
        async for message in socket:
            await room.sender.send(message)
    finally:
        room.receiver = None
        await say(room.sender, "PEER_DISCONNECTED", peer_id=peer_id)


async def session(socket):
    with contextlib.suppress(ConnectionClosed):
        request = json.loads(await socket.recv())
        if request["type"] == "CREATE_ROOM":
            await send_from(socket)
        else:
            await receive_from(socket, request["room_id"])


async def main():
    async with serve(session, "127.0.0.1", int(sys.argv[1]), max_size=10 * 1024 * 1024) as server:
        await server.serve_forever()


asyncio.run(main())
