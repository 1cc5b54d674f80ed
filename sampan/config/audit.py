"""Settings of the audit: how often it is sealed, how long it is kept, what of the content, and who is told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sampan.config.declare import required, setting
from sampan.config.reading import Source

CONTENT = ("none", "redacted", "sealed")
SYSLOG = ("syslog+udp", "syslog+tcp", "syslog+tls")
WEBHOOK = ("http", "https")
WEAK_SECRET = 16


@dataclass(frozen=True, slots=True)
class SinkSettings:
    name: str = required("What it is called; how far it is, is kept under this name.")
    url: str = required("`syslog+udp://host:514`, `syslog+tcp://`, `syslog+tls://`, or the `https://` of a webhook.")
    secret: str = setting("", "Of a webhook: what each batch is signed with (HMAC-SHA256).")
    ca: str = setting("", "Of `syslog+tls`: file with the certificate authorities to trust. Empty: the system's.")
    batch: int = setting(100, "Records that are sent together.", minimum=1)


@dataclass(frozen=True, slots=True)
class AuditSettings:
    seal_every: float = setting(300.0, "Seconds between two signed seals, where there are new records.", minimum=1)
    days: int = setting(0, "Whole days that records are kept; 0 keeps them for ever.", minimum=0)
    content: str = setting("none", "What is kept of question and answer: `none`, `redacted` or `sealed`.")
    content_of: Mapping[str, str] = setting({}, "The same for single departments, by name.")
    content_bytes: int = setting(
        64 * 1024, "Bytes of a question, and of an answer, that are kept; the rest is cut off.", minimum=256
    )
    public_key: str = setting("", "File with the auditor's public key, from `sampan audit keygen`. For `sealed`.")
    sinks: list[SinkSettings] = setting([], "Where every record is delivered, at least once.")


def check_audit(audit: AuditSettings, source: Source) -> None:
    """Raises `ConfigError` for what no single value can know."""
    wanted: dict[tuple[str, ...], str] = {("content",): audit.content}
    wanted |= {("content_of", department): mode for department, mode in audit.content_of.items()}
    for place, mode in wanted.items():
        if mode not in CONTENT:
            raise source.error(("audit", *place), f"{mode!r} is not one of {', '.join(CONTENT)}")
    if "sealed" in wanted.values() and not audit.public_key:
        raise source.error(("audit", "content"), "`sealed` needs `public_key`; `sampan audit keygen` makes a pair")
    if audit.public_key and not Path(audit.public_key).is_file():
        raise source.error(("audit", "public_key"), "there is no such file")
    names: set[str] = set()
    for index, sink in enumerate(audit.sinks):
        _check_sink(sink, ("audit", "sinks", str(index)), source)
        if sink.name in names:
            raise source.error(("audit", "sinks", str(index), "name"), "another sink has the same name")
        names.add(sink.name)


def _check_sink(sink: SinkSettings, path: tuple[str, ...], source: Source) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", sink.name):
        raise source.error((*path, "name"), "a name has letters, digits, `_`, `.` and `-` only")
    try:
        parts = urlsplit(sink.url)
        fits = parts.scheme in (*SYSLOG, *WEBHOOK) and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise source.error((*path, "url"), f"must begin with one of {', '.join((*SYSLOG, *WEBHOOK))}, and name a host")
    if parts.scheme in SYSLOG and (sink.secret or (sink.ca and parts.scheme != "syslog+tls")):
        raise source.error(path, "`secret` is for webhooks, and `ca` for syslog+tls")
    if parts.scheme in WEBHOOK and len(sink.secret) < WEAK_SECRET:
        # The value is not shown: it is a secret.
        raise source.error((*path, "secret"), f"a webhook needs a secret of at least {WEAK_SECRET} characters")
    if sink.ca and not Path(sink.ca).is_file():
        raise source.error((*path, "ca"), "there is no such file")
