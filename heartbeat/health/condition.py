"""How a guest is by one check, over its runs. Pure."""

from __future__ import annotations

from typing import NamedTuple

from heartbeat.health.course import Result, Status
from heartbeat.health.definition import Check


class Condition(NamedTuple):
    """Times are monotonic seconds.

    status, text: of the last run; one within the check's grace is never unhealthy. since: when the status began. at:
    when the last run ended. took: its seconds. failures: unhealthy runs since the last healthy one. begun: when the
    first of them ended, None if there is none. asked: whether the guest asks for its own recovery and may.
    """

    status: Status
    text: str
    since: float
    at: float
    took: float
    failures: int = 0
    begun: float | None = None
    asked: bool = False


def learned(condition: Condition | None, result: Result, check: Check, up_since: float, now: float) -> Condition:
    """With the result of one more run. up_since: when the guest began, monotonic seconds."""
    return Condition(result.status, result.text, now, now, result.took)


def failed(condition: Condition, check: Check) -> bool:
    """Whether the guest has failed by this check."""
    return False
