"""What must survive us: armed incarnations, incidents and their deliveries, in SQLite.

Nothing is sent that is not written here first, and every transaction is on disk (WAL, synchronous FULL) before its
method returns. So kill -9 at any instruction loses no incident, and a report whose fate is unknown is sent again as it
was.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from heartbeat.database import Database, LedgerError
from heartbeat.incident import Arm, Change, Close, Forget, Incident, Open

__all__ = ["AlreadyOpenError", "Attempt", "Delivery", "Ledger", "LedgerError"]

SCHEMA_VERSION = 1
PENDING, DELIVERED, REFUSED, EXPIRED = "pending", "delivered", "refused", "expired"

_SCHEMA = f"""
CREATE TABLE armed (uuid TEXT PRIMARY KEY, incarnation TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE incident (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again, so that an old number in a log stays unambiguous
    uuid TEXT NOT NULL, name TEXT NOT NULL, incarnation TEXT NOT NULL, verdict TEXT NOT NULL, action TEXT NOT NULL,
    opened TEXT NOT NULL, evidence TEXT NOT NULL, closed_at TEXT, closed_why TEXT);
CREATE UNIQUE INDEX incident_open ON incident (uuid, verdict, incarnation) WHERE closed_at IS NULL;
CREATE INDEX incident_of_guest ON incident (uuid);
CREATE TABLE delivery (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    incident_id INTEGER NOT NULL REFERENCES incident (id) ON DELETE CASCADE, backend TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('{PENDING}', '{DELIVERED}', '{REFUSED}', '{EXPIRED}')),
    generated_time TEXT NOT NULL,          -- what a resend must repeat exactly
    attempts INTEGER NOT NULL DEFAULT 0,
    sending INTEGER NOT NULL DEFAULT 0,    -- 1 from before an attempt until its result is known, also if we are killed
    uncertain INTEGER NOT NULL DEFAULT 0,  -- 1: an earlier attempt may have been accepted
    error TEXT NOT NULL DEFAULT '', reference TEXT NOT NULL DEFAULT '', finished TEXT,
    UNIQUE (incident_id, backend));
