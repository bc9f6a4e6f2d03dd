"""Reasons not to judge a guest for a while, each with its beginning and its ceiling. Pure: no I/O, no clock.

A grace ends by itself. Any other hold ends when its reason does; when that takes longer than its ceiling an operator is
warned, and the guest is still not judged: a backup that hangs is no reason to power-cycle what it backs up.
"""

from __future__ import annotations

from typing import NamedTuple

GRACE = "grace"
JOB = "job"
BUSY = "agent busy"
DUMP = "crash dump"
PAUSE = "paused"
TASK = "task"

# Seconds. A memory dump of a large guest or a backup may take an hour; a guest that shuts down, minutes.
CEILINGS = {JOB: 3600.0, TASK: 3600.0, BUSY: 1800.0, DUMP: 900.0, PAUSE: 86400.0}


class Hold(NamedTuple):
    """kind: one of the words above. why: for people. warned: the ceiling has passed, and that was said.

    since, until: monotonic seconds; until is the ceiling, or the end of a grace.
    """

    kind: str
    why: str
    since: float
    until: float
    warned: bool = False


Holds = tuple[Hold, ...]


def begin(holds: Holds, kind: str, why: str, now: float, seconds: float | None = None) -> Holds:
    """The holds with this one; one of its kind that is there already keeps its beginning. seconds: of a grace."""
    known = next((hold for hold in holds if hold.kind == kind), None)
    rest = end(holds, kind)
    if known is None or kind == GRACE:
        return (*rest, Hold(kind, why, now, now + (CEILINGS[kind] if seconds is None else seconds)))
    return (*rest, known._replace(why=why))


def end(holds: Holds, *kinds: str) -> Holds:
    """The holds without those of these kinds."""
    return tuple(hold for hold in holds if hold.kind not in kinds) if holds else holds


def expired(holds: Holds, now: float) -> Holds:
    """The holds without a grace that is over."""
    return tuple(hold for hold in holds if hold.kind != GRACE or hold.until > now) if holds else holds


def overdue(holds: Holds, now: float) -> list[Hold]:
    """Those whose ceiling has passed without that being said yet."""
    return [hold for hold in holds if hold.kind != GRACE and not hold.warned and hold.until <= now]


def warned(holds: Holds, now: float) -> Holds:
    """The holds, each that is overdue marked as said."""
    late = overdue(holds, now)
    return tuple(hold._replace(warned=True) if hold in late else hold for hold in holds)


def next_at(holds: Holds) -> float:
    """When the next grace ends or ceiling passes; infinite if none will."""
    return min((hold.until for hold in holds if not hold.warned), default=float("inf"))


def told(holds: Holds) -> str:
    """The holds for people, "" if there is none."""
    return ", ".join(hold.why for hold in holds)


