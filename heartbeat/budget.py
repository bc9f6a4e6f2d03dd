"""How often guests of this node may be recovered: a guest that fails again and again is not helped by it. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple


class Budget(NamedTuple):
    """recoveries: of one guest within `window` seconds. in_flight: of this node at a time; for the extreme only, since
    Masakari itself recovers the guests of a host one after the other."""

    recoveries: int = 3
    window: float = 3600.0
    in_flight: int = 50

    def since(self, now: str) -> str:
        """From when on recoveries count. Both are UTC in ISO 8601; wall time, since it must survive our restarts."""
        return _earlier(now, self.window)


# Seconds: Masakari stops a guest within 180 and starts it within 60; by then a recovery is over, or will never be.
FLIGHT = 600.0


def flights_since(now: str) -> str:
    """From when on a report that was delivered counts as a recovery that is still going on."""
    return _earlier(now, FLIGHT)


def _earlier(now: str, seconds: float) -> str:
    return (datetime.fromisoformat(now) - timedelta(seconds=seconds)).isoformat(timespec="microseconds")
