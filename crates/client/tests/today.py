"""Today's clients, by PROTOCOL.md ("What the clients of today say to each other") and nothing else:

    today.py send URL PASSPHRASE FILE              shares a distillation
    today.py receive URL PASSPHRASE CODE           writes a distillation to standard output
    today.py share URL PASSPHRASE FOLDER           shares sessions, until one is taken
    today.py pick URL PASSPHRASE CODE SESSION      prints the list, then writes a session to standard output

A sender prints its code first. What ends badly is printed as `ended: REASON`, with status 1.
"""

import asyncio
import hashlib
import hmac
import json
import os
import pathlib
import sys

import websockets
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MOST = 50 * 2**20


class Ended(Exception):
    pass


def derive(passphrase, salt):
    return hashlib.pbkdf2_hmac("sha256", passphrase.encode(), salt, 600_000, 32)


def prove(key, nonce):
    return hmac.new(key, nonce, "sha256").hexdigest()


async def say(ws, **message):
    await ws.send(json.dumps(message))


async def hear(ws, *types):
    """The next message, which has to be of one of these types."""
    message = json.loads(await ws.recv())
    if message["type"] in ("DENIED", "ERROR") and message["type"] not in types:
        raise Ended(message["reason"])
    if message["type"] not in types:
        raise Ended(f"unexpected {message['type']}")
    return message


class Sender:
    def __init__(self, ws, passphrase):
        self.ws, self.salt = ws, os.urandom(32)
        self.key = derive(passphrase, self.salt)

    async def open(self):
        await say(self.ws, type="CREATE_ROOM")
        room = await hear(self.ws, "ROOM_CREATED")
        print(room["room_id"], flush=True)

    async def receiver(self):
        """Waits for a receiver, and for its proof."""
        while True:
            # While it waits it does not mind what else is said.
            message = json.loads(await self.ws.recv())
            if message["type"] != "PEER_JOINED":
                continue
            if (await hear(self.ws, "HELLO"))["version"] != 1:
                raise Ended("another version")
            nonce = os.urandom(16)
            await say(self.ws, type="CHALLENGE", salt=self.salt.hex(), nonce=nonce.hex())
            proof = (await hear(self.ws, "AUTH"))["proof"]
            if hmac.compare_digest(proof, prove(self.key, nonce)):
                return
            await say(self.ws, type="DENIED", reason="invalid_proof")

    async def payload(self, content, **more):
        nonce = os.urandom(12)
        sealed = AESGCM(self.key).encrypt(nonce, content, None)
        await say(
            self.ws, type="PAYLOAD", salt=self.salt.hex(), nonce=nonce.hex(), ciphertext=sealed.hex(), **more
        )


class Receiver:
    def __init__(self, ws, passphrase):
        self.ws, self.passphrase = ws, passphrase

    async def join(self, code):
        await say(self.ws, type="JOIN_ROOM", room_id=code)
        await hear(self.ws, "ROOM_JOINED")
        await say(self.ws, type="HELLO", version=1)
        challenge = await hear(self.ws, "CHALLENGE")
        key = derive(self.passphrase, bytes.fromhex(challenge["salt"]))
        await say(self.ws, type="AUTH", proof=prove(key, bytes.fromhex(challenge["nonce"])))

    async def payload(self):
        payload = await hear(self.ws, "PAYLOAD")
        key = derive(self.passphrase, bytes.fromhex(payload["salt"]))
        sealed = bytes.fromhex(payload["ciphertext"])
        content = AESGCM(key).decrypt(bytes.fromhex(payload["nonce"]), sealed, None)
        return payload, content


async def send(ws, passphrase, path):
    sender = Sender(ws, passphrase)
    await sender.open()
    await sender.receiver()
    await sender.payload(pathlib.Path(path).read_bytes())
    await hear(ws, "ACK")


async def receive(ws, passphrase, code):
    receiver = Receiver(ws, passphrase)
    await receiver.join(code)
    _, content = await receiver.payload()
    sys.stdout.write(content.decode())
    await say(ws, type="ACK")


def sessions(folder):
    return {path.stem: path for path in pathlib.Path(folder).glob("*.jsonl")}


def described(name, path):
    lines = path.read_text().splitlines()
    return {
        "sessionId": name,
        "summary": None,
        "firstPrompt": lines[0][:100],
        "messageCount": len(lines),
        "created": "2026-01-01T00:00:00Z",
        "modified": "2026-01-02T00:00:00Z",
        "gitBranch": "main",
        "projectPath": str(path.parent),
        "isSidechain": False,
    }


async def share(ws, passphrase, folder):
    sender = Sender(ws, passphrase)
    await sender.open()
    await sender.receiver()
    taken = False
    while True:
        try:
            asked = json.loads(await ws.recv())
        except websockets.ConnectionClosed:
            return
        if asked["type"] == "LIST_SESSIONS":
            listed = [described(*item) for item in sorted(sessions(folder).items())]
            await say(ws, type="SESSION_LIST", sessions=listed)
        elif asked["type"] == "SELECT_SESSION":
            path = sessions(folder).get(asked["sessionId"])
            if path is None:
                await say(ws, type="ERROR", reason="session_not_found")
                continue
            await sender.payload(path.read_bytes(), sessionId=asked["sessionId"])
        elif asked["type"] == "ACK":
            taken = True
        elif asked["type"] == "DONE" or (asked["type"] == "PEER_DISCONNECTED" and taken):
            return
        elif asked["type"] == "PEER_DISCONNECTED":
            await sender.receiver()
        else:
            await say(ws, type="ERROR", reason="unknown_request")


async def pick(ws, passphrase, code, session):
    receiver = Receiver(ws, passphrase)
    await receiver.join(code)
    await say(ws, type="LIST_SESSIONS")
    listed = await hear(ws, "SESSION_LIST")
    print(json.dumps(listed["sessions"]))
    await say(ws, type="SELECT_SESSION", sessionId=session)
    payload, content = await receiver.payload()
    if payload["sessionId"] != session:
        raise Ended("another session")
    sys.stdout.write(content.decode())
    await say(ws, type="ACK")
    await say(ws, type="DONE")


async def main(role, url, *words):
    async with websockets.connect(url, max_size=MOST) as ws:
        await {"send": send, "receive": receive, "share": share, "pick": pick}[role](ws, *words)


try:
    asyncio.run(main(*sys.argv[1:]))
except Ended as why:
    print(f"ended: {why}")
    sys.exit(1)
except websockets.ConnectionClosed as why:
    print(f"ended: {why.rcvd.code if why.rcvd else 1006} {why.rcvd.reason if why.rcvd else ''}")
    sys.exit(1)
