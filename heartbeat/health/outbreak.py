"""Whether so many guests became unhealthy at once that the fault is not theirs: a database that all of them depend on
is not brought back by power-cycling everybody. Pure, as the breaker for guests that fall silent together, whose limits
it shares."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from heartbeat.health.definition import Check
from heartbeat.localhealth import crowd, least

if TYPE_CHECKING:
    from heartbeat.condition import Limits


def outbreak(
    suspected: Mapping[str, float], watched: int, now: float, limits: Limits, lag: float, was: bool
) -> str:
    """Why nobody is recovered because of a health check, for people, or "".

    suspected: since when (monotonic seconds) each guest has been bad by a check that may have it recovered. watched:
    how many have such a check. lag: seconds in which a check has seen all of its guests: what befell them in one moment
    is noticed over so long a time.
    """
    found = crowd(suspected, watched, now, limits.share, limits.number, limits.window + lag, was)
    if found is None:
        return ""
    if found.spread is None:
        return f"{found.guests} of {watched} guests are still unhealthy of those that became so together"
    seconds = max(math.ceil(found.spread), 1)
    return (
        f"{found.guests} of {watched} guests became unhealthy within {seconds} s: what they depend on is likelier to"
        " blame than each of them"
    )


def lag(check: Check) -> float:
    """Seconds until a check has seen all of its guests once more."""
    return check.interval + check.timeout


def early(check: Check, begun: float, watched: int, now: float, limits: Limits) -> bool:
    """Whether it is too early to recover a guest that became bad at `begun`: the others may be so as well, but have not
    been looked at since. Not where they are too few to tell."""
    return limits.hold and watched >= least(watched, limits.share, limits.number) and now < begun + lag(check)
