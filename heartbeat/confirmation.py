"""Whether an incident is still to be reported, which is asked again right before each attempt, and what becomes of it
when its recovery came to nothing. Owner loop only."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from heartbeat.budget import flights_since
from heartbeat.incident import RECOVER, UNHEALTHY
from heartbeat.ledger import Ledger
from heartbeat.observation import Unrecovered
from heartbeat.watch import stale, stands

if TYPE_CHECKING:
    from heartbeat.owner import Owner

log = logging.getLogger(__name__)


class Confirmation:
    """wall: UTC now in ISO 8601. crowded: whether reports wait for other recoveries to end."""

    def __init__(self, owner: Owner, ledger: Ledger, wall: Callable[[], str]) -> None:
        self._owner, self._ledger, self._wall = owner, ledger, wall
        self.crowded = False

    def word(self, incident: int, acts: bool, now: float) -> str:
        """See Owner.confirm."""
        owner = self._owner
        guests, diagnoses = owner.guests, owner.ward.diagnoses
        if guests.awaited(incident):
            return "not-now"
        watch, differences = guests.holding(incident), guests.discrepancies
        found = watch.incident if watch else differences.holding(incident) or diagnoses.holding(incident)
        if found is None:
            return "gone"
        fitness = owner.fitness_of(found.uuid)
        fitness = fitness if acts else fitness._replace(held="")
        if found.verdict == UNHEALTHY:
            word = owner.fence(owner.ward.stands, found, now, fitness, acts) or "not-now"
        else:
            word = stands(watch, incident, fitness) if watch else differences.stands(found, now, fitness)
        if acts and word == "stands" and watch and stale(watch, now):
            owner.review(found.uuid)
            return "not-now"
        recovery = acts and word == "stands" and found.action == RECOVER
        if recovery and owner.evidence and owner.evidence.awaited(incident, now):
            return "soon"
        if recovery and self._ledger.recovering(found, flights_since(self._wall())):
            return "not-now"
        return "not-now" if recovery and (owner.timing.observe or self._crowded(incident)) else word

    def here(self, uuids: Sequence[str]) -> dict[str, bool | None]:
        """See Owner.here."""
        present = self._owner.guests.discrepancies.attendance.here
        return {uuid: present(uuid) for uuid in uuids}

    def unrecovered(self, uuid: str, incident: int, why: str, now: float) -> None:
        """See Owner.again."""
        owner = self._owner
        ours = owner.ward.diagnoses.holding(incident)
        if ours:
            owner.ward.diagnoses.unrecovered(ours, why, now)
        else:
            owner.guests.observe(uuid, Unrecovered(incident, why), now, owner.fitness, owner.timing)

    def _crowded(self, incident: int) -> bool:
        """Whether so many recoveries of this node are under way that a further one has to wait."""
        flying = self._ledger.in_flight(flights_since(self._wall()), incident)
        most = self._owner.guests.budget.in_flight
        crowded = flying >= most
        if crowded != self.crowded:
            word = "further reports wait" if crowded else "there is room again"
            log.warning("%d recoveries under way, budget.in_flight is %d: %s", flying, most, word)
        self.crowded = crowded
        return crowded
