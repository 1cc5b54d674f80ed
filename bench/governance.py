"""What governance costs a call: `python -m bench.governance`, gateways side by side in one run.

    bare        no rule, no limit, no price
    governed    eight rules of which two concern the caller, three limits (calls, tokens, money), a price table
    detecting   the same, and identifiers are looked for in every call

With `--beside FOLDER` another checkout of Sampan answers too, bare: what came since costs where nobody uses it.
CPU time is the process's own, from /proc; rounds are interleaved and medians are shown. Needs Linux with two cores.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.gateway.__main__ import EVEN_RATE, Contender, load, mock, rounds, sampan

OTHERS = "".join(
    f'[[rules]]\nname = "r{number}"\neffect = "deny"\ndepartments = ["d{number}"]\n' for number in range(6)
)
GOVERNED = f"""{OTHERS}
[[rules]]
name = "hours"
effect = "deny"
roles = ["admin"]
models = ["gpt-*"]
[[rules]]
name = "sizes"
effect = "deny"
roles = ["admin"]
operations = ["generate"]
[[limits]]
name = "calls"
what = "calls"
most = 100000000
per = "day"
role = "admin"
[[limits]]
name = "tokens"
what = "tokens"
most = 1000000000
per = "month"
role = "admin"
[[limits]]
name = "money"
what = "money"
most = 100000000
per = "month"
role = "admin"
[[prices]]
upstream = "cloud"
input = 3.0
output = 15.0
"""
DETECTING = f"""{GOVERNED}
[residency.detect]
resident_id = "local"
bank_card = "local"
mobile = "note"
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--beside", type=Path, help="another checkout")
    arguments = parser.parse_args()
    count, calls = (2, 3000) if arguments.quick else (5, 12000)
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        upstream = stack.enter_context(mock())
        contenders: list[Contender] = []

        def enter(name: str, more: str = "", **env: str) -> None:
            place = Path(folder) / name
            place.mkdir()
            contenders.append(stack.enter_context(sampan(place, upstream, name, more, **env)))

        if arguments.beside:
            enter("beside", PYTHONPATH=str(arguments.beside.resolve()), PYTHONSAFEPATH="1")
        enter("bare")
        enter("governed", GOVERNED)
        enter("detecting", DETECTING)
        for each in contenders:
            load(each, "json", 500)
        whole = rounds(contenders, "json", count, calls)
        even = rounds(contenders, "json", 2 if arguments.quick else 3, 6 * EVEN_RATE, rate=EVEN_RATE)
        table = Table("", "CPU µs a call", "more", f"CPU µs a call at {EVEN_RATE}/s", "more")
        first = contenders[0].name
        for each in contenders:
            full, paced = whole[each.name]["cpu"], even[each.name]["cpu"]
            more, later = full - whole[first]["cpu"], paced - even[first]["cpu"]
            table.add_row(each.name, f"{full:.1f}", f"{more:+.1f}", f"{paced:.0f}", f"{later:+.0f}")
        Console().print(table)


if __name__ == "__main__":
    main()
