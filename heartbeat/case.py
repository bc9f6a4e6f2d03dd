"""All that bears on one guest, put together: what the owner loop knows, and then what only the ledger does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heartbeat.budget import Budget
from heartbeat.ledger import Ledger
from heartbeat.manual import concerning
from heartbeat.outcome import told
from heartbeat.outlook import Case, dates
from heartbeat.watch import Fitness, Watch

if TYPE_CHECKING:
    from heartbeat.owner import Owner


def begun(owner: Owner, watch: Watch, now: float, wall: str, fitness: Fitness, budget: Budget) -> Case:
    """In the owner loop, and quick: the first half. now, wall: monotonic seconds, and the same in UTC in ISO 8601."""
    guests, uuid = owner.guests, watch.guest.uuid
    return Case(
        watch, now, dates(wall, now), guests.timing(uuid, owner.timing), fitness, owner.schedule.due(uuid), (), budget,
        0, (), guests.choices.terms(uuid), guests.discrepancies.word(uuid, now), health=owner.ward.account(uuid),
    )  # fmt: skip


def completed(case: Case, ledger: Ledger, wall: str) -> Case:
    """In any thread: the second half. Raises LedgerError."""
    uuid, incident, health = case.watch.guest.uuid, case.watch.incident, case.health
    if health and health.incident:
        health = health._replace(fates=ledger.fates(health.incident.id))
    recovery = next((it for it in ledger.followed() if it.uuid == uuid), None)
    return case._replace(
        manual=concerning(ledger.holds(wall), uuid, wall),
        fates=ledger.fates(incident.id) if incident else (),
        used=ledger.recoveries(uuid, case.budget.since(wall)),
        recovery=told(recovery.outcome, recovery.word.status, recovery.human) if recovery else "",
        health=health,
    )
