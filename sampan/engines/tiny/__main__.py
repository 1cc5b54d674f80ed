"""`python -m sampan.engines.tiny DIR [--kind NAME ...] [--seed 0]` makes tiny checkpoints in DIR/<name>/."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from sampan.engines.tiny.making import KINDS, is_whole, make


def main(arguments: Sequence[str] | None = None) -> None:
    """Makes each kind that is not there yet and prints a line for each."""
    parser = argparse.ArgumentParser(prog="python -m sampan.engines.tiny", description=__doc__)
    parser.add_argument("into", metavar="DIR", type=Path, help="the folder to make them in")
    parser.add_argument("--kind", nargs="+", choices=KINDS, default=list(KINDS), metavar="NAME", help=", ".join(KINDS))
    parser.add_argument("--seed", type=int, default=0, help="of the random weights (0)")
    given = parser.parse_args(arguments)
    for kind in given.kind:
        there = is_whole(given.into / kind, given.seed)
        folder = make(kind, given.into, given.seed)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        print(f"{kind}: {folder}, {size / 1e6:.2f} MB{', was there' if there else ''}", flush=True)


if __name__ == "__main__":
    main()
