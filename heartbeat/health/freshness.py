"""A check that reads a file which an application in the guest keeps fresh. Pure.

Open, read, close, and ask for the guest's clock: the host's is another. What has been opened is closed again, whatever
comes between; if even that fails, by the next run. The agent opens a named pipe that nobody writes to for as long as it
takes (qga/commands-posix.c: safe_open_or_create), and is silent meanwhile: the path is not for pipes.
"""

from __future__ import annotations

from heartbeat.health import replies, statement
from heartbeat.health.definition import Check
from heartbeat.health.progress import CALL, NOT_UNDERSTOOD, Course, Phase, Status, Step, over, overdue, refused
from heartbeat.health.replies import Call, Refusal, Reply
from heartbeat.health.statement import RESET_ME

COMMANDS = ("guest-file-open", "guest-file-read", "guest-file-close", "guest-get-time")
AHEAD = 60.0  # seconds by which a file's time may be later than the guest's clock

_BY_WORD = {"healthy": Status.HEALTHY, "unhealthy": Status.UNHEALTHY, "initialising": Status.INITIALISING,
            "initializing": Status.INITIALISING, "unknown": Status.UNKNOWN}  # fmt: skip


def begin(course: Course) -> tuple[Course, Step]:
    arguments = {"path": course.check.path, "mode": "r"}
    return course._replace(phase=Phase.OPENING), Call("guest-file-open", arguments, CALL)


def opening(course: Course, reply: Reply, now: float) -> tuple[Course, Step]:
    why = replies.objection(reply)
    if why is Refusal.MISSING:
        return over(course, Status.UNHEALTHY, f"there is no {course.check.path}", now)
    if why:
        return over(course, *refused(why, reply, "guest-file-open"), now)
    handle = replies.whole(reply.value)
    if handle is None:
        return over(course, *NOT_UNDERSTOOD, now)
    course, took = course._replace(handle=handle), now - course.begun
    if took >= course.check.timeout:
        return close(course._replace(ending=overdue(course, f"to open it took {took:.0f} s")), Phase.CLOSING)
    arguments = {"handle": handle, "count": replies.LOOKED_AT}
    return course._replace(phase=Phase.READING), Call("guest-file-read", arguments, CALL)


def reading(course: Course, reply: Reply, now: float) -> tuple[Course, Step]:
    why = replies.objection(reply)
    if why:
        course = course._replace(ending=refused(why, reply, "guest-file-read"))
    elif not isinstance(reply.value, dict) or not isinstance(reply.value.get("buf-b64"), str):
        course = course._replace(ending=NOT_UNDERSTOOD)
    else:
        course = course._replace(content=replies.decoded(reply.value["buf-b64"]))
    return close(course, Phase.CLOSING)


def close(course: Course, phase: Phase) -> tuple[Course, Step]:
    return course._replace(phase=phase), Call("guest-file-close", {"handle": course.handle}, CALL)


def closing(course: Course, reply: Reply, now: float) -> tuple[Course, Step]:
    course = course._replace(handle=None)  # whatever it said: it is closed, or cannot be
    if course.ending:
        return over(course, *course.ending, now)
    return course._replace(phase=Phase.CLOCK), Call("guest-get-time", {}, CALL)


def clock(course: Course, reply: Reply, now: float) -> tuple[Course, Step]:
    why = replies.objection(reply)
    if why:
        return over(course, *refused(why, reply, "guest-get-time"), now)
    nanoseconds = replies.whole(reply.value)  # since 1970
    if nanoseconds is None:
        return over(course, *NOT_UNDERSTOOD, now)
    return over(course, *_judged(course.check, course.content, nanoseconds / 1e9), now)


def _judged(check: Check, content: str, clock: float) -> tuple[Status, str]:
    """What a file says, if it is of now."""
    said = statement.of_file(content)
    if said.time is None:
        return Status.UNKNOWN, f"{check.path} does not say of when it is"
    age = clock - said.time
    if age < -AHEAD:
        return Status.UNKNOWN, f"{check.path} is of {-age:.0f} s from now, by the guest's clock"
    if age > check.fresh:
        return Status.UNHEALTHY, f"{check.path} is {age:.0f} s old, good up to {check.fresh:g}"
    if said.status == RESET_ME:
        return Status.RESET if check.reset else Status.UNHEALTHY, said.text or "it asks for a reset"
    if said.status not in _BY_WORD:
        return Status.UNKNOWN, f"{check.path} has no status that is known: {said.status}"
    return _BY_WORD[said.status], said.text or f"so says {check.path}"
