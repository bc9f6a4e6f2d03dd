"""How an incident and what is owed for it come into the ledger's tables, and go out of force: within transactions."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from heartbeat.incident import RECOVER, Arm, Close, Incident, Open
from heartbeat.records import (
    CLEARED,
    EXPIRED,
    FAILED,
    MAY_BE_ACTED_ON,
    MAY_HAVE_ARRIVED,
    PENDING,
    Recipient,
    bounded,
)


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
    # Somebody may have been asked to recover it, though we do not know it yet.
    asked(connection, change.id, now)
    # Whoever was told, or may just be being told, that the guest has failed is told that this is over.
    connection.execute(
        "INSERT OR IGNORE INTO delivery (incident_id, backend, kind, acts, status, generated_time, told_outcome) SELECT"
        " incident_id, backend, ?, 0, ?, ?, coalesce((SELECT outcome FROM outcome WHERE incident_id = delivery."
        f"incident_id), '') FROM delivery WHERE incident_id = ? AND kind = ? AND clears AND {MAY_HAVE_ARRIVED}",
        (CLEARED, PENDING, now, change.id, FAILED),
    )
    connection.execute(
        "UPDATE delivery SET status = ?, finished = ? WHERE incident_id = ? AND status = ? AND kind = ?",
        (EXPIRED, now, change.id, PENDING, FAILED),
    )


def asked(connection: sqlite3.Connection, incident: int, now: str) -> None:
    """From now on it is followed what becomes of this incident's recovery, if one has been, or may have been, asked
    for."""
    connection.execute(
        "INSERT OR IGNORE INTO outcome (incident_id, told, changed) SELECT id, ?, ? FROM incident WHERE id = ? AND"
        " action = ? AND EXISTS (SELECT 1 FROM delivery WHERE incident_id = incident.id AND kind = ? AND"
        f" {MAY_BE_ACTED_ON})",
        (now, now, incident, RECOVER, FAILED),
    )


def armed(connection: sqlite3.Connection, change: Arm) -> None:
    """A guest has answered that did not: the recoveries that were asked for are told of it at once, since it may stop
    again before anybody looks."""
    connection.execute("INSERT OR REPLACE INTO armed VALUES (?, ?)", change)
    connection.execute(
        "UPDATE outcome SET answered = ?2 WHERE NOT done AND incident_id IN (SELECT id FROM incident WHERE uuid = ?1)",
        change,
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
