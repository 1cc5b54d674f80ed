"""What the listener asks of the system."""

from __future__ import annotations

import asyncio
import resource
import socket
import subprocess
import sys
from pathlib import Path

from sampan.edge.listener import UNSENT, Listener
from tests.edge.house import House, opened


def test_a_process_may_open_as_many_files_as_it_is_allowed() -> None:
    code = """
import resource
from sampan.edge.listener import claim_files
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
print(claim_files(100), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
print(claim_files(70))
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 80))
print(claim_files(100))
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.split() == ["100", "100", "100", "80"]
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 0


async def test_the_kernel_holds_little_for_a_caller_who_does_not_read(tmp_path: Path) -> None:
    """The bound is set on the listening socket; the connections that come in by it must have it too."""
    house = House(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listener = Listener(house.door)
        await listener.start(listening)
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        writer.write(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        (wire,) = listener._wires
        accepted = wire._live().get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == UNSENT
        writer.close()
        await listener.close()
    house.database.close()


async def test_a_connection_that_says_nothing_is_closed_after_its_time(tmp_path: Path) -> None:
    async with opened(House(tmp_path), idle=0.05) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
