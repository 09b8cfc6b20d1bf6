"""A client on `websockets`, of version 10 or the current one, with the defaults of today's clients."""

import asyncio
import contextlib

import websockets
from lines import serve


@contextlib.asynccontextmanager
async def connect(url, deflate):
    compression = "deflate" if deflate else None
    async with websockets.connect(url, compression=compression, max_size=50 << 20) as ws:
        extensions = getattr(ws, "protocol", ws).extensions
        ws.extension = "".join(extension.name for extension in extensions)
        yield ws
    assert ws.close_code == 1000, f"closed with {ws.close_code}"


asyncio.run(serve(connect))
