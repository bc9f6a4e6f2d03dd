"""All that is measured, as it is at one moment, for whoever exports it: taken without delaying anybody who decides.

What only the owner loop knows is fetched there in one short call; what only the ledger knows is read beside it. Neither
is waited for longer than LIMIT: a loop or a disk that hangs is something to be told, not a reason to hang as well.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from heartbeat.budget import flights_since
from heartbeat.figures import Bundles, Owed, Volume
from heartbeat.incident import Incident
from heartbeat.ledger import Ledger, LedgerError
from heartbeat.manual import ManualHold, concerning
from heartbeat.owner import Owner
from heartbeat.reporting import Reporting
from heartbeat.tally import Tally
from heartbeat.watch import Watch

LIMIT = 2.0  # seconds; Prometheus waits 10 for all
BY_HAND = "by-hand"


class Loop(NamedTuple):
    """What the owner loop knows. watched: guests that we would miss. out: questions that have not returned.

    able, held, tripped: whether this node is fit to judge, wants no recovery, holds a silence against itself.
    linked, canary: whether libvirt is connected, and the seconds that it takes to answer, None while it is away.
    actions: verdict -> what it causes, as set. nova: whether Nova answers, None while it is not asked.
    """

    watches: Sequence[Watch]
    manual: Sequence[ManualHold]
    watched: int
    suspicions: int
    out: int
    points: int
    able: bool
    held: bool
    tripped: bool
    linked: bool
    canary: float | None
    recordable: bool
    observe: bool
    actions: Mapping[str, str]
    nova: bool | None


class Books(NamedTuple):
    """What the ledger knows. flying: recoveries under way."""

    incidents: Sequence[Incident]
    owed: Mapping[str, Owed]
    flying: int
    volume: Volume


class Snapshot(NamedTuple):
    """now: UTC in ISO 8601. stalled: seconds since the owner loop's last progress. loop, books: None if they could not
    be had in time. troubles: backend -> whether something keeps it from delivering. lost: uuids of guests whose
    recovery came to nothing. checks: status of health checks -> how many guests' have it; None where there are none, as
    bundles. started: Unix time of the helper's start."""

    now: str
    started: float
    stalled: float
    loop: Loop | None
    books: Books | None
    tally: Tally
    troubles: Mapping[str, bool]
    lost: Sequence[str]
    checks: Mapping[str, int] | None = None
    bundles: Bundles | None = None

    def states(self) -> Counter[str]:
        """State -> guests."""
        return Counter(watch.state for watch in self.loop.watches) if self.loop else Counter()

    def holds(self) -> Counter[str]:
        """Kind of hold -> guests that it holds; a guest may have several."""
        if self.loop is None:
            return Counter()
        found = Counter(kind for watch in self.loop.watches for kind in {hold.kind for hold in watch.holds})
        manual = self.loop.manual
        if manual:
            found[BY_HAND] = sum(bool(concerning(manual, it.guest.uuid, self.now)) for it in self.loop.watches)
        return found

    def age(self, backend: str) -> float:
        """Seconds since what the oldest report tells that this backend has not taken; 0 if it owes none."""
        owed = self.books and self.books.owed.get(backend)
        return max(_seconds(self.now) - _seconds(owed.since), 0.0) if owed else 0.0


class Snapshots:
    """take() is for any thread. wall: UTC in ISO 8601. checks, bundles: see Snapshot; called in the owner loop."""

    def __init__(
        self,
        owner: Owner,
        ledger: Ledger,
        reporting: Reporting,
        tally: Tally,
        wall: Callable[[], str],
        checks: Callable[[], Mapping[str, int] | None] = lambda: None,
        bundles: Callable[[], Bundles | None] = lambda: None,
    ) -> None:
        self._owner, self._ledger, self._reporting, self._tally, self._wall = owner, ledger, reporting, tally, wall
        self._checks, self._bundles = checks, bundles
        self._started = _seconds(wall())
        self._reading: threading.Thread | None = None
        self._one = threading.Lock()

    def take(self) -> Snapshot:
        with self._one:
            stalled = time.monotonic() - self._owner.progress
            try:
                loop, checks, bundles = self._owner.call(self._look, LIMIT)
            except TimeoutError:
                loop = checks = bundles = None
            reporting, books = self._reporting, self._books()
            return Snapshot(self._wall(), self._started, stalled, loop, books, self._tally, reporting.troubles,
                            reporting.lost, checks, bundles)  # fmt: skip

    def _look(self) -> tuple[Loop, Mapping[str, int] | None, Bundles | None]:
        owner = self._owner
        guests, condition, fitness, nova = owner.guests, owner.condition, owner.fitness, owner.guests.discrepancies
        loop = Loop(
            watches=tuple(guests.watches.values()),
            manual=guests.manual,
            watched=guests.watched(),
            suspicions=guests.suspicions,
            out=owner.schedule.out,
            points=condition.health.points,
            able=fitness.able,
            held=bool(fitness.held),
            tripped=bool(condition.breaker),
            linked=not owner.link,
            canary=owner.hypervisor.canary(),
            recordable=not guests.trouble,
            observe=owner.timing.observe,
            actions=owner.timing.actions,
            nova=None if nova.limits is None else not nova.trouble,
        )
        return loop, self._checks(), self._bundles()

    def _books(self) -> Books | None:
        """By a thread of its own: the ledger's lock is held for as long as its disk takes. One that hangs is not joined
        by a second."""
        if self._reading and self._reading.is_alive():
            return None
        found: list[Books] = []
        self._reading = threading.Thread(target=self._read, args=(found,), name="metrics-ledger", daemon=True)
        self._reading.start()
        self._reading.join(LIMIT)
        return found[0] if found else None

    def _read(self, found: list[Books]) -> None:
        ledger = self._ledger
        try:
            flying = ledger.in_flight(flights_since(self._wall()))
            found.append(Books(ledger.open_incidents(), ledger.owed(), flying, ledger.volume()))
        except LedgerError:
            pass  # the owner and the couriers say so, with the remedy


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
