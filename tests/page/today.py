"""Today's clients, as PROTOCOL.md has them: on Python's websockets with its defaults.

    today.py send URL PASSPHRASE FILE               shares a distillation, to one receiver
    today.py sessions URL PASSPHRASE FILE...        shares sessions, until one is taken
    today.py receive URL PASSPHRASE CODE            writes what it receives to standard output

What happens is told on standard error: the code of the room first ("room a7f3k2"), and the end at last.
"""

import asyncio
import hashlib
import hmac
import json
import os
import sys

import websockets
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAX_SIZE = 50 * 2**20


def derive(passphrase, salt):
    return hashlib.pbkdf2_hmac("sha256", passphrase.encode(), salt, 600_000)


def tell(text):
    print(text, file=sys.stderr, flush=True)


async def hear(ws, *kinds):
    message = json.loads(await ws.recv())
    if message["type"] not in kinds:
        sys.exit(f"heard {message}")
    return message


async def say(ws, kind, **fields):
    await ws.send(json.dumps({"type": kind, **fields}))


async def prove(ws, passphrase):
    """Opens a room, and has somebody prove to know the passphrase: its salt and its key."""
    await say(ws, "CREATE_ROOM")
    tell("room " + (await hear(ws, "ROOM_CREATED"))["room_id"])
    salt = os.urandom(32)
    key = derive(passphrase, salt)
    while True:
        await hear(ws, "PEER_JOINED")
        await hear(ws, "HELLO")
        nonce = os.urandom(16)
        await say(ws, "CHALLENGE", salt=salt.hex(), nonce=nonce.hex())
        proof = (await hear(ws, "AUTH"))["proof"]
        if hmac.compare_digest(proof, hmac.new(key, nonce, "sha256").hexdigest()):
            return salt, key
        await say(ws, "DENIED", reason="invalid_proof")
        tell("denied")
        await hear(ws, "PEER_DISCONNECTED")


def payload(salt, key, content):
    nonce = os.urandom(12)
    sealed = AESGCM(key).encrypt(nonce, content, None)
    return dict(salt=salt.hex(), nonce=nonce.hex(), ciphertext=sealed.hex())


def read(path):
    with open(path, "rb") as file:
        return file.read()


async def send(url, passphrase, path):
    async with websockets.connect(url, max_size=MAX_SIZE) as ws:
        salt, key = await prove(ws, passphrase)
        await say(ws, "PAYLOAD", **payload(salt, key, read(path)))
        await hear(ws, "ACK")
        tell("done")


async def sessions(url, passphrase, *paths):
    known = {os.path.basename(path): path for path in paths}
    listed = [
        dict(sessionId=name, summary=f"<b>Summary</b> of {name}", firstPrompt="How do I …", messageCount=7,
             created="2026-01-02T03:04:05.000Z", modified="2026-01-03T03:04:05.000Z", gitBranch="main",
             projectPath="/home/alice/project", isSidechain=False)
        for name in known
    ]
    async with websockets.connect(url, max_size=MAX_SIZE) as ws:
        salt, key = await prove(ws, passphrase)
        while True:
            message = await hear(ws, "LIST_SESSIONS", "SELECT_SESSION", "ACK", "DONE")
            if message["type"] == "LIST_SESSIONS":
                await say(ws, "SESSION_LIST", sessions=listed)
            elif message["type"] == "SELECT_SESSION":
                name = message["sessionId"]
                if name not in known:
                    await say(ws, "ERROR", reason="session_not_found")
                    continue
                await say(ws, "PAYLOAD", sessionId=name, **payload(salt, key, read(known[name])))
                tell(f"sent {name}")
            elif message["type"] == "DONE":
                tell("done")
                return


async def receive(url, passphrase, code):
    async with websockets.connect(url, max_size=MAX_SIZE) as ws:
        await say(ws, "JOIN_ROOM", room_id=code)
        await hear(ws, "ROOM_JOINED")
        await say(ws, "HELLO", version=1)
        challenge = await hear(ws, "CHALLENGE")
        key = derive(passphrase, bytes.fromhex(challenge["salt"]))
        proof = hmac.new(key, bytes.fromhex(challenge["nonce"]), "sha256").hexdigest()
        await say(ws, "AUTH", proof=proof)
        message = await hear(ws, "PAYLOAD", "DENIED")
        if message["type"] == "DENIED":
            sys.exit(message["reason"])
        key = derive(passphrase, bytes.fromhex(message["salt"]))
        nonce, sealed = (bytes.fromhex(message[name]) for name in ("nonce", "ciphertext"))
        sys.stdout.buffer.write(AESGCM(key).decrypt(nonce, sealed, None))
        await say(ws, "ACK")


asyncio.run({"send": send, "sessions": sessions, "receive": receive}[sys.argv[1]](*sys.argv[2:]))
