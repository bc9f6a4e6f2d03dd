"""How an incident and what is owed for it come into the ledger's tables, and go out of force: within transactions."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from heartbeat.incident import Close, Incident, Open
from heartbeat.records import CLEARED, EXPIRED, FAILED, MAY_HAVE_ARRIVED, PENDING, Recipient, bounded


def opened(
    connection: sqlite3.Connection, change: Open, now: str, backends: Sequence[str | Recipient]
) -> Incident:
    """Raises sqlite3.IntegrityError if the same incident is open already."""
    name, evidence = bounded(change.name, 255), bounded(change.evidence, 4096)
    values = (change.uuid, name, change.incarnation, change.verdict, change.action, now, evidence)
    row = connection.execute("INSERT INTO incident VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)", values)
    number = row.lastrowid
    assert number is not None
    connection.executemany(
        "INSERT INTO delivery (incident_id, backend, acts, clears, status, generated_time) VALUES (?, ?, ?, ?, ?, ?)",
        [
            (number, *(Recipient(backend) if isinstance(backend, str) else backend), PENDING, now)
            for backend in backends
        ],
    )
    return Incident(number, *values)


def closed(connection: sqlite3.Connection, change: Close, now: str) -> None:
    connection.execute(
        "UPDATE incident SET closed_at = ?, closed_why = ? WHERE id = ? AND closed_at IS NULL",
        (now, bounded(change.why, 500), change.id),
    )
    # Whoever was told, or may just be being told, that the guest has failed is told that this is over.
    connection.execute(
        "INSERT OR IGNORE INTO delivery (incident_id, backend, kind, acts, status, generated_time) SELECT incident_id,"
        f" backend, ?, 0, ?, ? FROM delivery WHERE incident_id = ? AND kind = ? AND clears AND {MAY_HAVE_ARRIVED}",
        (CLEARED, PENDING, now, change.id, FAILED),
    )
    connection.execute(
        "UPDATE delivery SET status = ?, finished = ? WHERE incident_id = ? AND status = ? AND kind = ?",
        (EXPIRED, now, change.id, PENDING, FAILED),
    )


def void(connection: sqlite3.Connection, cleared: int, incident: int, backend: str) -> bool:
    """Whether the report that delivery `cleared` takes back surely never arrived; then this one expires as well."""
    told = connection.execute(
        f"SELECT 1 FROM delivery WHERE incident_id = ? AND backend = ? AND kind = ? AND {MAY_HAVE_ARRIVED}",
        (incident, backend, FAILED),
    ).fetchone()
    if told is None:
        connection.execute("UPDATE delivery SET status = ? WHERE id = ?", (EXPIRED, cleared))
    return told is None
