"""How a guest is by one check, over its runs. Pure."""

from __future__ import annotations

from typing import NamedTuple

from heartbeat.health.definition import Check
from heartbeat.health.progress import Result, Status

BAD = frozenset({Status.UNHEALTHY, Status.RESET})


class Condition(NamedTuple):
    """Times are monotonic seconds.

    status, text: of the last run; one within the check's grace is never bad. since: when the status began. at: when the
    last run ended. took: its seconds. failures: bad runs since the last healthy one. begun: when the first of them
    ended, None if there is none. asked: whether the guest has asked for its own recovery since.
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
    """With the result of one more run. up_since: when the guest began, monotonic seconds.

    Only a healthy run clears what bad ones have counted; what says nothing about the application changes nothing. The
    grace holds for a guest's own wish, too: a file that asks for a reset outlives it, and would ask again.
    """
    status = result.status
    if status in BAD and now - up_since < check.grace:
        status = Status.INITIALISING
    since = condition.since if condition and condition.status is status else now
    failures, begun, asked = (condition.failures, condition.begun, condition.asked) if condition else (0, None, False)
    if status is Status.HEALTHY:
        failures, begun, asked = 0, None, False
    elif status in BAD:
        failures, begun, asked = failures + 1, now if begun is None else begun, asked or status is Status.RESET
    return Condition(status, result.text, since, now, result.took, failures, begun, asked)


def failed(condition: Condition, check: Check) -> bool:
    """Whether the guest has failed by this check: bad as often as it takes, or once where it asked for its recovery and
    may. It has until a run is healthy."""
    return condition.failures >= check.failures or (condition.asked and check.reset)


def stands(condition: Condition, check: Check) -> bool:
    """Whether it has failed and its last run says so: what a recovery may rest on."""
    return failed(condition, check) and condition.status in BAD
