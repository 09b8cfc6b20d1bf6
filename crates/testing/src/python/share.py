"""One side of a share, as today's clients do it: Python's `websockets` with its defaults.

    share.py send URL BYTES SECONDS COMPRESSION
    share.py receive URL CODE SECONDS COMPRESSION

The message is JSON with so many random bytes in hex. The sender prints the room's code first. Each side
prints at its end a line of JSON: `end` is `done`, or what went wrong, and `seconds` is the time since the
message began to be sent, or since it was asked for. After SECONDS a side gives up: `end` is `under way`.
COMPRESSION is `deflate`, as it is by default, or `none`.
"""

import asyncio
import hashlib
import json
import os
import sys
import time

import websockets


class Share:
    def __init__(self, ws):
        self.ws = ws
        self.began = None
        self.bytes = 0

    async def say(self, kind, **fields):
        await self.ws.send(json.dumps({"type": kind, **fields}))

    async def hear(self, kind):
        message = json.loads(await self.ws.recv())
        if message["type"] != kind:
            raise ValueError(f"{message['type']} instead of {kind}")
        return message

    async def send(self, size):
        await self.say("CREATE_ROOM")
        print((await self.hear("ROOM_CREATED"))["room_id"], flush=True)
        message = json.dumps({"type": "PAYLOAD", "ciphertext": os.urandom(size).hex()})
        await self.hear("PEER_JOINED")
        await self.hear("HELLO")
        self.bytes, self.began = len(message), time.monotonic()
        await self.ws.send(message)
        # It has to be the same to the byte.
        digest = (await self.hear("ACK"))["digest"]
        if digest != hashlib.sha256(message.encode()).hexdigest():
            raise ValueError("other bytes than were sent")

    async def receive(self, code):
        await self.say("JOIN_ROOM", room_id=code)
        await self.hear("ROOM_JOINED")
        self.began = time.monotonic()
        await self.say("HELLO", version=1)
        message = await self.ws.recv()
        self.bytes = len(message)
        await self.say("ACK", digest=hashlib.sha256(message.encode()).hexdigest())


async def share(role, url, what, patience, compression):
    limits = {"max_size": 50 * 2**20, "open_timeout": 60}
    compression = None if compression == "none" else compression
    async with websockets.connect(url, compression=compression, **limits) as ws:
        share = Share(ws)
        step = share.send(int(what)) if role == "send" else share.receive(what)
        try:
            await asyncio.wait_for(step, patience)
            end = "done"
        except asyncio.TimeoutError:
            end = "under way"
        except (ValueError, websockets.ConnectionClosed) as error:
            end = str(error) or type(error).__name__
        took = time.monotonic() - share.began if share.began else 0
        extensions = getattr(ws, "protocol", ws).extensions
        compressed = any(it.name == "permessage-deflate" for it in extensions)
        told = {"end": end, "seconds": took, "bytes": share.bytes, "compressed": compressed}
        print(json.dumps(told), flush=True)
        if end != "done":
            # Not even a close waits for such a line.
            os._exit(0)


role, url, what, patience, compression = sys.argv[1:]
asyncio.run(share(role, url, what, float(patience), compression))
