"""The key of a house, with which it signs its bundles: Ed25519, kept in `<data>/bundle-key.pem`."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sampan.releases.names import ReleaseError
from sampan.storage.db import make_folder

KEY_FILE = "bundle-key.pem"


class Signer:
    """Signs; `public` (32 bytes) is what others trust."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """64 bytes, as RFC 8032 has them."""
        return self._key.sign(message)


def read_signer(path: Path) -> Signer:
    """The key in a file (PEM, PKCS #8, without a password). Raises `ReleaseError`."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise ReleaseError(f"The key {path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ReleaseError(f"{path} holds no private key in PEM without a password") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ReleaseError(f"{path} holds another kind of key: `openssl genpkey -algorithm ed25519` makes a right one")
    return Signer(key)


def house_signer(data: Path) -> Signer:
    """The key of this house, made where there is none yet. Raises `ReleaseError`."""
    path = data / KEY_FILE
    if not path.exists():
        make_folder(data)
        made = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        draft = path.with_name(f".{KEY_FILE}.{os.getpid()}")
        draft.unlink(missing_ok=True)
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(made)
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):  # one that somebody else has just made is as good
                os.link(draft, path)
        except OSError as error:
            raise ReleaseError(f"The key {path} cannot be written: {error.strerror}") from None
        finally:
            draft.unlink(missing_ok=True)
    return read_signer(path)