CREATE INDEX delivery_by_status ON delivery (backend, status);
"""
_INCIDENT = ", ".join(f"incident.{column}" for column in Incident.__dataclass_fields__)

# A closed incident goes when it is older than KEEP_DAYS and there are KEEP_NUMBER newer ones: a few MB at most stay.
KEEP_DAYS, KEEP_NUMBER, PRUNE_STEP = 90, 10_000, 100
# More than the guests of one node can have open; a bound on memory, not a policy.
PENDING_LIMIT = 1000


class AlreadyOpenError(Exception):
    """The guest's incarnation already has an open incident with this verdict: the caller's bug. Nothing was changed."""


class Delivery(NamedTuple):
    """A report that one backend still owes. error: why the last attempt failed, or ""."""

    id: int
    incident: Incident
    generated_time: str
    attempts: int
    error: str


class Attempt(NamedTuple):
    """An attempt that is about to be made, already on disk.

    uncertain: an earlier attempt with this very generated_time may have been accepted.
    previous: the latest generated_time of any other report about this guest that may have been accepted, or "".
    """

    number: int
    generated_time: str
    uncertain: bool
    previous: str


class Ledger:
    """The ledger of one node. Any thread may call any method; each raises LedgerError when the disk or SQLite fails."""

    def __init__(self, directory: str) -> None:
        self._database = Database(os.path.join(directory, "ledger.sqlite"), _SCHEMA, SCHEMA_VERSION)
        self.path = self._database.path
        self.close = self._database.close
        self._rows, self._transaction = self._database.rows, self._database.transaction

    # The owner's side.

    def armed(self) -> dict[str, str]:
        """Guest uuid -> the incarnation that has answered."""
        return dict(self._rows("SELECT uuid, incarnation FROM armed"))

    def open_incidents(self) -> list[Incident]:
        rows = self._rows(f"SELECT {_INCIDENT} FROM incident WHERE closed_at IS NULL ORDER BY id")
        return [Incident(*row) for row in rows]

    def apply(self, changes: Sequence[Change], now: str, recipients: Mapping[str, Sequence[str]]) -> list[Incident]:
        """All the changes, or none, in one transaction. Returns the incidents that it opened.

        now: UTC in ISO 8601. recipients: action -> names of the backends that are to be told of it.
        Raises AlreadyOpenError.
        """
        opened = []
        with self._transaction() as connection:
            for change in changes:
                if isinstance(change, Open):
                    opened.append(_opened(connection, change, now, recipients.get(change.action, ())))
                elif isinstance(change, Close):
                    _close(connection, change, now)
                elif isinstance(change, Arm):
                    connection.execute("INSERT OR REPLACE INTO armed VALUES (?, ?)", change)
                elif isinstance(change, Forget):
                    connection.execute("DELETE FROM armed WHERE uuid = ?", change)
            if any(isinstance(change, Close) for change in changes):
                _prune(connection, now)
        return opened

    def deliveries(self, incidents: Iterable[int]) -> dict[int, dict[str, str]]:
        """Incident id -> backend -> status."""
        found: dict[int, dict[str, str]] = {}
        for incident in incidents:
            found[incident] = dict(self._rows("SELECT backend, status FROM delivery WHERE incident_id = ?", incident))
        return found

    def counts(self, backend: str) -> dict[str, int]:
        """Status -> number of this backend's deliveries, of all that the ledger still holds."""
        return dict(self._rows("SELECT status, count(*) FROM delivery WHERE backend = ? GROUP BY status", backend))

    # The couriers' side.

    def pending(self, backend: str) -> list[Delivery]:
        """What this backend still owes, oldest first, at most PENDING_LIMIT."""
        rows = self._rows(
            f"SELECT delivery.id, generated_time, attempts, error, {_INCIDENT} FROM delivery"
            " JOIN incident ON incident.id = incident_id WHERE backend = ? AND status = ? AND closed_at IS NULL"
            " ORDER BY delivery.id LIMIT ?", backend, PENDING, PENDING_LIMIT,
        )
        return [Delivery(row[0], Incident(*row[4:]), *row[1:4]) for row in rows]

    def attempt(self, delivery: int) -> Attempt | None:
        """Marks, before it is made, that an attempt is made. None: nothing is owed any more, the incident is closed."""
        with self._transaction() as connection:
            row = connection.execute(
                "SELECT attempts + 1, generated_time, uncertain OR sending, uuid, backend FROM delivery"
                " JOIN incident ON incident.id = incident_id WHERE delivery.id = ? AND status = ?", (delivery, PENDING),
            ).fetchone()
            if row is None:
                return None
            number, generated_time, uncertain, uuid, backend = row
            connection.execute(
                "UPDATE delivery SET attempts = ?, sending = 1, uncertain = ? WHERE id = ?",
                (number, uncertain, delivery),
            )
            previous = connection.execute(
                "SELECT max(generated_time) FROM delivery JOIN incident ON incident.id = incident_id"
                " WHERE uuid = ? AND backend = ? AND delivery.id != ? AND (status = ? OR uncertain OR sending)",
                (uuid, backend, delivery, DELIVERED),
            ).fetchone()[0]
        return Attempt(number, generated_time, bool(uncertain), previous or "")

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
                (uncertain, _bounded(error, 500), delivery),
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
                (status, now, _bounded(error, 500), _bounded(reference, 64), delivery, *before),
            )


def _bounded(text: str, limit: int) -> str:
    # A lone surrogate, which a strange domain name could bring, has no UTF-8.
    return text[:limit].encode("utf-8", "replace").decode("utf-8")


def _opened(connection: sqlite3.Connection, change: Open, now: str, backends: Sequence[str]) -> Incident:
    name, evidence = _bounded(change.name, 255), _bounded(change.evidence, 4096)
    values = (change.uuid, name, change.incarnation, change.verdict, change.action, now, evidence)
    try:
        row = connection.execute("INSERT INTO incident VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)", values)
    except sqlite3.IntegrityError as error:
        raise AlreadyOpenError(f"{change.verdict} of guest {change.uuid}, incarnation {change.incarnation}") from error
    number = row.lastrowid
    assert number is not None
    connection.executemany(
        "INSERT INTO delivery (incident_id, backend, status, generated_time) VALUES (?, ?, ?, ?)",
        [(number, backend, PENDING, now) for backend in backends],
    )
    return Incident(number, *values)


def _close(connection: sqlite3.Connection, change: Close, now: str) -> None:
    connection.execute(
        "UPDATE incident SET closed_at = ?, closed_why = ? WHERE id = ? AND closed_at IS NULL",
        (now, _bounded(change.why, 500), change.id),
    )
    connection.execute(
        "UPDATE delivery SET status = ?, finished = ? WHERE incident_id = ? AND status = ?",
        (EXPIRED, now, change.id, PENDING),
    )


def _prune(connection: sqlite3.Connection, now: str) -> None:
    before = (datetime.fromisoformat(now.replace("Z", "+00:00")) - timedelta(days=KEEP_DAYS)).isoformat()
    connection.execute(
        "DELETE FROM incident WHERE id IN (SELECT id FROM incident WHERE closed_at < ?"
        " AND id <= (SELECT max(id) FROM incident) - ? ORDER BY id LIMIT ?)",
        (before, KEEP_NUMBER, PRUNE_STEP),
    )
