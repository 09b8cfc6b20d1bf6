"""Prints vectors.json: both versions of a transfer, by other libraries than ours.

Needs `cryptography` and `zstandard`. Run it again only where PROTOCOL.md changes:

    python3 crates/client/tests/vectors.py > crates/client/tests/vectors.json
"""

import hashlib
import hmac
import json

import zstandard
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PASSPHRASE = "correct-horse-battery-staple-구름"
TRANSFER = bytes(range(160, 176))


def stretch(salt):
    return hashlib.pbkdf2_hmac("sha256", PASSPHRASE.encode(), salt, 600_000, 32)


def sign(key, message):
    return hmac.new(key, message, hashlib.sha256).digest()


def count(first, length):
    return bytes((first + i) % 256 for i in range(length))


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def version_1():
    salt, nonce = count(0, 32), count(100, 16)
    payload_salt, payload_nonce = count(32, 32), count(200, 12)
    content = "A distillation, in UTF-8: 증류"
    ciphertext = AESGCM(stretch(payload_salt)).encrypt(payload_nonce, content.encode(), None)
    return {
        "passphrase": PASSPHRASE,
        "salt": salt.hex(),
        "nonce": nonce.hex(),
        "proof": sign(stretch(salt), nonce).hex(),
        "payload_salt": payload_salt.hex(),
        "payload_nonce": payload_nonce.hex(),
        "content": content,
        "ciphertext": ciphertext.hex(),
    }


def key_pair(seed):
    private = ec.derive_private_key(int.from_bytes(hashlib.sha256(seed).digest(), "big"), ec.SECP256R1())
    return private, private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def note(kind, fields):
    return bytes([kind]), (fields if isinstance(fields, str) else compact(fields)).encode()


def data(entry, offset, flags, body):
    return b"\4" + entry.to_bytes(8, "big") + offset.to_bytes(8, "big") + bytes([flags]), body


def messages(key, said):
    """Each (clear part, body), sealed one behind the other; the manifest is of no transfer yet."""
    sealed = []
    for number, (clear, body) in enumerate(said):
        transfer = bytes(16) if clear[0] == 1 else TRANSFER
        bound = clear[:1] + transfer + clear[1:]
        message = clear + AESGCM(key).encrypt(number.to_bytes(12, "big"), body, bound)
        sealed.append({"body": body.hex() if clear[0] == 4 else body.decode(), "message": message.hex()})
    return sealed


def version_2():
    room, salt, nonce = "a7f3k2", count(64, 32), count(7, 16)
    receiver, receiver_key = key_pair(b"receiver")
    sender, sender_key = key_pair(b"sender")
    shared = receiver.exchange(ec.ECDH(), sender.public_key())
    pass_key = stretch(salt)
    said = b"distill 2" + room.encode() + b"\0" + receiver_key + sender_key + salt + nonce
    transcript = hashlib.sha256(said).digest()
    root = sign(transcript, shared + pass_key)  # HKDF-Extract, RFC 5869 §2.2

    def expand(info):
        return HKDFExpand(hashes.SHA256(), 32, info).derive(root)

    header = compact({
        "entry": 0, "path": ["notes.txt"], "kind": "file", "size": 65536, "modified": 1767225600000,
        "executable": False, "stamp": "0011223344556677",
    })
    digest = hashlib.sha256(bytes(32) + header.encode()).digest()
    content = [("It was a line like any other. " * 1100)[:32768], ("And so was this one, nearly. " * 1200)[:32768]]
    stream = zstandard.ZstdCompressor(level=1).compressobj()
    flush = zstandard.COMPRESSOBJ_FLUSH_BLOCK
    packed = [stream.compress(text.encode()) + stream.flush(flush) for text in content]
    return {
        "passphrase": PASSPHRASE,
        "room": room,
        "salt": salt.hex(),
        "nonce": nonce.hex(),
        "receiver_private": f"{receiver.private_numbers().private_value:064x}",
        "receiver_key": receiver_key.hex(),
        "sender_private": f"{sender.private_numbers().private_value:064x}",
        "sender_key": sender_key.hex(),
        "shared": shared.hex(),
        "pass_key": pass_key.hex(),
        "transcript": transcript.hex(),
        "proof": sign(expand(b"receiver proof"), transcript).hex(),
        "to_receiver": expand(b"to receiver").hex(),
        "to_sender": expand(b"to sender").hex(),
        "transfer": TRANSFER.hex(),
        "header": header,
        "digest": digest.hex(),
        "content": [hashlib.sha256(text.encode()).hexdigest() for text in content],
        "from_sender": messages(expand(b"to receiver"), [
            note(1, {"transfer": TRANSFER.hex(), "kind": "file", "name": "notes.txt", "size": 65536, "files": 1}),
            note(3, header),
            data(0, 0, 1, packed[0]),
            data(0, 32768, 1, packed[1]),
            note(6, {"entries": 1, "bytes": 65536, "digest": digest.hex()}),
            note(8, {"reason": "source_changed"}),
        ]),
        "from_receiver": messages(expand(b"to sender"), [
            note(2, {"entries": 0, "offset": 0, "digest": bytes(32).hex(), "packing": ["zstd"]}),
            note(5, {"records": 2, "bytes": 32768}),
            note(7, {}),
        ]),
    }


print(json.dumps({"version_1": version_1(), "version_2": version_2()}, indent=2, ensure_ascii=False))
