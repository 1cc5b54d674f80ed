"""What is kept of question and answer: nothing, their text without what identifies people, or all of it, sealed.

*Sealed* is for the auditor alone: the gateway has his public key, and cannot open what it has sealed.

    0    8 bytes    "SampanC1"
    8    32 bytes   an X25519 public key (RFC 7748), made for this content and forgotten
    40   12 bytes   nonce
    52   …          AES-256-GCM of the content; its additional data is the request id

    key     = HKDF-SHA256 (RFC 5869) of the two X25519 keys' shared secret; salt: that public key ‖ the auditor's;
              info: "sampan-content-1"; 32 bytes
    content = zlib (RFC 1950) of the MessagePack map `Content`

*Redacted* is the JSON object `Redacted`, in UTF-8.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import os
import threading
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sampan.core import Actor, Incoming, Record
from sampan.errors import ConfigError
from sampan.governance.detect import Finding

MOST_WAITING = 64 << 20
"""Bytes of questions and answers that may wait for the writer; what is more is not kept, and its record says so."""

MOST_READ = 8 << 20
"""Bytes of a question or an answer that redaction reads; of a larger one only size and SHA-256 are kept."""

_MAGIC = b"SampanC1"
_INFO = b"sampan-content-1"
_HEAD = len(_MAGIC) + 32 + 12
_PICTURE = 256  # characters: a shorter text is none, whatever it consists of
_TEXTS = ("text", "content", "thinking", "partial_json", "arguments", "delta", "refusal")
log = logging.getLogger("sampan.governance")


class Content(msgspec.Struct, frozen=True):
    """A call as it was; `question` and `answer` are cut where their sizes say more."""

    id: str
    path: str
    content_type: str
    question: bytes
    question_size: int
    answer: bytes
    answer_size: int


class Redacted(msgspec.Struct, frozen=True):
    """A call's text, what identifies people masked; `cut` names what was longer than is kept."""

    question: str
    answer: str
    cut: tuple[str, ...] = ()


