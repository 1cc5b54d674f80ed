"""A process that supervises one engine, for tests that kill it: `supervised.py COMMAND…`.

Prints the engine's pid and URL once it is warm, and the engine's log on standard error.
"""

from __future__ import annotations

import asyncio
import sys

import uvloop

from sampan.supervisor import EngineSpec, Rules, Supervisor


async def main() -> None:
    supervisor = Supervisor(
        [EngineSpec("one", tuple(sys.argv[1:]))],
        log=lambda engine, line: print(f"{engine}: {line}", file=sys.stderr, flush=True),
        rules=Rules(poll_starting=0.02),
    )
    await supervisor.start()
    state = await supervisor.wait_warm("one", 60)
    print(state.pid, state.url, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
