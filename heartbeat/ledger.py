"""What must survive us: armed incarnations, incidents, their deliveries, and holds by hand, in SQLite.

Nothing is sent that is not written here first, and every transaction is on disk (WAL, synchronous FULL) before its
method returns. So kill -9 at any instruction loses no incident, and a report whose fate is unknown is sent again as it
was.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from heartbeat.bookkeeping import armed, asked, closed, opened, void
from heartbeat.database import Database, LedgerError
from heartbeat.figures import Figures
from heartbeat.holdings import Holdings
from heartbeat.incident import RECOVER, UNHEALTHY, Arm, Change, Close, Forget, Incident, Open
from heartbeat.outcome import ENDED
from heartbeat.outcomes import Outcomes
from heartbeat.records import (
    CLEARED,
    DELIVERED,
    EXPIRED,
    FAILED,
    INCIDENT,
    MAY_BE_ACTED_ON,
    MAY_HAVE_ARRIVED,
    MIGRATIONS,
    PENDING,
    REFUSED,
    SCHEMA,
    SCHEMA_VERSION,
    Attempt,
    Delivery,
    Fate,
    Fruit,
    Past,
    Recipient,
    Recipients,
    bounded,
    fates,
    fruit,
    history,
    one,
)

__all__ = (
    "CLEARED", "DELIVERED", "FAILED", "PENDING", "AlreadyOpenError", "Attempt", "Delivery", "Ledger", "LedgerError",
    "Recipient", "Recipients",
)  # fmt: skip

# A closed incident goes when it is older than KEEP_DAYS and there are KEEP_NUMBER newer ones: a few MB at most stay.
KEEP_DAYS, KEEP_NUMBER, PRUNE_STEP = 90, 10_000, 100
# More than the guests of one node can have open; a bound on memory, not a policy.
PENDING_LIMIT = 1000


class AlreadyOpenError(Exception):
    """The guest's incarnation already has an open incident with this verdict: the caller's bug. Nothing was changed."""


class Ledger:
    """The ledger of one node. Any thread may call any method; each raises LedgerError when the disk or SQLite fails."""

    def __init__(self, directory: str) -> None:
        self._database = Database(os.path.join(directory, "ledger.sqlite"), SCHEMA, SCHEMA_VERSION, MIGRATIONS)
        self.path = self._database.path
        self.close = self._database.close
        self._rows, self._transaction = self._database.rows, self._database.transaction
        holdings = Holdings(self._database)
        self.hold, self.release, self.holds = holdings.hold, holdings.release, holdings.holds
        figures = Figures(self._database)
        self.owed, self.volume = figures.owed, figures.volume
        outcomes = Outcomes(self._database)
        self.followed, self.learned, self.needing = outcomes.followed, outcomes.learned, outcomes.needing

    # The owner's side.

    def armed(self) -> dict[str, str]:
        """Guest uuid -> the incarnation that has answered."""
        return dict(self._rows("SELECT uuid, incarnation FROM armed"))

    def open_incidents(self) -> list[Incident]:
        # Not in the order of ids: for that SQLite would read all that was ever closed.
        rows = self._rows(f"SELECT {INCIDENT} FROM incident INDEXED BY incident_open WHERE closed_at IS NULL")
        return [Incident(*row) for row in sorted(rows)]

    def apply(self, changes: Sequence[Change], now: str, recipients: Recipients) -> list[Incident]:
        """All the changes, or none, in one transaction. Returns the incidents that it opened.

        now: UTC in ISO 8601. recipients: action -> the backends that are to be told of it. One that was, or may
        have been, told of an incident that is closed owes it a second report if it clears.
        Raises AlreadyOpenError.
        """
        found = []
        with self._transaction() as connection:
            for change in changes:
                if isinstance(change, Open):
                    found.append(_opened(connection, change, now, recipients.get(change.action, ())))
                elif isinstance(change, Close):
                    closed(connection, change, now)
                elif isinstance(change, Arm):
                    armed(connection, change)
                elif isinstance(change, Forget):
                    connection.execute("DELETE FROM armed WHERE uuid = ?", change)
            if any(isinstance(change, Close) for change in changes):
                _prune(connection, now)
        return found

    def deliveries(self, incidents: Iterable[int]) -> dict[int, dict[str, str]]:
        """Incident id -> backend -> status of the report that the guest has failed."""
        query = "SELECT backend, status FROM delivery WHERE incident_id = ? AND kind = ?"
        return {incident: dict(self._rows(query, incident, FAILED)) for incident in incidents}

    def counts(self, backend: str) -> dict[str, int]:
        """Status -> number of this backend's deliveries, of all that the ledger still holds."""
        return dict(self._rows("SELECT status, count(*) FROM delivery WHERE backend = ? GROUP BY status", backend))

    def incidents(self, limit: int, guest: str | None = None) -> list[Past]:
        """The newest ones, open or closed, newest first. guest: its uuid, the beginning of that, or its name."""
        return history(self._rows, limit, guest)

    def incident(self, number: int) -> list[Past]:
        """The one with this number, open or closed, or none."""
        return one(self._rows, number)

    def fates(self, incident: int) -> tuple[Fate, ...]:
        """What has become of one incident's reports."""
        return fates(self._rows, incident)

    def fruit(self, incident: int) -> Fruit | None:
        """What has become of one incident's recovery."""
        return fruit(self._rows, incident)

    # Budgets. A time that lies in the future, because the clock went back since, is later than any `since`: it counts.

    def recoveries(self, uuid: str, since: str) -> int:
        """How often this guest's recovery was asked for since then; not those that were called off in time."""
        return int(self._rows(
            "SELECT count(*) FROM incident WHERE uuid = ? AND action = ? AND opened >= ? AND (closed_at IS NULL OR"
            f" EXISTS (SELECT 1 FROM delivery WHERE incident_id = incident.id AND {MAY_BE_ACTED_ON}))",
            uuid, RECOVER, since,
        )[0][0])  # fmt: skip

    def in_flight(self, since: str, besides: int = 0) -> int:
        """How many recoveries that were reported since then, perhaps, are not over yet. besides: not this incident."""
        return int(self._rows(
            "SELECT count(*) FROM incident WHERE closed_at IS NULL AND action = ? AND id != ? AND EXISTS (SELECT 1 FROM"
            f" delivery WHERE incident_id = incident.id AND {MAY_BE_ACTED_ON} AND"
            " coalesce(finished, generated_time) >= ?)",
            RECOVER, besides, since,
        )[0][0])  # fmt: skip

    def recovering(self, it: Incident, since: str) -> bool:
        """Whether somebody may be recovering this life of its guest since then because of another incident, where one
        of the two is a health check's: it would be stopped and started twice.

        Not if Masakari has done with the other. A guest that works no more cannot wait for what is not sure, or not
        followed any more; one that is unhealthy can.
        """
        waits = it.verdict == UNHEALTHY
        return bool(self._rows(
            "SELECT 1 FROM incident LEFT JOIN outcome ON incident_id = incident.id WHERE uuid = ? AND incarnation = ?"
            " AND incident.id != ? AND action = ? AND (? OR verdict = ? AND NOT coalesce(done, 0))"
            " AND coalesce(outcome.status, '') NOT IN (?, ?, ?, ?) AND EXISTS (SELECT 1 FROM delivery WHERE"
            f" incident_id = incident.id AND {MAY_BE_ACTED_ON} AND (? OR status = ?)"
            " AND coalesce(finished, generated_time) >= ?)",
            it.uuid, it.incarnation, it.id, RECOVER, waits, UNHEALTHY, *sorted(ENDED), waits, DELIVERED, since,
        ))  # fmt: skip

    # The couriers' side.

    def pending(self, backend: str) -> list[Delivery]:
        """What this backend still owes, oldest first, at most PENDING_LIMIT."""
        rows = self._rows(
            "SELECT delivery.id, generated_time, attempts, error, kind, coalesce(closed_at, ''),"
            f" coalesce(closed_why, ''), told_outcome, {INCIDENT} FROM delivery JOIN incident ON"
            " incident.id = incident_id WHERE backend = ? AND status = ? AND (closed_at IS NULL OR kind = ?)"
            " ORDER BY delivery.id LIMIT ?",
            backend, PENDING, CLEARED, PENDING_LIMIT,
        )  # fmt: skip
        return [Delivery(row[0], Incident(*row[8:]), *row[1:8]) for row in rows]

    def attempt(self, delivery: int) -> Attempt | None:
        """Marks, before it is made, that an attempt is made. None: nothing is owed any more: the incident is closed, or
        the failure that is over was surely never told."""
        with self._transaction() as connection:
            row = connection.execute(
                "SELECT attempts + 1, generated_time, uncertain OR sending, uuid, action, backend, kind, incident_id"
                " FROM delivery JOIN incident ON incident.id = incident_id WHERE delivery.id = ? AND status = ?",
                (delivery, PENDING),
            ).fetchone()
            if row is None or (row[6] == CLEARED and void(connection, delivery, row[7], row[5])):
                return None
            number, generated_time, uncertain, uuid, action, backend = row[:6]
            connection.execute(
                "UPDATE delivery SET attempts = ?, sending = 1, uncertain = ? WHERE id = ?",
                (number, uncertain, delivery),
            )
            previous = connection.execute(
                # CROSS: from the guest's incidents to their deliveries, never through all deliveries of a backend.
                "SELECT max(generated_time) FROM incident CROSS JOIN delivery ON incident.id = incident_id"
                f" WHERE uuid = ? AND action = ? AND backend = ? AND kind = ? AND delivery.id != ? AND"
                f" {MAY_HAVE_ARRIVED}",
                (uuid, action, backend, FAILED, delivery),
            ).fetchone()[0]
        return Attempt(number, generated_time, bool(uncertain), previous or "")

    def expired(self, delivery: int, now: str) -> None:
        """It does not matter any more."""
        self._finish(delivery, EXPIRED, (PENDING,), now)

    def delivered(self, delivery: int, now: str, reference: str) -> None:
        """It was accepted; reference: the backend's name for it. Holds also when the incident was closed meanwhile."""
        self._finish(delivery, DELIVERED, (PENDING, EXPIRED), now, reference=reference)

    def refused(self, delivery: int, now: str, error: str) -> None:
        """It will never be accepted, whatever we do."""
        self._finish(delivery, REFUSED, (PENDING,), now, error=error)

    def postponed(self, delivery: int, error: str, uncertain: bool) -> None:
        """The attempt has failed. uncertain: it may have been accepted all the same."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE delivery SET sending = 0, uncertain = uncertain OR ?, error = ? WHERE id = ?",
                (uncertain, bounded(error, 500), delivery),
            )

    def renewed(self, delivery: int, generated_time: str) -> None:
        """It becomes a new report, which nobody can have seen."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE delivery SET generated_time = ?, sending = 0, uncertain = 0 WHERE id = ? AND status = ?",
                (generated_time, delivery, PENDING),
            )

    def _finish(
        self, delivery: int, status: str, before: Sequence[str], now: str, error: str = "", reference: str = ""
    ) -> None:
        marks = ", ".join("?" * len(before))
        with self._transaction() as connection:
            connection.execute(
                "UPDATE delivery SET status = ?, sending = 0, finished = ?, error = ?, reference = ?"
                f" WHERE id = ? AND status IN ({marks})",
                (status, now, bounded(error, 500), bounded(reference, 64), delivery, *before),
            )
            if status == DELIVERED:
                row = connection.execute("SELECT incident_id FROM delivery WHERE id = ?", (delivery,)).fetchone()
                asked(connection, row[0], now)


def _opened(
    connection: sqlite3.Connection, change: Open, now: str, backends: Sequence[str | Recipient]
) -> Incident:
    try:
        return opened(connection, change, now, backends)
    except sqlite3.IntegrityError as error:
        raise AlreadyOpenError(f"{change.verdict} of guest {change.uuid}, incarnation {change.incarnation}") from error


def _prune(connection: sqlite3.Connection, now: str) -> None:
    before = (datetime.fromisoformat(now.replace("Z", "+00:00")) - timedelta(days=KEEP_DAYS)).isoformat()
    # Only the oldest are looked at, however many there are: an incident is closed soon after it was opened.
    connection.execute(
        "DELETE FROM incident WHERE closed_at < ? AND id IN (SELECT id FROM incident WHERE closed_at IS NOT NULL"
        " AND id <= (SELECT max(id) FROM incident) - ? ORDER BY id LIMIT ?)",
        (before, KEEP_NUMBER, PRUNE_STEP),
    )
