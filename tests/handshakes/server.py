"""A server on the `websockets` library. Prints its version and port, and ends with its input."""

import asyncio
import logging
import sys

import websockets

logging.disable(logging.CRITICAL)


async def main():
    async def listen(ws):
        async for _ in ws:
            pass

    async with websockets.serve(listen, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        print(websockets.__version__, port, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main())
