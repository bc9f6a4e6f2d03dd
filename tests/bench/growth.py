"""What a further guest costs, on nodes from a hundred guests to ten thousand, and what a long past does:
`python -m tests.bench.growth`.

The owner loop and all that it decides with, in logical time, before guests on paper (tests/live holds those to the real
ones). On each node as many questions are asked in a second, so that only the number of guests differs.
"""
from __future__ import annotations

import gc
import sqlite3
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from heartbeat.incident import HUNG, RECOVER, Close, Open
from heartbeat.ledger import Ledger
from tests.bench.measure import Row
from tests.harness.observations import OPENED, TIMING
from tests.harness.simulation import Machine, Node

COUNTS = 100, 500, 2000, 10_000
RATE = 50               # questions a second
WINDOW = 40.0           # s, of logical time
ROUNDS = 5              # of all counts in turn; the least of each counts
GROWTH, MEMORY = 1.2, 5.0   # to the smallest node; kB
PAST = 1_000_000        # incidents, closed
START, LIFE = 3.0, 100.0    # s, ms


def rows() -> Iterator[Row]:
    nodes = {count: _watched(_machines(count)) for count in COUNTS}
    taken = [{count: _per_question(node) for count, node in nodes.items()} for _ in range(ROUNDS)]
    least = {count: min(costs[count] for costs in taken) for count in COUNTS}
    for count in COUNTS:
        yield Row(f"{count} guests: CPU of loop and decision per question", least[count], "us")
    for count in COUNTS[1:]:
        yield Row(f"{count} guests: that, to {COUNTS[0]} guests'", least[count] / least[COUNTS[0]], "", GROWTH)
    nodes.clear()
    for count in COUNTS:
        yield Row(f"{count} guests: memory of loop and decision per guest", _memory(count), "kB", MEMORY)
    yield from _past()


def _machines(count: int) -> list[Machine]:
    return [Machine(f"25efc0bf-1659-4c83-b4e6-{number:012x}") for number in range(count)]


def _watched(machines: Sequence[Machine]) -> Node:
    """A node that has asked each of them."""
    interval = len(machines) / RATE
    node = Node(*machines, timing=TIMING._replace(interval=interval))
    node.inventory()
    return node.run(interval + 5)


def _per_question(node: Node) -> float:
    """Microseconds."""
    before = _asked(node)
    gc.collect()
    began = time.process_time()
    node.run(WINDOW)
    return (time.process_time() - began) / (_asked(node) - before) * 1e6


def _asked(node: Node) -> int:
    return sum(len(machine.asked) for machine in node.machines.values())


def _memory(count: int) -> float:
    """kB for each, of what the loop holds; the machines on paper are there before."""
    machines = _machines(count)
    tracemalloc.start()
    try:
        node = _watched(machines)
        node.shown.clear()
        gc.collect()
        return tracemalloc.get_traced_memory()[0] / count / 1000
    finally:
        tracemalloc.stop()


def _past() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        Ledger(folder).close()
        with closing(sqlite3.connect(Path(folder, "ledger.sqlite"))) as ledger, ledger:
            ledger.executemany(
                "INSERT INTO incident VALUES (?, ?, 'vm', ?, 'hung', 'recover', ?, '{}', ?, 'the agent answers again')",
                ((number, f"guest-{number % 500}", f"run-{number}", OPENED, OPENED) for number in range(1, PAST + 1)))
            ledger.execute("INSERT INTO delivery (incident_id, backend, status, generated_time, attempts, finished)"
                           " SELECT id, 'masakari', 'delivered', opened, 1, opened FROM incident")
        began = time.monotonic()
        opened = Ledger(folder)
        opened.armed(), opened.open_incidents()
        yield Row(f"{PAST} old incidents: ledger's start", time.monotonic() - began, "s", START)
        began = time.monotonic()
        _life(opened)
        taken = (time.monotonic() - began) * 1000
        yield Row(f"{PAST} old incidents: all that the ledger does for one more", taken, "ms", LIFE)
        opened.close()


def _life(ledger: Ledger) -> None:
    """From the verdict to the end of an incident, of a guest that has been through 2 000 others."""
    opened, = ledger.apply([Open("guest-7", "vm", "run", HUNG, RECOVER, "{}")], OPENED, {RECOVER: ["masakari"]})
    owed, = ledger.pending("masakari")
    assert ledger.recoveries("guest-7", OPENED)
    assert not ledger.in_flight(OPENED, opened.id)
    assert ledger.attempt(owed.id)
    ledger.delivered(owed.id, OPENED, "reference")
    ledger.apply([Close(opened.id, "the agent answers again")], OPENED, {})


def main() -> int:
    found = list(rows())
    for row in found:
        print(f"{row.what:70} {row.shown:>12}  {row.promised:12} {row.judged}")
    return 0 if all(row.kept for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
