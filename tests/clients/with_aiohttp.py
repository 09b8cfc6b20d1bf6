"""A client on `aiohttp`."""

import asyncio
import contextlib

import aiohttp
from lines import serve


class Connection:
    def __init__(self, ws):
        self.ws = ws
        self.send = ws.send_str
        self.recv = ws.receive_str
        self.extension = "permessage-deflate" if ws.compress else None


@contextlib.asynccontextmanager
async def connect(url, deflate):
    async with aiohttp.ClientSession() as session:
        # It offers nothing unless it is told to.
        window = 15 if deflate else 0
        async with session.ws_connect(url, compress=window, max_msg_size=0) as ws:
            yield Connection(ws)
            await ws.close()
            assert ws.close_code == 1000, f"closed with {ws.close_code}"


asyncio.run(serve(connect))
