"""Failures that libvirt reports by itself: from its event, as another client hears it, to our report."""
from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from subprocess import Popen

from tests.bench import contest
from tests.bench.contest import reported
from tests.bench.measure import Field, Row
from tests.harness.fleet import PANIC, told
from tests.harness.guests import Guest

GUESTS = 60
RUNS = 10
APART = 1.5         # s, so that none waits for another
PROMISE = 1.0       # s
STOPPED, CRASHED = "5", "8"     # VIR_DOMAIN_EVENT_*


def rows(field: Field) -> Iterator[Row]:
    field.fleet.fill(GUESTS)
    guests = field.fleet.guests[:2 * RUNS]
    killed, panicked = guests[:RUNS], guests[RUNS:]
    with contest.ours(field) as contestant, contest.aside("listener") as listener:
        events = _Events(listener)
        began = time.monotonic()
        for one, other in zip(killed, panicked):
            one.kill_qemu()
            time.sleep(APART)
            with told([other], PANIC):
                time.sleep(APART)
        reported(contestant, {guest.uuid for guest in guests}, began, APART * 2 * RUNS + 60)
        came = contestant.came()
    field.fleet.replace(guests)
    for what, struck in (("QEMU killed", killed), ("kernel panics, pvpanic", panicked)):
        seconds = [_seconds(guest, came, events) for guest in struck]
        yield Row(f"{what}: libvirt's event to report, median of {RUNS}", statistics.median(seconds), "s")
        yield Row(f"{what}: libvirt's event to report, maximum of {RUNS}", max(seconds), "s", PROMISE)


class _Events:
    """The first event about each guest that tells of its end."""

    def __init__(self, listener: Popen[str]) -> None:
        self.first: dict[str, float] = {}
        threading.Thread(target=self._read, args=(listener,), daemon=True).start()

    def _read(self, listener: Popen[str]) -> None:
        for line in listener.stdout:
            at, uuid, event, _ = line.split()
            if event in (STOPPED, CRASHED):
                self.first.setdefault(uuid, float(at))


def _seconds(guest: Guest, came: dict[str, float], events: _Events) -> float:
    """Infinite if it was not reported."""
    return came[guest.uuid] - events.first[guest.uuid] if guest.uuid in came else float("inf")
