"""How long a guest may take to answer and to boot, learned from the guest itself. Pure, as all of the decision.

Learned as TCP learns its time-out (Jacobson and Karels, RFC 6298): a mean, and four times the mean deviation from it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

# Seconds. A healthy agent answers in milliseconds and libvirt counts whole seconds, so this is a second of mercy.
ANSWER_LEAST = 2.0
# A boot that applies updates or checks a file system takes far longer than those before it.
BOOT_LEAST = 120.0


class Estimate(NamedTuple):
    """Seconds."""

    mean: float
    deviation: float


def learn(known: Estimate | None, seconds: float) -> Estimate:
    """What is known after one more measurement."""
    if known is None:
        return Estimate(seconds, seconds / 2)
    error = seconds - known.mean
    return Estimate(known.mean + error / 8, known.deviation + (abs(error) - known.deviation) / 4)


def answer_limit(known: Estimate | None, silent: bool, most: float, stretch: float) -> int:
    """Whole seconds that a question may be out.

    silent: whether the question before it stayed unanswered. A repeated question gets all the time that there is: its
    answer is the better measurement, and libvirt before 11.3 itself waits 5 s then. most: as set.
    """
    if silent or known is None:
        return int(most)
    return int(min(most, math.ceil(_limit(known, ANSWER_LEAST) * stretch)))


def boot_limit(known: Estimate | None, most: float) -> float:
    """Seconds from its start in which a guest's agent should have answered. most: as set."""
    return most if known is None else min(most, _limit(known, BOOT_LEAST))


def _limit(known: Estimate, least: float) -> float:
    return max(least, known.mean + 4 * known.deviation)
