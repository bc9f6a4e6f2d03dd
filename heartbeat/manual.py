"""Holds by hand: an operator knows that a guest, or the whole node, will misbehave for a while. Pure.

Each has an owner, a reason and an end, because one without is forgotten, and the guest with it. Times are UTC in ISO
8601 as the ledger has them, all of the same form, so that they sort as texts: they are to hold across our restarts and
the host's.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

ALL = "all"  # the scope of a whole node; any other is a guest's uuid


class ManualHold(NamedTuple):
    """scope: a guest's uuid, or ALL. begun, until: UTC in ISO 8601."""

    id: int
    scope: str
    owner: str
    reason: str
    begun: str
    until: str


def concerning(holds: Sequence[ManualHold], uuid: str, now: str) -> list[ManualHold]:
    """Those that hold this guest now, the one that ends last first."""
    found = [hold for hold in holds if hold.scope in (ALL, uuid) and now < hold.until]
    return sorted(found, key=lambda hold: hold.until, reverse=True)


def held(holds: Sequence[ManualHold], uuid: str, now: str) -> str:
    """Why this guest is held now, for people, or ""."""
    found = concerning(holds, uuid, now)
    return told(found[0]) if found else ""


def told(hold: ManualHold) -> str:
    """A hold for people, in one line."""
    whole = "the whole node, " if hold.scope == ALL else ""
    return f"held by {hold.owner} until {hold.until[:19]}Z: {whole}{hold.reason}"


def rebased(hold: ManualHold, now: str) -> ManualHold:
    """A hold that begins in the future: the clock went back since, and no hold lasts longer for that."""
    if hold.begun <= now:
        return hold
    begun, until, moment = (datetime.fromisoformat(text) for text in (hold.begun, hold.until, now))
    return hold._replace(begun=now, until=(moment + (until - begun)).isoformat(timespec="microseconds"))
