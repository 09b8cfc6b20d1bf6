"""Attacks a deployed relay through its nginx in every way that is known, for some seconds, from addresses
that are not this machine's own; an honest pair and new users go on meanwhile, as clients of a tunnel.
Prints how they fared, and ends with status 1 if one of them was let down.

    attack.py SECONDS ATTACKERS_ADDRESS...

An address behind a + is one that the tunnel forwards for; +home is any in one IPv6 /56.
"""

import asyncio
import json
import os
import random
import resource
import socket
import sys
import time
from contextlib import asynccontextmanager

import websockets

HOST, PORT = "127.0.0.1", 80
PATIENCE = 10
MASK = b"\x00\x00\x00\x00"
PONG, PING = b"\x8a\x80" + MASK, b"\x89\xfd" + MASK + b"x" * 125
EMPTY_FRAGMENT, EMPTY_MESSAGE = b"\x00\x80" + MASK, b"\x81\x80" + MASK
HEAD = (
    "GET / HTTP/1.1\r\nHost: relay.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)


def text(content):
    content = content.encode()
    assert len(content) < 126
    return bytes([0x81, 0x80 | len(content)]) + MASK + content


CREATE = text('{"type":"CREATE_ROOM"}')


class Attackers:
    """Connections from the attackers' addresses, and what each kind of attack does with one."""

    def __init__(self, addresses):
        self.addresses = addresses
        self.made = 0
        # By task, so that each can be rid of its own.
        self.opened = {}

    async def connect(self, deaf=False):
        connection = socket.socket()
        connection.setblocking(False)
        if deaf:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        address = random.choice(self.addresses)
        if not address.startswith("+"):
            connection.bind((address, 0))
        await asyncio.get_running_loop().sock_connect(connection, (HOST, PORT))
        self.made += 1
        reader, writer = await asyncio.open_connection(sock=connection)
        self.opened[asyncio.current_task()].append(writer)
        if address == "+home":
            address = f"+2001:db8:0:1{random.randrange(256):02x}::1"
        if address.startswith("+"):
            head = HEAD + f"X-Forwarded-For: {address[1:]}\r\n"
        else:
            head = HEAD
        writer.head = head.encode()
        return reader, writer

    async def session(self, deaf=False, behind=b""):
        reader, writer = await self.connect(deaf)
        writer.write(writer.head + b"\r\n" + behind)
        answer = await reader.readuntil(b"\r\n\r\n")
        if b" 101 " not in answer.split(b"\r\n")[0]:
            raise ConnectionError(answer)
        return reader, writer

    async def flood(self, unit):
        _, writer = await self.session(behind=CREATE)
        while True:
            writer.write(unit * 1000)
            await writer.drain()

    async def flood_pongs(self):
        await self.flood(PONG)

    async def flood_fragments(self):
        await self.flood(b"\x01\x80" + MASK + EMPTY_FRAGMENT)

    async def flood_messages(self):
        await self.flood(EMPTY_MESSAGE)

    async def flood_requests(self):
        reader, writer = await self.session()
        while True:
            writer.write(text('{"type":"NONSENSE"}') * 100)
            await writer.drain()
            await reader.read(1 << 16)

    async def say_nothing(self):
        reader, _ = await self.connect()
        await reader.read(1)

    async def ask_nothing(self):
        reader, _ = await self.session()
        while await reader.read(1 << 16):
            pass

    async def drip(self):
        _, writer = await self.connect()
        writer.write(writer.head)
        while True:
            writer.write(b"X-Drip: " + b"x" * 500 + b"\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)

    async def send_rubbish(self):
        reader, writer = await self.connect()
        writer.write(os.urandom(2000) + b"\r\n\r\n")
        await reader.read(1 << 16)

    async def ask_secretly(self):
        reader, writer = await self.connect()
        head = writer.head.replace(b"GET /", b"GET /?secret=1").replace(b"on: 13", b"on: 12")
        writer.write(head + b"\r\n")
        await reader.read(1 << 16)

    async def hoard(self):
        reader, _ = await self.session(behind=CREATE)
        while await reader.read(1 << 16):
            pass

    async def guess_and_leave(self):
        codes = (f"{random.randrange(36**6):06x}"[:6] for _ in range(10))
        joins = b"".join(text(json.dumps({"type": "JOIN_ROOM", "room_id": code})) for code in codes)
        _, writer = await self.session(behind=joins)
        writer.close()

    async def guess_and_wait(self):
        code = f"{random.randrange(10**6):06}"
        reader, _ = await self.session(
            behind=text(json.dumps({"type": "JOIN_ROOM", "room_id": code}))
        )
        while await reader.read(1 << 16):
            pass

    async def ping_and_read_nothing(self):
        _, writer = await self.session(deaf=True)
        for _ in range(900):
            writer.write(PING)
        await writer.drain()
        await asyncio.sleep(PATIENCE)

    async def hold_half_a_message(self):
        sender, _ = await self.session(behind=CREATE)
        code = json.loads((await sender.readuntil(b"}"))[2:])["room_id"]
        join = text(json.dumps({"type": "JOIN_ROOM", "room_id": code}))
        receiver, writer = await self.session(behind=join)
        await receiver.readuntil(b"}")
        writer.write(b"\x02\xff" + (10 << 20).to_bytes(8, "big") + MASK + bytes(9 << 20))
        await writer.drain()
        await asyncio.sleep(PATIENCE)

    async def go_on(self, attack):
        """The same over and over; whatever becomes of one try, the next follows."""
        opened = self.opened[asyncio.current_task()] = []
        while True:
            try:
                async with asyncio.timeout(PATIENCE):
                    await attack()
            except (OSError, EOFError, ValueError, KeyError, asyncio.LimitOverrunError, TimeoutError):
                pass
            while opened:
                writer = opened.pop()
                writer.transport.abort() if random.random() < 0.5 else writer.close()
            await asyncio.sleep(0.02)


class Users:
    """Clients of the tunnel, each with an address of its own."""

    def __init__(self):
        self.came = 0
        self.shares = 0
        self.slowest = 0.0
        self.let_down = []

    def connect(self):
        self.came += 1
        address = f"198.51.{self.came // 250}.{self.came % 250 + 1}"
        return websockets.connect(
            f"ws://relay.example.com:{PORT}/", extra_headers={"X-Forwarded-For": address}
        )

    async def share(self, sender, receiver):
        content = os.urandom(64 << 10)
        for origin, target in (sender, receiver), (receiver, sender):
            await origin.send(content)
            assert await target.recv() == content
        self.shares += 1

    @asynccontextmanager
    async def pair(self):
        """A sender and its receiver, each of whom asks as soon as it is connected."""

        async def said(client, kind):
            message = json.loads(await client.recv())
            assert message["type"] == kind, message
            return message

        async with self.connect() as sender:
            await sender.send(json.dumps({"type": "CREATE_ROOM"}))
            code = (await said(sender, "ROOM_CREATED"))["room_id"]
            async with self.connect() as receiver:
                await receiver.send(json.dumps({"type": "JOIN_ROOM", "room_id": code}))
                await said(receiver, "ROOM_JOINED")
                await said(sender, "PEER_JOINED")
                yield sender, receiver

    async def in_time(self, what, does):
        began = time.monotonic()
        try:
            # The pause is as long as nearly half of it.
            async with asyncio.timeout(2 * PATIENCE):
                await does()
        except Exception as error:
            self.let_down.append(f"{what}: {error!r}")
        self.slowest = max(self.slowest, time.monotonic() - began)

    async def come_and_go(self):
        async def once():
            async with self.pair() as pair:
                await self.share(*pair)

        while True:
            await self.in_time("new users", once)
            await asyncio.sleep(0.2)

    async def stay(self):
        async with self.pair() as pair:
            while True:
                await self.in_time("a pair", lambda: self.share(*pair))
                await asyncio.sleep(0.2)


async def attack(seconds, addresses):
    attackers = Attackers(addresses)
    kinds = {
        attackers.flood_pongs: 5,
        attackers.flood_fragments: 5,
        attackers.flood_messages: 5,
        attackers.flood_requests: 5,
        attackers.say_nothing: 100,
        attackers.ask_nothing: 20,
        attackers.drip: 20,
        attackers.send_rubbish: 5,
        attackers.ask_secretly: 5,
        attackers.hoard: 40,
        attackers.guess_and_leave: 10,
        attackers.guess_and_wait: 10,
        attackers.ping_and_read_nothing: 20,
        attackers.hold_half_a_message: 10,
    }
    # Once the first users are there.
    await asyncio.sleep(1)
    attacks = [attackers.go_on(kind) for kind, count in kinds.items() for _ in range(count)]
    await asyncio.wait([asyncio.create_task(attack) for attack in attacks], timeout=seconds)
    print(f"{attackers.made} connections of attackers", flush=True)


async def use(seconds):
    users = Users()
    tasks = [asyncio.create_task(users.stay()), asyncio.create_task(users.come_and_go())]
    await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        if task.done():
            # Nobody goes of their own accord.
            users.let_down.append(repr(task.exception()))
    print(f"{users.shares} shares of honest users, the slowest in {users.slowest:.1f} s")
    for what in users.let_down[:20]:
        print("let down:", what)
    sys.stdout.flush()
    return 1 if users.let_down or users.shares < seconds else 0


def main(seconds, addresses):
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    # In a process of their own, so that users wait for the relay, and not for this program.
    attackers = os.fork()
    if attackers == 0:
        asyncio.new_event_loop().run_until_complete(attack(seconds, addresses))
        # What is open goes with the process, as it would with a real attacker's.
        os._exit(0)
    status = asyncio.new_event_loop().run_until_complete(use(seconds + 1))
    _, ended = os.waitpid(attackers, 0)
    os._exit(status or os.waitstatus_to_exitcode(ended))


main(int(sys.argv[1]), sys.argv[2:])
