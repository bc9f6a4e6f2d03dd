"""What is counted from the helper's start on, whether anybody asks for it or not: a few numbers, and next to no time.

Everything here is changed by the owner loop only, but for `delivery`, which each backend's courier calls for its own
backend. Any thread may read: what is found is of about now, and never less than before.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from heartbeat.probe import LIFE, Answer

# What comes of an attempt to deliver a report; FAILED is made again.
RESULTS = DELIVERED, FAILED, REFUSED, EXPIRED = "delivered", "failed", "refused", "expired"
# Seconds. A healthy agent answers in milliseconds, and is given 2 to 20 s.
ANSWERS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# Seconds, up from what a loaded host of two cores does; the larger ones cost points of local health.
LATENESS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 6.0, 10.0)


class Distribution(NamedTuple):
    """bounds: upper ones, ascending. counts: of values up to each and above the one before, and of those above all.
    total: sum of the values."""

    bounds: Sequence[float]
    counts: Sequence[int]
    total: float


class Histogram:
    """Values by size. bounds: upper ones, ascending."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds, self._counts, self._total = bounds, [0] * (len(bounds) + 1), 0.0

    def put(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    def read(self) -> Distribution:
        return Distribution(self._bounds, tuple(self._counts), self._total)


class Tally:
    """answers: by class. verdicts: (verdict, action) -> incidents opened. deliveries: (backend, result) -> attempts.
    seconds: that answers took, of guests that answered. lateness: of the owner loop, the worst of each turn."""

    def __init__(self) -> None:
        self.answers = dict.fromkeys(Answer, 0)
        self.verdicts: dict[tuple[str, str], int] = {}
        self.deliveries: dict[tuple[str, str], int] = {}
        self.seconds, self.lateness = Histogram(ANSWERS), Histogram(LATENESS)

    def answered(self, answer: Answer, seconds: float) -> None:
        """A question has come back after so many seconds."""
        self.answers[answer] += 1
        if answer in LIFE:
            self.seconds.put(seconds)

    def opened(self, verdict: str, action: str) -> None:
        self.verdicts[verdict, action] = self.verdicts.get((verdict, action), 0) + 1

    def late(self, seconds: float) -> None:
        """How much too late the owner loop came, at most, in the turn that is over."""
        self.lateness.put(seconds)

    def delivery(self, backend: str, result: str) -> None:
        """One of RESULTS came of an attempt. Each backend's only by one thread at a time, or some would be lost."""
        self.deliveries[backend, result] = self.deliveries.get((backend, result), 0) + 1
