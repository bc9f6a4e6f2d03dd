"""What a measurement is made of: rows of the table, the promises among them, and what Linux says of processes."""
from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.harness.fleet import Fleet
from tests.harness.guests import Guest
from tests.harness.node import Node


class Row(NamedTuple):
    """promise: how large `value` may be, or with `least` how small; nothing is promised where it is None. unit stands
    behind the number. over: it was waited for no longer, so the value is more than this."""

    what: str
    value: float
    unit: str
    promise: float | None = None
    least: bool = False
    over: bool = False

    @property
    def kept(self) -> bool:
        if self.promise is None:
            return True
        return self.value >= self.promise if self.least else self.value <= self.promise and not self.over

    @property
    def shown(self) -> str:
        number = f"{self.value:.3f}" if abs(self.value) < 0.1 else f"{self.value:.2f}"
        return f"{'> ' * self.over}{number} {self.unit}".rstrip()

    @property
    def promised(self) -> str:
        return "" if self.promise is None else f"{'>=' if self.least else '<='} {self.promise:g} {self.unit}".rstrip()

    @property
    def judged(self) -> str:
        return "" if self.promise is None else "met" if self.kept else "missed"


class Scene(NamedTuple):
    """The installed resource runs with default options and watches these guests, which answer."""

    node: Node
    guests: list[Guest]


class Field(NamedTuple):
    """Many guests under one libvirtd, and nobody who watches them. limit: s until a report is waited for no longer;
    everything: the peer too is measured where that takes long."""

    libvirtd: int
    fleet: Fleet
    limit: float
    everything: bool


class Usage(NamedTuple):
    """Of processes since they began. cpu: s; switches: how often their threads went to sleep or were put aside;
    resident: MiB; of children only what they share with nobody, or the same pages would count twice."""

    at: float
    cpu: float
    switches: int
    threads: int
    resident: float


def usage(pid: int) -> Usage:
    """Of a process and its children; of those that have ended the CPU only."""
    switches, cpu, resident = [0], 0.0, 0.0
    for number in (pid, *children(pid)):
        with contextlib.suppress(OSError):      # a child may end while we look
            # The CPU clock of another process, see clock_getcpuclockid(3): /proc would round to 10 ms.
            cpu += time.clock_gettime(~number << 3 | 2)
            resident += memory(number)[0 if number == pid else 1]
            switches += [sum(_numbers(path / "status", "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"))
                         for path in Path(f"/proc/{number}/task").iterdir()]
    ended = sum(map(int, _stat(pid)[13:15])) / 100       # cutime, cstime
    return Usage(time.monotonic(), cpu + ended, sum(switches), len(switches) - 1, resident)


def children(pid: int) -> Iterator[int]:
    """All processes below this one."""
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, path.read_text().split()):
                yield child
                yield from children(child)


def memory(pid: int) -> tuple[float, float]:
    """Resident, and of that its own and nobody else's; MiB."""
    rolled = _numbers(Path(f"/proc/{pid}/smaps_rollup"), "Rss", "Private_Clean", "Private_Dirty")
    return rolled[0] / 1024, sum(rolled[1:]) / 1024


def _stat(pid: int) -> list[str]:
    """The fields of proc(5), from the third on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _numbers(path: Path, *names: str) -> list[int]:
    text = path.read_text()
    return [int(re.search(rf"(?m)^{name}:\s*(\d+)", text).group(1)) for name in names]
