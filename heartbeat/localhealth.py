"""Are we fit to judge? How unwell this host, its libvirt and we ourselves are, and whether too many guests fell silent
at once for the fault to be theirs. Pure: no I/O, no clock.

What it promises:
- A busy host is well: processors that are all taken cost no point, since that is what a host is for, and a guest that
  is not let run tells so by the run delay of its vCPUs. Full pressure counts only beside another trouble.
- The points rise at once and fall by one in FALL seconds, so that a trouble that comes and goes is a trouble.
- The more points, the longer every time is stretched; above a limit no verdict may cause a recovery.
- The breaker trips only on more guests than the number *and* the share, and releases with less than half of them.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import NamedTuple

MOST = 7  # points; times are stretched to at most MOST + 1
FALL = 10.0  # seconds

# What costs one point more, each: seconds for the first two, else per cent of the last 10 seconds.
# A loop on a loaded host of two cores comes some 0.1 s late, a call of libvirt takes 0.2 ms and then some ms.
_LATE = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0)
_CANARY = (0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0)
# Everybody waits for memory: such a host swaps, or is just about to kill.
_MEMORY = (5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0)
# One process that waits for a disk beside idle ones is full pressure already: only the extreme says something.
_IO = (80.0, 95.0)
_CPU = 99.0


class Reading(NamedTuple):
    """What was measured of ourselves and the host.

    late: seconds that our loop was late recently. canary: seconds that a call of libvirt took, or has taken so far,
    that touches no guest; None if there is no such call, as without a connection. cpu: some, memory and io: full
    pressure in per cent over 10 s; 0 where the kernel does not tell.
    """

    late: float
    canary: float | None
    cpu: float
    memory: float
    io: float


class Score(NamedTuple):
    """points: 0 (well) to MOST. why: what is wrong, for people; "" if nothing is."""

    points: int
    why: str


class Health(NamedTuple):
    """What the readings so far amount to. since: when the points were last confirmed, or fell (monotonic seconds)."""

    points: int = 0
    since: float = 0.0
    why: str = ""

    @property
    def stretch(self) -> int:
        """By what times are multiplied."""
        return self.points + 1


def score(reading: Reading) -> Score:
    """How bad it is now, and what is."""
    found = [
        (bisect_right(_LATE, reading.late), f"our own loop came {reading.late:.1f} s late"),
        (bisect_right(_CANARY, reading.canary or 0.0), f"libvirt takes {reading.canary or 0.0:.1f} s to answer"),
        (bisect_right(_MEMORY, reading.memory), f"the host waits {reading.memory:.0f} % of the time for memory"),
        (bisect_right(_IO, reading.io), f"the host waits {reading.io:.0f} % of the time for disks"),
    ]
    if reading.cpu >= _CPU and any(points for points, _ in found):
        found.append((1, "its processors are never free"))
    return Score(min(sum(points for points, _ in found), MOST), "; ".join(why for points, why in found if points))


def step(health: Health, reading: Reading, now: float) -> Health:
    """The health after one more reading."""
    points, why = score(reading)
    if points >= health.points:
        return Health(points, now, why)
    if now - health.since >= FALL:
        return Health(health.points - 1, now, why or (f"recovering: {_cause(health)}" if health.points > 1 else ""))
    return health


def unfit(health: Health, limit: int) -> str:
    """Why nobody is to be judged, or "". limit: the points with which one may just still judge."""
    return f"{health.why or 'this host was unwell'} ({health.points} points of {MOST})" if health.points > limit else ""


class Crowd(NamedTuple):
    """Too many guests at once: how many, of how many. spread: seconds between the first and the last beginning; None:
    they are what is left of such a crowd."""

    guests: int
    watched: int
    spread: float | None


def crowd(
    suspected: Mapping[str, float],
    watched: int,
    now: float,
    share_percent: float,
    number: int,
    window: float,
    was: bool,
) -> Crowd | None:
    """Whether so many guests are suspect that what they have in common is to blame.

    suspected: since when (monotonic seconds) each guest that is suspect at present has been so. watched: how many could
    be. It takes more than `number` of them, and more than `share_percent`, that began within `window` seconds; then it
    lasts until fewer than half as many are suspect, whenever they began.
    """
    needed = least(watched, share_percent, number)
    if was and 2 * len(suspected) >= needed:
        return Crowd(len(suspected), watched, None)
    count, spread = _together(sorted(since for since in suspected.values() if since <= now), window)
    return Crowd(count, watched, spread) if count >= needed else None


def least(watched: int, share_percent: float, number: int) -> int:
    """How many it takes."""
    return max(number, math.floor(share_percent * watched / 100)) + 1


def tripped(
    suspected: Mapping[str, float],
    watched: int,
    now: float,
    share_percent: float,
    number: int,
    window: float,
    was_tripped: bool,
) -> str:
    """Why the silence of so many guests is held against the host instead of them, or "". suspected: since when each
    guest that is not heard of at present has been silent. watched: how many guests we would miss. See crowd."""
    found = crowd(suspected, watched, now, share_percent, number, window, was_tripped)
    if found is None:
        return ""
    if found.spread is None:
        return f"{found.guests} of {watched} guests are still silent of those that fell silent together"
    seconds = max(math.ceil(found.spread), 1)
    return (
        f"{found.guests} of {watched} guests fell silent within {seconds} s: a fault of the host, its storage or"
        " libvirt is likelier than one of theirs"
    )


def _cause(health: Health) -> str:
    return health.why.partition("recovering: ")[2] or health.why


def _together(began: Iterable[float], window: float) -> tuple[int, float]:
    """The most beginnings within one window, and the seconds between the first and the last of them. In order."""
    best, spread = 0, 0.0
    times = list(began)
    first = 0
    for last, at in enumerate(times):
        while at - times[first] > window:
            first += 1
        if last - first + 1 > best:
            best, spread = last - first + 1, at - times[first]
    return best, spread
