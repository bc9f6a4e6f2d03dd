"""One run of one health check: which call of the agent's is next, and how it comes out. Pure: whoever runs it puts the
calls and says what time it is.

A run that is over may leave something in the guest: a process that has not exited, a file that is not closed. The
course keeps them, and the next run of the check begins with them: in a guest there is never more than one process of a
check.
"""

from __future__ import annotations

from heartbeat.health import freshness, measures, program, replies
from heartbeat.health.definition import EXEC, FILE, Check
from heartbeat.health.progress import Course, Phase, Result, Status, Step, over
from heartbeat.health.replies import Capabilities, Reply

__all__ = ["Course", "Result", "Status", "Step", "begin", "reconnected", "step"]


def begin(
    check: Check, capabilities: Capabilities | None, now: float, before: Course | None = None
) -> tuple[Course, Step]:
    """Begin a run. capabilities: None if they are not known; the agent's refusals then say. before: the check's last
    course in this guest, which may have left something there."""
    course = Course(check, now)
    if before:
        course = course._replace(process=before.process, started=before.started, handle=before.handle,
                                 quiet=before.quiet)  # fmt: skip
    for command in _needed(check):
        if capabilities and command not in capabilities.commands:
            return over(course, Status.CANNOT, f"its agent has no {command}, or does not allow it", now)
    if course.handle is not None:
        return freshness.close(course, Phase.TIDYING)
    return _first(course, now)


def step(course: Course, reply: Reply, now: float) -> tuple[Course, Step]:
    """Go on with what the call has come to. After a Result the course is over."""
    if not replies.alive(reply):
        return over(course, Status.UNKNOWN, reply.answer.value, now)
    return _PHASES[course.phase](course, reply, now)


def reconnected(course: Course) -> Course:
    """A course that is over, after its agent has begun anew: what it left there is gone."""
    return course._replace(phase=Phase.OVER, process=None, handle=None)


def _needed(check: Check) -> tuple[str, ...]:
    if check.kind == EXEC:
        return program.COMMANDS
    return freshness.COMMANDS if check.kind == FILE else measures.MEASURES[check.measure].commands


def _first(course: Course, now: float) -> tuple[Course, Step]:
    if course.check.kind == EXEC:
        return program.begin(course, now)
    return freshness.begin(course) if course.check.kind == FILE else measures.begin(course)


def _tidied(course: Course, reply: Reply, now: float) -> tuple[Course, Step]:
    return _first(course._replace(handle=None), now)  # whatever it said: it is closed, or cannot be


def _ended(course: Course, reply: Reply, now: float) -> tuple[Course, Step]:
    return over(course, Status.UNKNOWN, "the run was over", now)


_PHASES = {
    Phase.TIDYING: _tidied, Phase.STARTING: program.starting, Phase.RUNNING: program.running,
    Phase.OPENING: freshness.opening, Phase.READING: freshness.reading, Phase.CLOSING: freshness.closing,
    Phase.CLOCK: freshness.clock, Phase.MEASURING: measures.measuring, Phase.OVER: _ended,
}  # fmt: skip
