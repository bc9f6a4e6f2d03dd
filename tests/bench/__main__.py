"""`python -m tests.bench [NAME...]`, in a cell: the table, and exit status 1 if a promise in it is not kept.

NAME is a measurement, or the beginning of several: hangs is hangs-1, hangs-5 and so on. Results are kept in
build/bench, so that a table can be made in pieces; build/bench.rst shows the last of each, and docs/bench.rst is a
copy of it.
"""
from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tests.bench import checks, cost, ends, footprint, growth, hangs, harm, judge, machine, monitor, page
from tests.bench.measure import Field, Row, Scene
from tests.harness.fleet import Fleet
from tests.harness.guests import Guest
from tests.harness.hypervisor import Libvirtd
from tests.harness.node import Node

GUESTS = 3
ALONE: dict[str, Callable[[], Iterator[Row]]] = {"judge": judge.rows, "growth": growth.rows, "checks": checks.rows}
# The quiet one first: the others would still be seen in it.
ON_A_NODE: dict[str, Callable[[Scene], Iterator[Row]]] = {"footprint": footprint.rows, "monitor": monitor.rows}
WITH_A_FLEET: dict[str, Callable[[Field], Iterator[Row]]] = {
    **{f"cost-{count}": partial(cost.rows, count=count) for count in (100,)},
    **{f"hangs-{count}": partial(hangs.rows, count=count) for count in (1, 5, 20, 50)},
    "hangs-high": hangs.high, "ends": ends.rows, "harm": harm.rows}


def alone(names: Sequence[str]) -> Iterator[tuple[str, list[Row]]]:
    for name in names:
        yield name, list(ALONE[name]())


def on_a_node(names: Sequence[str]) -> Iterator[tuple[str, list[Row]]]:
    if not names:
        return
    with Node(log={"level": "info"}) as node:
        guests = [Guest(number + 1) for number in range(GUESTS)]
        with ThreadPoolExecutor(GUESTS) as pool:
            list(pool.map(lambda guest: guest.start().wait_agent(), guests))
        node.create()
        for guest in guests:
            node.wait_state(guest.uuid, "healthy")
        for name in names:
            yield name, list(ON_A_NODE[name](Scene(node, guests)))


def with_a_fleet(names: Sequence[str], limit: float, everything: bool) -> Iterator[tuple[str, list[Row]]]:
    if not names:
        return
    # The peer watches a guest only if the agent's channel is its first: no decoy before it.
    with Libvirtd() as libvirtd, Fleet(hangs.GUESTS, panic_device=True, decoy=False) as fleet:
        for name in names:
            yield name, list(WITH_A_FLEET[name](Field(libvirtd.pid, fleet, limit, everything)))


def chosen(words: Sequence[str], names: Sequence[str]) -> list[str]:
    return [name for name in names if not words or any(name == word or name.startswith(word + "-") for word in words)]


def main() -> int:
    names = [*ALONE, *ON_A_NODE, *WITH_A_FLEET]
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=f"Measurements: {', '.join(names)}.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a measurement, or the beginning of several; else all")
    parser.add_argument("--peer-all", action="store_true", help="the peer with 5 and 50 guests hung too: half an hour")
    parser.add_argument("--limit", type=float, default=330.0, metavar="SECONDS",
                        help="how long the peer's reports are waited for (%(default)g)")
    options = parser.parse_args()
    for word in options.names:
        if not chosen([word], names):
            parser.error(f"no measurement begins with {word!r}: {', '.join(names)}")
    host = machine.describe()
    print(host, flush=True)
    kept = True
    none, few, many = (chosen(options.names, list(group)) for group in (ALONE, ON_A_NODE, WITH_A_FLEET))
    for name, rows in itertools.chain(alone(none), on_a_node(few), with_a_fleet(many, options.limit, options.peer_all)):
        page.keep(name, rows, host)
        print(f"\n{name}\n{page.table(rows)}", flush=True)
        kept &= all(row.kept for row in rows)
    page.write(names)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
