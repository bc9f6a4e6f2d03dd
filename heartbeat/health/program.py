"""A check that runs a program in the guest. Pure.

The agent starts it without a shell, and is asked then whether it has exited. With its output captured it counts as
running until that is closed, too: a child that it leaves behind has to close it (qga/commands.c, guest-exec-status).
"""

from __future__ import annotations

from collections.abc import Mapping

from heartbeat.health import replies, statement
from heartbeat.health.definition import Check
from heartbeat.health.progress import CALL, NOT_UNDERSTOOD, Course, Phase, Status, Step, over, overdue, refused
from heartbeat.health.replies import Call, Refusal, Reply
from heartbeat.health.statement import RESET_ME

COMMANDS = ("guest-exec", "guest-exec-status")
# Seconds between two looks at a process, twice as long each time: each writes a line into the guest's log.
FIRST_POLL, LAST_POLL = 0.05, 1.0
# Seconds for which a program's output is not asked for after a reply about it that could not be read. A reply of more
# than 4 MiB is lost. One of more than 10 MiB, some 7 of output in base64, breaks the channel: libvirt reads no more of
# it, the agent, which keeps up to 16 MiB, never ends writing it, and only SIGKILL in the guest brings another.
QUIET = 3600.0

_BY_EXIT = {0: Status.HEALTHY, 1: Status.UNHEALTHY, 2: Status.INITIALISING, 3: Status.UNKNOWN}


def begin(course: Course, now: float) -> tuple[Course, Step]:
    """Start it, unless that of an earlier run may still be there."""
    if course.process is not None:
        return _poll(course, 0.0)
    path, *words = course.check.command
    arguments = {"path": path, "arg": words, "capture-output": course.check.output and now >= course.quiet}
    return course._replace(phase=Phase.STARTING), Call("guest-exec", arguments, CALL)


def starting(course: Course, reply: Reply, now: float) -> tuple[Course, Step]:
    why = replies.objection(reply)
    if why is Refusal.MISSING:
        return over(course, Status.CANNOT, f"the guest has no {course.check.command[0]}", now)
    if why:
        return over(course, *refused(why, reply, "guest-exec"), now)
    process = replies.whole(reply.value.get("pid")) if isinstance(reply.value, dict) else None
    if process is None:
        return over(course, *NOT_UNDERSTOOD, now)
    return _poll(course._replace(process=process, started=now), FIRST_POLL)


def running(course: Course, reply: Reply, now: float) -> tuple[Course, Step]:
    """As long as there is doubt whether the process is gone, it counts as being there."""
    earlier = course.started < course.begun  # it is not of this run
    why = replies.objection(reply)
    if why is Refusal.GONE:
        course, text = course._replace(process=None), "its agent does not know the process any more, as after a restart"
        return begin(course, now) if earlier else over(course, Status.UNKNOWN, text, now)
    if why is Refusal.OTHER and course.check.output:
        text = f"its output cannot be read, as where it is too much: {replies.complaint(reply.error)}".rstrip(": ")
        return over(course._replace(quiet=now + QUIET), Status.UNKNOWN, text, now)
    if why:
        return over(course, *refused(why, reply, "guest-exec-status"), now)
    if not isinstance(reply.value, dict) or not isinstance(reply.value.get("exited"), bool):
        return over(course, *NOT_UNDERSTOOD, now)
    if reply.value["exited"]:
        course, quiet = course._replace(process=None), course.check.output and now < course.quiet
        return begin(course, now) if earlier else over(course, *_exit(course.check, reply.value, quiet), now)
    if earlier:
        return over(course, *overdue(course, f"begun {now - course.started:.0f} s ago and still running"), now)
    left = course.begun + course.check.timeout - now
    if left <= 0:
        return over(course, *overdue(course, f"still running after {now - course.begun:.0f} s"), now)
    return _poll(course, min(FIRST_POLL * 2 ** min(course.polls, 10), LAST_POLL, left))


def _poll(course: Course, after: float) -> tuple[Course, Step]:
    call = Call("guest-exec-status", {"pid": course.process}, CALL, after)
    return course._replace(phase=Phase.RUNNING, polls=course.polls + 1), call


def _exit(check: Check, value: Mapping[str, object], quiet: bool) -> tuple[Status, str]:
    """How it ended. quiet: its output was too much before, and not asked for.

    It asks for a reset with its output's first word, whatever its exit code, as long as that is one of ours.
    """
    code, said = replies.whole(value.get("exitcode")), statement.of_output(replies.decoded(value.get("out-data")))
    text = said.text or statement.of_output(replies.decoded(value.get("err-data"))).text
    if quiet:
        text = "its output is too much to be read"
    if "signal" in value:
        signal = replies.whole(value["signal"])
        return Status.UNKNOWN, f"ended by signal {'' if signal is None else signal}"
    if code is None or code not in _BY_EXIT:
        return Status.UNKNOWN, f"exit code {'none' if code is None else code}, which has no meaning here: {text}"
    if said.status == RESET_ME and check.reset:
        return Status.RESET, text
    return _BY_EXIT[code], text or f"exit code {code}"
