"""`python -m sampan.drill`: what the verb `sampan drill` starts, with its orders in the environment."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from sampan.drill.drill import run
from sampan.drill.orders import Orders, received
from sampan.errors import ConfigError

STOPPED = 130


def main() -> int:
    """The exit status: 0 all promises kept, 1 one broken or nothing to rehearse, 130 stopped."""
    try:
        return asyncio.run(_run(received(os.environ)))
    except ConfigError as error:
        print(f"sampan: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("sampan: the drill was stopped", file=sys.stderr)
        return STOPPED


async def _run(orders: Orders) -> int:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await run(orders)


if __name__ == "__main__":
    sys.exit(main())
