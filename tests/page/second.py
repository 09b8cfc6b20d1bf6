"""A second implementation of version 2 of a transfer, which also says what the first would never say.

    second.py send URL PASSPHRASE FILE [TWIST]      offers a file; TWIST is JSON with one or more of
        path: the entry's path       name: the manifest's name       size: that of the entry and the manifest
        kind: that of the manifest
        say: in place of the content "data_first", "end_first", "manifest_again", "delivered", "big_record", "big_note",
             "garbage" or "text"
        digest: that of the end
    second.py receive URL PASSPHRASE CODE           writes content to standard output

What happens is told on standard error: the code of the room first ("room a7f3k2"), and the end at last.
"""

import asyncio
import hashlib
import hmac
import json
import os
import sys

import websockets
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

MANIFEST, START, ENTRY, DATA, CONFIRM, END, DELIVERED, ABORT = range(1, 9)
RECORD = 32 * 1024
WINDOW = 8 * 1024 * 1024


def expand(prk, info):
    return HKDFExpand(hashes.SHA256(), 32, info.encode()).derive(prk)


class Keys:
    """What both sides derive once they have each other's point."""

    def __init__(self, passphrase, salt, code, private, receiver_key, sender_key, nonce):
        mine = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        theirs = sender_key if mine == receiver_key else receiver_key
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), theirs)
        shared = private.exchange(ec.ECDH(), point)
        key = hashlib.pbkdf2_hmac("sha256", passphrase.encode(), salt, 600_000, 32)
        self.transcript = hashlib.sha256(
            b"distill 2" + code.encode() + b"\0" + receiver_key + sender_key + salt + nonce
        ).digest()
        prk = hmac.new(self.transcript, shared + key, "sha256").digest()
        self.proof = hmac.new(expand(prk, "receiver proof"), self.transcript, "sha256").hexdigest()
        self.to_receiver = Way(expand(prk, "to receiver"))
        self.to_sender = Way(expand(prk, "to sender"))


class Way:
    """One direction: its key, its count of messages, and the transfer that is bound into each."""

    def __init__(self, key):
        self.aead, self.count, self.transfer = AESGCM(key), 0, bytes(16)

    def nonce(self):
        self.count += 1
        return (self.count - 1).to_bytes(12, "big")

    def seal(self, kind, body, clear=b""):
        bound = bytes([kind]) + self.transfer + clear
        return bytes([kind]) + clear + self.aead.encrypt(self.nonce(), body, bound)

    def open(self, message):
        kind, clear = message[0], message[1:18] if message[0] == DATA else b""
        bound = bytes([kind]) + self.transfer + clear
        return kind, clear, self.aead.decrypt(self.nonce(), message[1 + len(clear):], bound)


def point(private):
    return private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def tell(text):
    print(text, file=sys.stderr, flush=True)


async def hear(ws, kind):
    message = json.loads(await ws.recv())
    if message["type"] != kind:
        sys.exit(f"heard {message}")
    return message


async def say(ws, kind, **fields):
    await ws.send(json.dumps({"type": kind, **fields}))


async def agree(ws, passphrase):
    """Opens a room, and agrees on keys with who joins it."""
    await say(ws, "CREATE_ROOM")
    code = (await hear(ws, "ROOM_CREATED"))["room_id"]
    tell("room " + code)
    await hear(ws, "PEER_JOINED")
    hello = await hear(ws, "HELLO")
    if 2 not in hello["versions"]:
        sys.exit(f"heard {hello}")
    private, salt, nonce = ec.generate_private_key(ec.SECP256R1()), os.urandom(32), os.urandom(16)
    await say(ws, "CHALLENGE", version=2, salt=salt.hex(), nonce=nonce.hex(), key=point(private).hex())
    keys = Keys(passphrase, salt, code, private, bytes.fromhex(hello["key"]), point(private), nonce)
    if not hmac.compare_digest((await hear(ws, "AUTH"))["proof"], keys.proof):
        await say(ws, "DENIED", reason="invalid_proof")
        sys.exit("a wrong passphrase")
    return keys.to_receiver, keys.to_sender


def data(offset):
    """What stands in clear in front of a record."""
    return (0).to_bytes(8, "big") + offset.to_bytes(8, "big") + b"\0"


