"""The checks that need nothing in the guest but its agent: what is asked, and how the answers are judged. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Callable, NamedTuple

from heartbeat.health.definition import AGENT_VERSION, ANSWER_TIME, FILESYSTEMS, LOAD, VCPUS, Check
from heartbeat.health.progress import CALL, NOT_UNDERSTOOD, Course, Phase, Status, Step, over, refused
from heartbeat.health.replies import Call, Reply, number, objection, version, whole

MOUNTS = 1024  # file systems of a guest that are looked at
CPUS = 4096
# Made full and never written to: images of snaps, of media and of firmware.
READ_ONLY = frozenset({"squashfs", "iso9660", "udf", "cdfs", "cramfs", "erofs", "romfs"})
MOUNTPOINT = 48  # characters of its name that are shown


class Finding(NamedTuple):
    """good: None if the answers do not say. text: for people; has a guest's words in it."""

    good: bool | None
    text: str


class Measure(NamedTuple):
    """commands: what is asked, in turn. judge: given the check and a reply to each."""

    commands: tuple[str, ...]
    judge: Callable[[Check, Sequence[Reply]], Finding]


_ODD = Finding(None, NOT_UNDERSTOOD[1])


def begin(course: Course) -> tuple[Course, Step]:
    command = MEASURES[course.check.measure].commands[len(course.heard)]
    arguments = {"id": _token(course)} if command == "guest-sync" else {}
    return course._replace(phase=Phase.MEASURING), Call(command, arguments, CALL)


def measuring(course: Course, reply: Reply, now: float) -> tuple[Course, Step]:
    measure = MEASURES[course.check.measure]
    command = measure.commands[len(course.heard)]
    why = objection(reply)
    if why:
        return over(course, *refused(why, reply, command), now)
    if command == "guest-sync" and whole(reply.value) != _token(course):
        return over(course, *NOT_UNDERSTOOD, now)
    course = course._replace(heard=(*course.heard, reply))
    if len(course.heard) < len(measure.commands):
        return begin(course)
    finding = measure.judge(course.check, course.heard)
    status = {True: Status.HEALTHY, False: Status.UNHEALTHY, None: Status.UNKNOWN}[finding.good]
    return over(course, status, finding.text, now)


def _token(course: Course) -> int:
    """What guest-sync has to hand back: another one for each run."""
    return math.floor(course.begun * 1e6) % (1 << 31)


def _answer_time(check: Check, replies: Sequence[Reply]) -> Finding:
    ms = replies[0].took * 1000
    return Finding(ms <= _limit(check), f"answered in {ms:.0f} ms, good up to {_limit(check):g}")


def _filesystems(check: Check, replies: Sequence[Reply]) -> Finding:
    """The fullest. Of what the agent lists, mounts with a device behind them, those count whose use it can say, which
    it reckons as df does: space kept for root is not free. It asks each of them, so a disk that does not answer
    blocks the agent, and then the heartbeat is what notices (qga/commands-linux.c: build_guest_fsinfo)."""
    listed = replies[0].value
    if not isinstance(listed, list):
        return _ODD
    used = [use for use in map(_use, listed[:MOUNTS]) if use]
    if not used:
        return Finding(None, "it has no file system whose use can be measured")
    percent, name = max(used)
    # A share that is shown as the limit itself would read as good.
    text = f"{percent:.0f} %" if percent <= _limit(check) else f"{percent:.1f} %"
    return Finding(percent <= _limit(check), f"{name} is {text} full, the fullest of {len(used)}, good up to "
                   f"{_limit(check):g} %")  # fmt: skip


def _use(entry: object) -> tuple[float, str] | None:
    """Per cent used, and where it is mounted."""
    if not isinstance(entry, dict) or not isinstance(entry.get("mountpoint"), str):
        return None
    kind, used, total = entry.get("type"), whole(entry.get("used-bytes")), whole(entry.get("total-bytes"))
    if used is None or not total or (isinstance(kind, str) and kind.lower() in READ_ONLY):
        return None
    return 100 * min(used / total, 1.0), entry["mountpoint"][:MOUNTPOINT]


def _load(check: Check, replies: Sequence[Reply]) -> Finding:
    """The mean of five minutes: that of one jumps with every cron job."""
    value, online = replies[0].value, _online(replies[1].value)
    load = number(value.get("load5m")) if isinstance(value, dict) else None
    if load is None or not online:
        return _ODD
    each = load / online
    return Finding(each <= _limit(check), f"load {load:.2f} on {online} vCPUs is {each:.2f} each, good up to "
                   f"{_limit(check):g}")  # fmt: skip


def _vcpus(check: Check, replies: Sequence[Reply]) -> Finding:
    online = _online(replies[0].value)
    if not online:
        return _ODD
    return Finding(online >= _limit(check), f"{online} vCPUs online, good from {_limit(check):g}")


def _online(value: object) -> int:
    """How many of the vCPUs that guest-get-vcpus lists run; 0 is no answer, for one of them gave it."""
    listed = value[:CPUS] if isinstance(value, list) else []
    return sum(isinstance(entry, dict) and entry.get("online") is True for entry in listed)


def _agent_version(check: Check, replies: Sequence[Reply]) -> Finding:
    found, least = version(replies[0].value), check.limit
    if not found or not isinstance(least, tuple):
        return _ODD
    length = max(len(found), len(least))
    padded = [numbers + (0,) * (length - len(numbers)) for numbers in (found, least)]
    return Finding(padded[0] >= padded[1], f"agent {_dotted(found)}, good from {_dotted(least)}")


def _dotted(numbers: Sequence[int]) -> str:
    return ".".join(map(str, numbers))


def _limit(check: Check) -> float:
    return 0.0 if isinstance(check.limit, tuple) else check.limit


MEASURES: Mapping[str, Measure] = {
    ANSWER_TIME: Measure(("guest-sync",), _answer_time),
    FILESYSTEMS: Measure(("guest-get-fsinfo",), _filesystems),
    LOAD: Measure(("guest-get-load", "guest-get-vcpus"), _load),
    VCPUS: Measure(("guest-get-vcpus",), _vcpus),
    AGENT_VERSION: Measure(("guest-info",), _agent_version),
}
