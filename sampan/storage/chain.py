"""The chain of records: each is bound to all before it by a hash, and what was signed binds the chain to a key.

Every node (a gateway with its data folder) has a chain of its own; its records are numbered 1, 2, 3 … without a gap.

    hash of record n = SHA-256(hash of record n-1, 32 bytes ‖ canonical bytes of record n); that before 1 is zeros
    canonical bytes  = MessagePack of ["sampan-record-1", node, n] ‖ MessagePack of the array of the record's 30 fields

MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md) in its shortest form, but for numbers that are
declared as floats: those are always float 64. The fields are those of `Record` in its order. Later versions of Sampan
may add fields; what was written before keeps the form it was written in.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sampan.core import Record
from sampan.errors import ConfigError
from sampan.storage.db import make_folder

FORM = "sampan-record-1"
START = bytes(32)
"""What stands for the hash before the first record."""

KEY_FILE = "audit-key.pem"
NODE_FILE = "node"

_ENCODE = msgspec.msgpack.Encoder().encode
_PLACE = b"\x93" + _ENCODE(FORM)


class Entry(msgspec.Struct, frozen=True):
    """A record in its place; `hash` is 64 hexadecimal digits."""

    node: str
    number: int
    hash: str
    record: Record


class Seal(msgspec.Struct, frozen=True):
    """A node's signed word: at this `time` (Unix seconds) my chain was `number` records long, and its last hash this.

    A node's seals are numbered too (`ordinal`, from 1), so that none of them can be taken away unseen but the last.
    """

    node: str
    ordinal: int
    number: int
    hash: str
    time: float
    key: str
    signature: str = ""

    def message(self) -> bytes:
        """What is signed: MessagePack of ["sampan-seal-1", node, ordinal, number, hash, time, key]."""
        return _ENCODE(("sampan-seal-1", self.node, self.ordinal, self.number, self.hash, self.time, self.key))


class Drop(msgspec.Struct, frozen=True):
    """A node's signed word: the records `first` to `last`, `count` of them, of the `day` (UTC) I dropped at `time`.

    `before` is the hash of the record before them, `hash` that of the last: with these the chain goes on behind them.
    """

    node: str
    day: str
    first: int
    last: int
    before: str
    hash: str
    count: int
    time: float
    key: str
    signature: str = ""

    def message(self) -> bytes:
        """What is signed: MessagePack of ["sampan-drop-1", and the fields in their order without the signature]."""
        return _ENCODE(("sampan-drop-1", *msgspec.structs.astuple(self)[:-1]))


def canonical(node: str, number: int, record: Record) -> bytes:
    """The bytes of a record that its hash is made of, after the hash before it."""
    return b"%b%b%b%b" % (_PLACE, _ENCODE(node), _ENCODE(number), _ENCODE(record))


def link(previous: bytes, node: str, number: int, record: Record) -> bytes:
    """The hash of a record, 32 bytes, from that of the record before it."""
    return hashlib.sha256(previous + canonical(node, number, record)).digest()


def linking(node: str) -> Callable[[bytes, int, Record], bytes]:
    """`link` for many records of one node."""
    place, start = _PLACE + _ENCODE(node), hashlib.sha256()

    def link(previous: bytes, number: int, record: Record) -> bytes:
        digest = start.copy()  # to make one takes longer than the hash of a record
        digest.update(b"%b%b%b%b" % (previous, place, _ENCODE(number), _ENCODE(record)))
        return digest.digest()

    return link


def node_of(folder: Path) -> str:
    """The id of the node whose data folder this is, 16 hexadecimal digits, made once. Raises `ConfigError`."""
    path = folder / NODE_FILE
    _make_once(path, f"{secrets.token_hex(8)}\n".encode())
    try:
        node = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        node = ""
    if not re.fullmatch("[0-9a-f]{16}", node):
        raise ConfigError(
            f"{path} does not hold the id of this node, 16 hexadecimal digits. Put the old file back from a backup: "
            "the chain of records is known by it."
        )
    return node


class AuditKey:
    """The Ed25519 key (RFC 8032) that a node signs its audit with; `public` is 64 hexadecimal digits."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = key.public_key().public_bytes_raw().hex()

    @classmethod
    def of(cls, folder: Path) -> AuditKey:
        """The key in a data folder, made there if there is none (PEM, mode 0600). Raises `ConfigError`."""
        path = folder / KEY_FILE
        if not path.exists():
            made = Ed25519PrivateKey.generate().private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            _make_once(path, made)
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), None)
        except OSError as error:
            raise ConfigError(f"The audit key {path} cannot be read: {error.strerror}") from None
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise ConfigError(f"{path} holds no Ed25519 private key in PEM. Put the old file back from a backup.")
        return cls(key)

    def seal(self, seal: Seal) -> Seal:
        """The same, signed with this key."""
        signed = msgspec.structs.replace(seal, key=self.public)
        return msgspec.structs.replace(signed, signature=self._key.sign(signed.message()).hex())

    def drop(self, drop: Drop) -> Drop:
        """The same, signed with this key."""
        signed = msgspec.structs.replace(drop, key=self.public)
        return msgspec.structs.replace(signed, signature=self._key.sign(signed.message()).hex())


def is_signed(word: Seal | Drop) -> bool:
    """Whether the signature is that of the key which the word names."""
    if not re.fullmatch("[0-9a-f]{64}", word.key) or not re.fullmatch("[0-9a-f]{128}", word.signature):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(word.key)).verify(
            bytes.fromhex(word.signature), word.message()
        )
    except (InvalidSignature, ValueError, OverflowError, UnicodeError):
        return False
    return True


def _make_once(path: Path, content: bytes) -> None:
    """Writes a file whole and only if it is not there: of two who do so at once, one is believed by both."""
    if path.exists():
        return
    make_folder(path.parent)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)
