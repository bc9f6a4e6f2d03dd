"""What a measurement is made of: rows of the table, the promises among them, and what Linux says of a process."""
from __future__ import annotations

import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tests.harness.guests import Guest
from tests.harness.node import Node


class Row(NamedTuple):
    """promise: how large `value` may be; none is promised where it is None. unit stands behind the number."""

    what: str
    value: float
    unit: str
    promise: float | None = None

    @property
    def kept(self) -> bool:
        return self.promise is None or self.value <= self.promise


class Scene(NamedTuple):
    """The installed resource runs with default options and watches these guests, which answer."""

    node: Node
    guests: list[Guest]


class Usage(NamedTuple):
    """Of a process since it began. cpu: s; switches: how often its threads went to sleep or were put aside."""

    at: float
    cpu: float
    switches: int
    threads: int


def usage(pid: int) -> Usage:
    switches = [_numbers(path / "status", "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches")
                for path in Path(f"/proc/{pid}/task").iterdir()]
    # The CPU clock of another process, see clock_getcpuclockid(3): /proc would round to 10 ms.
    return Usage(time.monotonic(), time.clock_gettime(~pid << 3 | 2), sum(map(sum, switches)), len(switches))


def memory(pid: int) -> tuple[float, float]:
    """Resident, and of that its own and nobody else's; MiB."""
    rolled = _numbers(Path(f"/proc/{pid}/smaps_rollup"), "Rss", "Private_Clean", "Private_Dirty")
    return rolled[0] / 1024, sum(rolled[1:]) / 1024


def table(rows: Iterable[Row]) -> str:
    cells = [(row.what, f"{row.value:.2f}", row.unit, "" if row.promise is None else f"<= {row.promise:g}")
             for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells)]
    return "\n".join(f"{what:<{widths[0]}}  {value:>{widths[1]}} {unit:<{widths[2]}}  {promise}".rstrip()
                     for what, value, unit, promise in cells)


def _numbers(path: Path, *names: str) -> list[int]:
    text = path.read_text()
    return [int(re.search(rf"(?m)^{name}:\s*(\d+)", text).group(1)) for name in names]
