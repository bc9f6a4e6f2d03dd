"""When a delivery that has failed is tried again. Pure."""

from __future__ import annotations

from typing import NamedTuple

# Seconds.
FIRST_DELAY, LAST_DELAY = 1.0, 60.0
# What keeps a report back is over in a moment, as a look at the guest, or lasts for long, as a hold.
FIRST_HELD, LAST_HELD = 0.2, 2.0
JITTER = 0.25  # of a delay, so that the nodes of a cloud do not all come back at once


class Wait(NamedTuple):
    """Why one delivery waits, and until when (monotonic). renew: it will be a new report then. held: how often in a row
    it was not to be reported just then."""

    until: float
    failures: int = 0
    reason: str = ""
    renew: bool = False
    held: int = 0


# Not the clock's present time: compared with a reading of the clock made a moment before, that would still lie ahead.
AT_ONCE = Wait(float("-inf"))


def held(wait: Wait) -> float:
    """Seconds until the owner is asked again whether this may be reported now."""
    return min(FIRST_HELD * 2.0 ** min(wait.held, 16), LAST_HELD)


def delay(failures: int, after: float | None, chance: float) -> float:
    """Seconds to wait after so many failures. after: what the receiver asks for at least. chance: from 0 to 1."""
    own = min(FIRST_DELAY * 2.0 ** min(failures - 1, 16), LAST_DELAY)
    return max(after or 0.0, own) * (1 + JITTER * chance)