async def send(url, passphrase, file, twist="{}"):
    twist = json.loads(twist)
    size = twist.get("size", os.path.getsize(file))
    name = twist.get("name", os.path.basename(file))
    async with websockets.connect(url, compression=None) as ws:
        out, back = await agree(ws, passphrase)
        transfer = os.urandom(16)
        manifest = dict(transfer=transfer.hex(), kind=twist.get("kind", "file"), name=name, size=size, files=1)
        await ws.send(out.seal(MANIFEST, json.dumps(manifest).encode()))
        out.transfer = back.transfer = transfer

        async def heard():
            message = await ws.recv()
            if isinstance(message, str):
                sys.exit(f"heard {message}")
            kind, _, body = back.open(message)
            return kind, json.loads(body)

        kind, start = await heard()
        if kind != START:
            sys.exit(f"heard {kind} {start}")
        path = twist.get("path", [name])
        entry = dict(entry=0, path=path, kind="file", size=size, modified=None, executable=False, stamp="00" * 8)
        header = json.dumps(entry).encode()
        digest = hashlib.sha256(bytes(32) + header).hexdigest()
        offset, records, confirmed = start["offset"], 0, 0
        wrong = twist.get("say")
        if wrong == "data_first":
            await ws.send(out.seal(DATA, b"content", data(0)))
        elif wrong == "big_note":
            await ws.send(out.seal(ENTRY, b'{"entry":0,"path":["' + b"a" * 17_000 + b'"]}'))
        elif wrong == "end_first":
            await ws.send(out.seal(END, json.dumps(dict(entries=0, bytes=0, digest="00" * 32)).encode()))
        elif wrong == "manifest_again":
            await ws.send(out.seal(MANIFEST, json.dumps(manifest).encode()))
        elif wrong == "delivered":
            await ws.send(out.seal(DELIVERED, b"{}"))
        elif wrong == "garbage":
            await ws.send(os.urandom(100))
        elif wrong == "text":
            await say(ws, "<img src=x onerror=alert(1)>")
        elif not start["entries"]:
            await ws.send(out.seal(ENTRY, header))
            records = 1
        if wrong == "big_record":
            await ws.send(out.seal(DATA, bytes(RECORD + 1), data(0)))
        with open(file, "rb") as content:
            content.seek(offset)
            while not wrong and (record := content.read(RECORD)):
                while (records - confirmed) * RECORD >= WINDOW:
                    kind, said = await heard()
                    if kind == ABORT:
                        sys.exit(f"heard {said}")
                    confirmed = said["records"]
                await ws.send(out.seal(DATA, record, data(offset)))
                offset, records = offset + len(record), records + 1
        if not wrong:
            end = dict(entries=1, bytes=offset, digest=twist.get("digest", digest))
            await ws.send(out.seal(END, json.dumps(end).encode()))
        while kind not in (DELIVERED, ABORT):
            kind, said = await heard()
        tell("delivered" if kind == DELIVERED else f"heard {said}")


async def receive(url, passphrase, code):
    async with websockets.connect(url, compression=None) as ws:
        await say(ws, "JOIN_ROOM", room_id=code)
        code = (await hear(ws, "ROOM_JOINED"))["room_id"]
        private = ec.generate_private_key(ec.SECP256R1())
        await say(ws, "HELLO", version=1, versions=[1, 2], key=point(private).hex())
        challenge = await hear(ws, "CHALLENGE")
        salt, nonce, theirs = (bytes.fromhex(challenge[name]) for name in ("salt", "nonce", "key"))
        keys = Keys(passphrase, salt, code, private, point(private), theirs, nonce)
        await say(ws, "AUTH", proof=keys.proof)
        out, back, records, total = keys.to_sender, keys.to_receiver, 0, 0
        digest = bytes(32)
        while True:
            message = await ws.recv()
            if isinstance(message, str):
                sys.exit(f"heard {message}")
            kind, clear, body = back.open(message)
            if kind == MANIFEST:
                manifest = json.loads(body)
                tell(manifest)
                out.transfer = back.transfer = bytes.fromhex(manifest["transfer"])
                start = dict(entries=0, offset=0, digest="00" * 32, packing=[])
                await ws.send(out.seal(START, json.dumps(start).encode()))
            elif kind == ENTRY:
                digest, records = hashlib.sha256(digest + body).digest(), records + 1
                tell(json.loads(body))
            elif kind == DATA:
                sys.stdout.buffer.write(body)
                total, records = total + len(body), records + 1
                # Each one: a sender may wait for it after two.
                said = json.dumps(dict(records=records, bytes=total)).encode()
                await ws.send(out.seal(CONFIRM, said))
            elif kind == END:
                end = json.loads(body)
                if end["bytes"] != total or end["digest"] != digest.hex():
                    sys.exit(f"heard {end} after {total} bytes")
                said = json.dumps(dict(records=records, bytes=total)).encode()
                await ws.send(out.seal(CONFIRM, said))
                await ws.send(out.seal(DELIVERED, b"{}"))
                return
            else:
                sys.exit(f"heard {kind} {body}")


asyncio.run({"send": send, "receive": receive}[sys.argv[1]](*sys.argv[2:]))
