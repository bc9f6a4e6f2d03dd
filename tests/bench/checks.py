"""What health checks cost the helper: `python -m tests.bench.checks`.

The owner loop and all that it decides with, in logical time, before guests on paper: a hundred of them with three
checks each, and the same without. A call of a check counts as a question: what is compared is the work for each.
"""
from __future__ import annotations

import gc
import sys
import time
from collections.abc import Iterator, Sequence

from heartbeat.health.definition import BUILTIN, EXEC, VCPUS, Check
from heartbeat.incident import RECOVER
from tests.bench.measure import Row
from tests.harness.simulation import Machine
from tests.harness.wards import Ward

GUESTS = 100
WINDOW = 600.0              # s, of logical time
ROUNDS = 5                  # of both in turn; the least of each counts
PER_QUESTION = 1.5          # times that without checks
CHECKS = (
    Check("app", EXEC, ("/usr/bin/app-health",), action=RECOVER),
    Check("store", EXEC, ("/usr/bin/store-health", "--deep"), interval=30.0),
    Check("cpus", BUILTIN, measure=VCPUS, limit=1),
)


def rows() -> Iterator[Row]:
    nodes = {"three checks each": _node(CHECKS), "no checks": _node(())}
    taken = [{name: _per_question(node) for name, node in nodes.items()} for _ in range(ROUNDS)]
    least = {name: min(costs[name] for costs in taken) for name in nodes}
    for name, cost in least.items():
        yield Row(f"{GUESTS} guests, {name}: CPU of loop and decision per question", cost, "us")
    with_checks, without = least.values()
    what = f"{GUESTS} guests with three checks each: CPU per question, to that without"
    yield Row(what, with_checks / without, "", PER_QUESTION)


def _node(checks: Sequence[Check]) -> Ward:
    return Ward(*(Machine(f"25efc0bf-1659-4c83-b4e6-{number:012x}") for number in range(GUESTS)), checks=checks)


def _per_question(node: Ward) -> float:
    """Microseconds. A call counts as a question."""
    before = _asked(node)
    gc.collect()
    began = time.process_time()
    node.run(WINDOW)
    return (time.process_time() - began) / (_asked(node) - before) * 1e6


def _asked(node: Ward) -> int:
    return sum(len(machine.asked) + len(machine.commands.said) for machine in node.machines.values())


def main() -> int:
    found = list(rows())
    for row in found:
        print(f"{row.what:80} {row.shown:>12}  {row.promised:12} {row.judged}")
    return 0 if all(row.kept for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
