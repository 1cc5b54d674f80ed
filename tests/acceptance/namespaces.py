"""Networks of their own: a house with one link to the outside, on which every packet is seen.

A `Namespace` has a thread in a network namespace of its own; the sockets, threads and processes that this thread makes
are in there with it. Made from Linux' own calls: root, or CAP_SYS_ADMIN, is needed.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

NEW_NETWORK, NEW_MOUNTS = 0x40000000, 0x00020000  # CLONE_NEWNET, CLONE_NEWNS (sched.h)
EVERY_PROTOCOL = 0x0003  # ETH_P_ALL
OUTGOING = 4  # PACKET_OUTGOING


class Namespace:
    """`with Namespace("inside") as inside:`; `inside.do(function, …)` runs it in there. `names` is its resolv.conf."""

    def __init__(self, name: str, names: Path | None = None) -> None:
        self._names = names
        self._threads = ThreadPoolExecutor(1, thread_name_prefix=name, initializer=self._enter)

    def __enter__(self) -> Namespace:
        self.thread = self.do(threading.get_native_id)
        return self

    def __exit__(self, *failure: object) -> None:
        self._threads.shutdown()

    def do(self, work: Callable[..., T], *arguments: object, **named: object) -> T:
        return self._threads.submit(work, *arguments, **named).result()

    def ip(self, *words: str) -> None:
        """`ip …`, in there."""
        self.do(subprocess.run, ["ip", *words], check=True)

    def _enter(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(NEW_NETWORK | NEW_MOUNTS):
            raise OSError(ctypes.get_errno(), "no network namespace can be made")
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        if self._names is not None:
            subprocess.run(["mount", "--bind", str(self._names), os.path.realpath("/etc/resolv.conf")], check=True)
        for place in ("all", "default"):  # its neighbours would be greeted with packets of its own
            Path(f"/proc/sys/net/ipv6/conf/{place}/disable_ipv6").write_text("1")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def join(inside: Namespace, outside: Namespace, house: str, world: str) -> None:
    """Links two namespaces, with these addresses. Neither has to ask who has the other's."""
    hardware = {"wire": "02:00:00:00:00:01", "world": "02:00:00:00:00:02"}
    inside.ip("link", "add", "wire", "type", "veth", "peer", "name", "world", "netns", str(outside.thread))
    for space, name, own, other in ((inside, "wire", house, world), (outside, "world", world, house)):
        space.ip("link", "set", name, "address", hardware[name], "up")
        space.ip("address", "add", f"{own}/24", "dev", name)
        far = hardware["world" if name == "wire" else "wire"]
        space.ip("neighbour", "add", other, "lladdr", far, "dev", name, "nud", "permanent")
    inside.ip("route", "add", "default", "via", world)


class Meter:
    """Counts what goes out over the `wire`: by the kernel's own counter, and as the packets themselves."""

    def __init__(self, inside: Namespace) -> None:
        self._inside = inside
        self._tap: socket.socket = inside.do(self._listen)

    def _listen(self) -> socket.socket:
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EVERY_PROTOCOL))
        tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        tap.bind(("wire", EVERY_PROTOCOL))
        tap.setblocking(False)
        return tap

    def close(self) -> None:
        self._tap.close()

    @property
    def count(self) -> int:
        """Packets sent so far."""
        lines = self._inside.do(Path("/proc/thread-self/net/dev").read_text).splitlines()
        [counters] = [line.partition(":")[2].split() for line in lines if line.strip().startswith("wire:")]
        return int(counters[9])

    def packets(self) -> list[bytes]:
        """Those that were sent since this was last asked."""
        sent: list[bytes] = []
        while True:
            try:
                data, (_, _, kind, *_) = self._tap.recvfrom(65536)
            except BlockingIOError:
                return sent
            if kind == OUTGOING:
                sent.append(data)
