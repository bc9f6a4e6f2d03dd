"""What is owed to a backend: from a row of the ledger to the report, and to the words of a log line."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from heartbeat.backends import Report
from heartbeat.ledger import CLEARED, Attempt, Delivery

# That something is over is told for so long; then it is old news, and must not keep the guest's next report waiting.
CLEARED_DAYS, CLEARED_ATTEMPTS = 7, 20


def report(delivery: Delivery, attempt: Attempt, hostname: str) -> Report:
    it = delivery.incident
    return Report(
        it.id, it.uuid, it.verdict, attempt.generated_time, hostname, attempt.uncertain, attempt.previous,
        delivery.kind, it.action, it.name, it.opened, it.evidence, delivery.closed, delivery.why,
        delivery.outcome,
    )  # fmt: skip


def outdated(owed: Iterable[Delivery], now: str) -> list[Delivery]:
    """Those that do not matter any more. now: UTC in ISO 8601."""
    cleared = [it for it in owed if it.kind == CLEARED]
    if not cleared:
        return []
    before = (datetime.fromisoformat(now) - timedelta(days=CLEARED_DAYS)).isoformat()
    return [it for it in cleared if it.generated_time < before]


def hopeless(delivery: Delivery, failures: int) -> bool:
    """Whether a report that the receiver does not take, though it takes others, is given up. Only of what is over: that
    a guest has failed is told for as long as it is true."""
    return delivery.kind == CLEARED and failures >= CLEARED_ATTEMPTS
