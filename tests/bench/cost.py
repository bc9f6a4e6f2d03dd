"""What it takes to watch guests that are well: ours, the peer, and the least that the same questions can cost."""
from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

from tests.bench import contest
from tests.bench.contest import INTERVAL, Contestant
from tests.bench.measure import Field, Row, usage

WINDOW = 60.0               # s, whole rounds of questions
PER_QUESTION = 1.5          # times the bare loop's CPU
HALF = 0.5                  # of the peer's memory, with 100 guests


class Spent(NamedTuple):
    """Over the window. cpu, libvirtd: s; switches: per s; resident: MiB."""

    cpu: float
    libvirtd: float
    switches: float
    threads: int
    resident: float


def rows(field: Field, count: int) -> Iterator[Row]:
    field.fleet.fill(count)
    nobody = _measured(field, nullcontext())
    ours = _measured(field, contest.ours(field))
    peer = _measured(field, contest.peer(field))
    floor = _measured(field, contest.floor(field))
    questions, hours = count * WINDOW / INTERVAL, count * WINDOW / 3600
    for name, spent in (("helper", ours), ("peer", peer), ("bare loop", floor)):
        what = f"{count} guests, {name}"
        yield Row(f"{what}: CPU per question", spent.cpu / questions * 1000, "ms")
        yield Row(f"{what}: CPU per guest and hour", spent.cpu / hours, "s")
        serving = (spent.libvirtd - nobody.libvirtd) / hours
        yield Row(f"{what}: libvirtd's CPU because of it, per guest and hour", serving, "s")
        yield Row(f"{what}: wake-ups per second", spent.switches, "")
        if name != "bare loop":
            yield Row(f"{what}: memory, resident", spent.resident, "MiB")
            yield Row(f"{what}: threads", spent.threads, "")
    yield Row(f"{count} guests: helper's CPU per question to bare loop's", ours.cpu / floor.cpu, "", PER_QUESTION)
    yield Row(f"{count} guests: helper's memory to peer's", ours.resident / peer.resident, "",
              HALF if count >= 100 else None)
    yield Row(f"{count} guests: libvirtd's CPU because of helper to that because of peer",
              (ours.libvirtd - nobody.libvirtd) / (peer.libvirtd - nobody.libvirtd), "", 1.0)


def _measured(field: Field, watching: AbstractContextManager[Contestant | None]) -> Spent:
    with watching as contestant:
        pids = [field.libvirtd, *([contestant.pid] if contestant else [])]
        time.sleep(INTERVAL)        # what it takes to begin is not what it takes
        before = [usage(pid) for pid in pids]
        time.sleep(WINDOW)
        after = [usage(pid) for pid in pids]
    libvirtd = after[0].cpu - before[0].cpu
    if not contestant:
        return Spent(0, libvirtd, 0, 0, 0)
    seconds = after[1].at - before[1].at
    return Spent(after[1].cpu - before[1].cpu, libvirtd, (after[1].switches - before[1].switches) / seconds,
                 after[1].threads, after[1].resident)
