"""One's own certificate: loaded, and loaded again when its files change, without dropping a connection."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

from sampan.config.edge import TlsSettings
from sampan.errors import ConfigError

log = logging.getLogger("sampan.edge")

PROTOCOLS = ["http/1.1"]


class Certificates:
    """What callers are shown. `context` is for the next connection; those that are open keep theirs."""

    def __init__(self, settings: TlsSettings) -> None:
        """Blocks: reads the files. Raises `ConfigError`."""
        self.settings = settings
        self._files = tuple(Path(each) for each in (settings.certificate, settings.key, settings.client_ca) if each)
        self._seen = self._look()
        self.context = _context(settings)

    def refresh(self) -> bool:
        """Whether new files are in force now. Blocks. A pair that cannot be used is logged, and the old one stays."""
        seen = self._look()
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            self.context = _context(self.settings)
        except ConfigError as error:
            log.error("the certificate changed and cannot be used, the old one stays in force: %s", error)
            return False
        log.info("the certificate changed and is in force: %s", self.settings.certificate)
        return True

    def _look(self) -> tuple[tuple[int, ...], ...]:
        """What tells a file from the one that was there: it may be written over, replaced, or be another's link."""
        found: list[tuple[int, ...]] = []
        for path in self._files:
            try:
                stat = path.stat()
            except OSError:
                found.append((0,))
            else:
                found.append((stat.st_ino, stat.st_mtime_ns, stat.st_size))
        return tuple(found)


def _context(settings: TlsSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(PROTOCOLS)
    try:
        context.load_cert_chain(settings.certificate, settings.key, password=_no_passphrase)
    except (OSError, ValueError) as error:  # SSLError is an OSError
        raise ConfigError(
            f"[tls] certificate and key: {settings.certificate} and {settings.key} cannot be used: {_why(error)}"
        ) from None
    if settings.client_ca:
        try:
            context.load_verify_locations(settings.client_ca)
        except (OSError, ValueError) as error:
            raise ConfigError(f"[tls] client_ca: {settings.client_ca} cannot be used: {_why(error)}") from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _no_passphrase() -> str:
    """Without it the terminal would be asked, and the start would hang."""
    raise ValueError("the key has a passphrase; write it without one, for its owner alone to read")


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError):
        reasons = {
            "KEY_VALUES_MISMATCH": "the key is not this certificate's",
            "NO_START_LINE": "no PEM file",
            "NO_CERTIFICATE_OR_CRL_FOUND": "there is no certificate in it",
        }
        reason = error.reason or "not PEM, or broken"
        return reasons.get(reason, reason.replace("_", " ").lower())
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
