"""What is measured of what lies on disk: what is still owed and since when, how large the ledger and evidence are."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import NamedTuple

from heartbeat.database import Database
from heartbeat.records import CLEARED, FAILED, PENDING


class Owed(NamedTuple):
    """Reports that a backend has not taken. since: of what the oldest tells, UTC in ISO 8601."""

    number: int
    since: str


class Volume(NamedTuple):
    """incidents: open and closed. size: bytes on disk, the log of what is not yet in the file included."""

    incidents: int
    size: int


class Bundles(NamedTuple):
    """Evidence of incidents. kept, size: bundles and bytes on disk. captured: how capturing ended -> times."""

    kept: int
    size: int
    captured: Mapping[str, int]


class Figures:
    """Those of a ledger's database. Every method raises LedgerError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def owed(self) -> dict[str, Owed]:
        """By backend, of those that owe something. A report that was made out anew is as old as what it tells."""
        rows = self._database.rows(
            "SELECT backend, count(*), min(CASE kind WHEN ? THEN opened ELSE coalesce(closed_at, opened) END) FROM"
            " delivery JOIN incident ON incident.id = incident_id WHERE backend IN (SELECT DISTINCT backend FROM"
            " delivery) AND status = ? AND (closed_at IS NULL OR kind = ?) GROUP BY backend",
            FAILED, PENDING, CLEARED,
        )  # fmt: skip
        return {backend: Owed(number, since) for backend, number, since in rows}

    def volume(self) -> Volume:
        (incidents,), = self._database.rows("SELECT count(*) FROM incident")
        size = 0
        for suffix in ("", "-wal"):
            with contextlib.suppress(OSError):  # no log, or a file that was removed under us, as the owner finds out
                size += os.stat(self._database.path + suffix).st_size
        return Volume(incidents, size)
