"""How far a run of a health check has come, and how it ends. Pure."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple, Union

from heartbeat.health import replies
from heartbeat.health.definition import Check
from heartbeat.health.replies import Call, Refusal, Reply

# A living agent answers any of our calls at once, whatever the check's timeout is; and while one is out, the guest is
# asked nothing else.
CALL = 5  # seconds


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


class Phase(Enum):
    """What the reply that comes next is to."""

    TIDYING = "closing the file of an earlier run"
    STARTING = "starting the program"
    RUNNING = "looking whether it has exited"
    OPENING = "opening the file"
    READING = "reading it"
    CLOSING = "closing it"
    CLOCK = "asking for the guest's clock"
    MEASURING = "asking for what is measured"
    OVER = "nothing"


class Course(NamedTuple):
    """A run of a check. Times are monotonic seconds.

    begun: when the run began. process: its number in the guest, None for none; started: when; polls: looks at it so
    far. handle: of the open file. content: what was in it. ending: how the run ends once the file is closed. heard: the
    replies to a measure's calls. quiet: until when the program's output is not asked for.
    """

    check: Check
    begun: float
    phase: Phase = Phase.OVER
    process: int | None = None
    started: float = 0.0
    polls: int = 0
    handle: int | None = None
    content: str = ""
    ending: tuple[Status, str] | None = None
    heard: tuple[Reply, ...] = ()
    quiet: float = 0.0


Step = Union[Call, Result]

# How a run ends goes with its reason, for people; a guest's words may be in it.
NOT_UNDERSTOOD = (Status.UNKNOWN, "its agent's answer is not understood")


def over(course: Course, status: Status, text: str, now: float) -> tuple[Course, Step]:
    return course._replace(phase=Phase.OVER), Result(status, replies.printed(text), now - course.begun)


def overdue(course: Course, text: str) -> tuple[Status, str]:
    return Status(course.check.overdue), text


def refused(why: Refusal, reply: Reply, command: str) -> tuple[Status, str]:
    """How a run ends that the agent has refused a call."""
    if why in (Refusal.DISABLED, Refusal.UNKNOWN, Refusal.FROZEN):
        return Status.UNKNOWN if why is Refusal.FROZEN else Status.CANNOT, why.value.format(command)
    detail = replies.complaint(reply.error) if reply.error else "its agent's answer cannot be read"
    return Status.UNKNOWN, f"{command}: {detail}"
