"""`python -m tests.bench`, in a cell, with the package installed: the table, a line for each promise, exit status 1 if
one was not kept."""
from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from tests.bench import footprint, judge, machine, monitor
from tests.bench.measure import Row, Scene, table
from tests.harness.guests import Guest
from tests.harness.node import Node

GUESTS = 3
# The quiet one first: the others would still be seen in it.
MEASUREMENTS: tuple[Callable[[Scene], Iterator[Row]], ...] = (footprint.rows, monitor.rows, judge.rows)


def main() -> int:
    with Node(log={"level": "info"}) as node:
        print(machine.describe(), flush=True)
        guests = [Guest(number + 1) for number in range(GUESTS)]
        with ThreadPoolExecutor(GUESTS) as pool:
            list(pool.map(lambda guest: guest.start().wait_agent(), guests))
        node.create()
        for guest in guests:
            node.wait_state(guest.uuid, "healthy")
        rows = [row for measurement in MEASUREMENTS for row in measurement(Scene(node, guests))]
    print(f"\n{table(rows)}\n")
    for row in rows:
        if row.promise is not None:
            print(f"{'PASS' if row.kept else 'FAIL'}  {row.what}: {row.value:.2f} {row.unit}".rstrip()
                  + f", promised at most {row.promise:g}")
    return 0 if all(row.kept for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
