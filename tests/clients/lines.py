"""The rounds that a program in Python is told of by lines, as README.md beside this has them."""

import hashlib
import json
import sys


async def serve(connect):
    """`connect` is a context manager of a connection that offers to compress, or does not.

    It has `send` and `recv` for texts, and `extension`, the name of the one agreed on.
    """
    for line in sys.stdin:
        role, url, mode, file, *code = line.split()
        with open(file, encoding="utf-8", newline="") as payload:
            text = payload.read()
        async with connect(url, mode == "deflate") as ws:
            heard = await (send(ws, text) if role == "send" else receive(ws, text, *code))
            extension = ws.extension
        assert isinstance(heard, str), f"{type(heard)} in place of a text"
        print("heard", hashlib.sha256(heard.encode()).hexdigest(), extension or "none", flush=True)


async def send(ws, payload):
    """Opens a room, and shares the payload with the receiver that joins it."""
    await ws.send(json.dumps({"type": "CREATE_ROOM"}))
    print("room", (await event(ws, "ROOM_CREATED"))["room_id"], flush=True)
    await event(ws, "PEER_JOINED")
    await ws.send(payload)
    heard = await ws.recv()
    await event(ws, "PEER_DISCONNECTED")
    return heard


async def receive(ws, answer, code):
    """Joins a room, and answers what its sender shares."""
    await ws.send(json.dumps({"type": "JOIN_ROOM", "room_id": code}))
    await event(ws, "ROOM_JOINED")
    heard = await ws.recv()
    await ws.send(answer)
    return heard


async def event(ws, kind):
    message = json.loads(await ws.recv())
    assert message["type"] == kind, f"{message['type']} instead of {kind}"
    return message
