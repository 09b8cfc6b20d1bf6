"""Shares a random file through a relay, as the clients of today do, and checks what arrives.

    share.py URL BYTES

A sender and three receivers at once, of which one has mistaken the passphrase. Prints what became
of each receiver, the mistaken one last.
"""

import asyncio
import functools
import hashlib
import hmac
import json
import os
import sys

import websockets
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PASSPHRASE = "correct horse battery staple"


def connect(url):
    return websockets.connect(url, max_size=None)


async def derive(passphrase, salt):
    """The key, derived beside the event loop: a client answers pings meanwhile."""
    work = functools.partial(
        hashlib.pbkdf2_hmac, "sha256", passphrase.encode(), salt, 600_000, 32
    )
    return await asyncio.get_running_loop().run_in_executor(None, work)


def prove(key, nonce):
    return hmac.new(key, nonce, hashlib.sha256).hexdigest()


async def send(ws, **message):
    await ws.send(json.dumps(message))


async def expect(ws, kind):
    message = json.loads(await ws.recv())
    assert message["type"] == kind, f"{message['type']} instead of {kind}"
    return message


async def serve(ws, plaintext, joined):
    """Serves one receiver, from its PEER_JOINED to its PEER_DISCONNECTED."""
    hello = await expect(ws, "HELLO")
    assert hello["version"] == 1
    salt, nonce = os.urandom(32), os.urandom(16)
    await send(ws, type="CHALLENGE", salt=salt.hex(), nonce=nonce.hex())
    proof = (await expect(ws, "AUTH"))["proof"]
    key = await derive(PASSPHRASE, salt)
    if hmac.compare_digest(proof, prove(key, nonce)):
        salt, nonce = os.urandom(32), os.urandom(12)
        key = await derive(PASSPHRASE, salt)
        ciphertext = AESGCM(key).encrypt(nonce, plaintext, None)
        await send(
            ws,
            type="PAYLOAD",
            salt=salt.hex(),
            nonce=nonce.hex(),
            ciphertext=ciphertext.hex(),
        )
        await expect(ws, "ACK")
    else:
        await send(ws, type="DENIED", reason="invalid_proof")
    left = await expect(ws, "PEER_DISCONNECTED")
    assert left["peer_id"] == joined["peer_id"]


async def share(url, plaintext, receivers, code):
    """Opens a room, and serves so many receivers one after another."""
    async with connect(url) as ws:
        await send(ws, type="CREATE_ROOM")
        code.set_result((await expect(ws, "ROOM_CREATED"))["room_id"])
        for _ in range(receivers):
            await serve(ws, plaintext, await expect(ws, "PEER_JOINED"))


async def receive(url, code, passphrase):
    """The plaintext, or None for a passphrase that is not the sender's."""
    async with connect(url) as ws:
        await send(ws, type="JOIN_ROOM", room_id=code)
        assert (await expect(ws, "ROOM_JOINED"))["room_id"] == code
        await send(ws, type="HELLO", version=1)
        challenge = await expect(ws, "CHALLENGE")
        key = await derive(passphrase, bytes.fromhex(challenge["salt"]))
        await send(ws, type="AUTH", proof=prove(key, bytes.fromhex(challenge["nonce"])))
        answer = json.loads(await ws.recv())
        if answer["type"] == "DENIED":
            assert answer["reason"] == "invalid_proof"
            return None
        assert answer["type"] == "PAYLOAD", answer["type"]
        key = await derive(passphrase, bytes.fromhex(answer["salt"]))
        nonce, ciphertext = (bytes.fromhex(answer[name]) for name in ("nonce", "ciphertext"))
        plaintext = AESGCM(key).decrypt(nonce, ciphertext, None)
        await send(ws, type="ACK")
        return plaintext


async def main(url, size):
    plaintext = os.urandom(size)
    code = asyncio.get_running_loop().create_future()
    passphrases = [PASSPHRASE, PASSPHRASE, "a mistake"]
    sharing = asyncio.create_task(share(url, plaintext, len(passphrases), code))
    await asyncio.wait({sharing, code}, return_when=asyncio.FIRST_COMPLETED)
    if sharing.done():
        await sharing  # It has failed before there was a room.
    receiving = (receive(url, code.result(), passphrase) for passphrase in passphrases)
    *received, mistaken = await asyncio.gather(*receiving)
    await sharing
    assert all(copy == plaintext for copy in received), "other bytes than were shared"
    assert mistaken is None, "a mistaken passphrase was let in"
    print("received " * len(received) + "denied")


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
