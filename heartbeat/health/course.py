"""One run of one health check: which call of the agent's is next, and how it comes out. Pure: whoever runs it puts the
calls and says what time it is.

A run that ended may leave something in the guest: a process that has not exited, a file that is not closed. The course
keeps it, and the next run of the check begins with it.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple, Union

from heartbeat.health.definition import Check
from heartbeat.health.replies import Call, Capabilities, Reply


class Status(Enum):
    """How a guest is by one check. Only UNHEALTHY and RESET are the guest's failure."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    INITIALISING = "initialising"
    UNKNOWN = "unknown"
    CANNOT = "cannot check"
    RESET = "reset-me"


class Result(NamedTuple):
    """How a run ended. text: for people, ASCII, bounded, safe to print. took: seconds."""

    status: Status
    text: str
    took: float


class Course(NamedTuple):
    """A run of a check. begun: when, monotonic seconds."""

    check: Check
    begun: float


Step = Union[Call, Result]


def begin(check: Check, capabilities: Capabilities | None, now: float, before: Course | None = None
          ) -> tuple[Course, Step]:
    """Begin a run. capabilities: None if they are not known. before: the check's last course in this guest, which may
    have left something there."""
    return Course(check, now), Result(Status.UNKNOWN, "", 0.0)


def step(course: Course, reply: Reply, now: float) -> tuple[Course, Step]:
    """Go on with what the call has come to. After a Result the course is over."""
    return course, Result(Status.UNKNOWN, "", now - course.begun)


def reconnected(course: Course) -> Course:
    """A course that is over, after its agent has begun anew: what it left there is gone."""
    return course
