"""Two self-made certificates for 127.0.0.1: one that the gateway is told to trust, and one that it is not.

The standard library can use certificates but not make them; the `openssl` program can. Where it is missing, the TLS
trouble is a server that answers the handshake with something else, and it is not healed.
"""

from __future__ import annotations

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Certificates:
    """`authority` is the file to trust; `good` and `bad` are what a server shows."""

    authority: Path
    good: ssl.SSLContext
    bad: ssl.SSLContext


def make(folder: Path) -> Certificates | None:
    """None where this machine cannot make certificates, or its TLS library does not take them."""
    program = shutil.which("openssl")
    if program is None:
        return None
    contexts = []
    for name in ("good", "bad"):
        certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
        command = [program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        command += ["-days", "2", "-subj", f"/CN=sampan drill {name}", "-addext", "subjectAltName=IP:127.0.0.1"]
        command += ["-keyout", str(key), "-out", str(certificate)]
        done = subprocess.run(command, capture_output=True, check=False, timeout=30)
        if done.returncode != 0:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        contexts.append(context)
    made = Certificates(folder / "good.pem", *contexts)
    return made if _agrees(made) else None


def _agrees(made: Certificates) -> bool:
    """Whether a client that trusts the authority takes the good certificate: strict libraries refuse some."""
    client = ssl.create_default_context(cafile=str(made.authority))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1"),
        made.good.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(4):
        waiting = 0
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                waiting += 1
            except ssl.SSLError:
                return False
        if not waiting:
            return True
    return False