class Contents:
    """Takes what is to be kept from calls, and gives it to the writer of records, who keeps both together.

    `mode_of` says what is wanted for an actor: `none`, `redacted` or `sealed`; `size` how many bytes of a question and
    of an answer; `find` is `Detector.find`.
    """

    def __init__(
        self,
        mode_of: Callable[[Actor], str],
        size: Callable[[], int],
        find: Callable[[str], list[Finding]],
        public_key: X25519PublicKey | None = None,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self._size = size
        self._find = find
        self._mode_of = mode_of
        self.public_key = public_key
        self._most_waiting = most_waiting
        self._lock = threading.Lock()
        self._waiting: dict[str, Content] = {}
        self._resolved: dict[str, tuple[Record, bytes]] = {}
        self._bytes = 0

    def keep(self, identifier: str, incoming: Incoming, actor: Actor | None, answer: bytes) -> str:
        """Takes a call in; what it returns stands in the record until the writer `resolve`s it. No work is done here.

        Nothing is kept of strangers: they could fill the disk.
        """
        mode = "none" if actor is None else self._mode_of(actor)
        if mode == "none":
            return ""
        size = self._size()
        most = size if mode == "sealed" else MOST_READ
        body = incoming.body
        content = Content(
            identifier,
            incoming.path,
            incoming.content_type,
            body if len(body) <= most else body[:size],
            len(body),
            answer if len(answer) <= most else answer[:size],
            len(answer),
        )
        waiting = len(content.question) + len(content.answer)
        with self._lock:
            if self._bytes + waiting > self._most_waiting:
                return f"{mode}:skipped"
            self._waiting[identifier] = content
            self._bytes += waiting
        return mode

    def resolve(self, record: Record) -> tuple[Record, bytes | None]:
        """The record with what its content is kept under, `sealed:` or `redacted:` and the SHA-256 of what is kept."""
        mode = record.content
        if mode not in ("redacted", "sealed"):
            return record, None
        if record.id in self._resolved:
            return self._resolved[record.id]
        content = self._waiting.get(record.id)
        if content is None:  # the process died between the record's end and its way to the database
            return msgspec.structs.replace(record, content=f"{mode}:lost"), None
        try:
            data = self._make(mode, content)
        except Exception:
            # Whatever a caller has sent: his record is kept in any case.
            log.exception("what was asked and answered in %s could not be kept", record.id)
            self.settled((record.id,))
            return msgspec.structs.replace(record, content=f"{mode}:failed"), None
        digest = hashlib.sha256(data).hexdigest()
        kept = msgspec.structs.replace(record, content=f"{mode}:{digest}"), data
        self._resolved[record.id] = kept
        return kept

    def settled(self, ids: Collection[str]) -> None:
        """The writer has them."""
        with self._lock:
            for identifier in ids:
                self._resolved.pop(identifier, None)
                content = self._waiting.pop(identifier, None)
                if content is not None:
                    self._bytes -= len(content.question) + len(content.answer)

    def _make(self, mode: str, content: Content) -> bytes:
        if mode == "redacted":
            return msgspec.json.encode(redact(content, self._size(), self._find))
        if self.public_key is None:
            raise ConfigError("there is no public key to seal content with")
        return seal(content, self.public_key)


def seal(content: Content, public_key: X25519PublicKey) -> bytes:
    """What only the auditor can open."""
    once = X25519PrivateKey.generate()
    ephemeral = once.public_key().public_bytes_raw()
    nonce = os.urandom(12)
    key = _derive(once.exchange(public_key), ephemeral, public_key.public_bytes_raw())
    plain = zlib.compress(msgspec.msgpack.encode(content), 1)
    return _MAGIC + ephemeral + nonce + AESGCM(key).encrypt(nonce, plain, content.id.encode())


def unseal(data: bytes, identifier: str, private_key: X25519PrivateKey) -> Content:
    """What `seal` was given. Raises `ConfigError` for another key, another call's content, or a changed one."""
    if data[: len(_MAGIC)] != _MAGIC or len(data) < _HEAD + 16:
        raise ConfigError(f"What is kept of {identifier} is not sealed as this version does it.")
    ephemeral, nonce = data[8:40], data[40:_HEAD]
    try:
        shared = private_key.exchange(X25519PublicKey.from_public_bytes(ephemeral))
        key = _derive(shared, ephemeral, private_key.public_key().public_bytes_raw())
        plain = AESGCM(key).decrypt(nonce, data[_HEAD:], identifier.encode())
        return msgspec.msgpack.decode(zlib.decompress(plain), type=Content)
    except (InvalidTag, ValueError, zlib.error, msgspec.MsgspecError):
        raise ConfigError(
            f"What is kept of {identifier} cannot be opened: it was sealed for another key, or has been changed."
        ) from None


def _derive(shared: bytes, ephemeral: bytes, public: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=ephemeral + public, info=_INFO).derive(shared)


def make_pair() -> tuple[bytes, bytes]:
    """A new pair of the auditor's, private and public, in PEM."""
    key = X25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private, public


def read_public(path: Path) -> X25519PublicKey:
    """The auditor's public key. Raises `ConfigError`."""
    key = _loaded(path, serialization.load_pem_public_key)
    if not isinstance(key, X25519PublicKey):
        raise ConfigError(f"{path} holds no X25519 public key in PEM; `sampan audit keygen` makes one.")
    return key


def read_private(path: Path) -> X25519PrivateKey:
    """The auditor's private key. Raises `ConfigError`."""
    key = _loaded(path, lambda data: serialization.load_pem_private_key(data, None))
    if not isinstance(key, X25519PrivateKey):
        raise ConfigError(f"{path} holds no X25519 private key in PEM without a password.")
    return key


def _loaded(path: Path, load: Callable[[bytes], object]) -> object:
    try:
        return load(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None


# Redaction.


def redact(content: Content, size: int, find: Callable[[str], list[Finding]]) -> Redacted:
    """The text of a call, `size` bytes of question and answer each, cut only after it was masked."""
    question = _readable(content.question, content.question_size, content.content_type)
    answer = _readable(content.answer, content.answer_size, "")
    texts, cut = [], []
    for name, value in (("question", question), ("answer", answer)):
        masked = _masked(value, find)
        text = masked if isinstance(masked, str) else msgspec.json.encode(masked).decode()
        data = text.encode("utf-8", "replace")
        if len(data) > size:
            cut.append(name)
        texts.append(data[:size].decode("utf-8", "ignore"))
    return Redacted(texts[0], texts[1], tuple(cut))


def _readable(data: bytes, size: int, content_type: str) -> Any:
    """JSON, the fields of a form, or the text that a stream said; of anything else its size and digest."""
    if size > len(data):
        return {"bytes": size, "note": f"larger than the {MOST_READ:,} bytes that are read"}
    if content_type.startswith("multipart/form-data"):
        return _form(data, content_type)
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pieces = list(_said(data))
    return "".join(pieces) if pieces else _digest(data)


def _form(data: bytes, content_type: str) -> Any:
    head = f"content-type: {content_type}\r\n\r\n".encode("latin-1", "replace")
    message = message_from_bytes(head + data, policy=policy.HTTP)
    fields: dict[str, list[Any]] = {}
    for part in message.iter_parts() if message.is_multipart() else ():
        name = str(part.get_param("name", "", header="content-disposition"))
        payload = part.get_payload(decode=True)
        raw = payload if isinstance(payload, bytes) else b""
        is_text = part.get_filename() is None and len(raw) < MOST_READ
        fields.setdefault(name, []).append(raw.decode("utf-8", "replace") if is_text else _digest(raw))
    return fields


def _said(stream: bytes) -> Iterator[str]:
    """The text of a stream's events, joined by whoever asks: what identifies people may be split between two."""
    for line in stream.splitlines():
        if not line.startswith(b"data:"):
            continue
        try:
            event = msgspec.json.decode(line[5:])
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            continue
        # What says all of it again at its end, and opens it with nothing, is no piece.
        if isinstance(event, dict) and not {"response", "item", "part"} & set(event):
            is_whole = str(event.get("type", "")).endswith(".done")
            yield from () if is_whole else _texts(event)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(inner, str):
                if name in _TEXTS:
                    yield inner
            else:
                yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _masked(value: Any, find: Callable[[str], list[Finding]]) -> Any:
    if isinstance(value, str):
        return _masked_text(value, find)
    if isinstance(value, Mapping):
        return {_name(name, find): _masked(inner, find) for name, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner, find) for inner in value]
    # A number may be somebody's: 11 digits of a telephone, 18 of an identity.
    if isinstance(value, int | float) and not isinstance(value, bool) and find(str(value)):
        return _masked_text(str(value), find)
    return value


def _name(name: str, find: Callable[[str], list[Finding]]) -> str:
    masked = _masked_text(name, find)
    return masked if isinstance(masked, str) else masked["sha256"]


def _masked_text(text: str, find: Callable[[str], list[Finding]]) -> Any:
    if len(text) > _PICTURE and (raw := _picture(text)) is not None:
        return _digest(raw)
    pieces, end = [], 0
    for finding in find(text):
        pieces += [text[end : finding.start], f"[{finding.kind}]"]
        end = finding.end
    return "".join((*pieces, text[end:]))


def _picture(text: str) -> bytes | None:
    """What base64 stands for, bare or in a data URL; None where it is none."""
    if text.startswith("data:"):
        head, comma, text = text.partition(",")
        if not comma or not head.endswith(";base64"):
            return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _digest(data: bytes) -> dict[str, Any]:
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
