"""Shares bytes between two clients of the relay at a URL, or at a URL each, both ways, with the library
that the relay's users have. Prints what it did."""

import asyncio
import json
import os
import sys

import websockets


async def said(client, kind):
    message = json.loads(await client.recv())
    assert message["type"] == kind, message
    return message


async def share(urls, size):
    content = os.urandom(size)
    async with websockets.connect(urls[0]) as sender, websockets.connect(urls[-1]) as receiver:
        await sender.send(json.dumps({"type": "CREATE_ROOM"}))
        code = (await said(sender, "ROOM_CREATED"))["room_id"]
        await receiver.send(json.dumps({"type": "JOIN_ROOM", "room_id": code}))
        await said(receiver, "ROOM_JOINED")
        await said(sender, "PEER_JOINED")
        for origin, target in (sender, receiver), (receiver, sender):
            await origin.send(content)
            assert await target.recv() == content
    print(f"{size} bytes came through, both ways")


asyncio.run(asyncio.wait_for(share(sys.argv[1:], 1_000_000), 30))
