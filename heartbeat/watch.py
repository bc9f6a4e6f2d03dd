"""What is known of one guest between two observations, and the times that follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from heartbeat import holds
from heartbeat.alarm import NEVER
from heartbeat.guest import Channel, Guest
from heartbeat.holds import Holds
from heartbeat.incident import (
    ACTIONS,
    AGENT_DOWN,
    BESIDE,
    CERTAIN,
    HUNG,
    IO_ERROR,
    NEVER_ANSWERED,
    RECOVER,
    Incident,
)
from heartbeat.patience import Estimate, boot_limit
from heartbeat.witness import ANSWER_MARGIN, BALLOON_MARGIN, Sample

# States of a guest; beside these each verdict is a state too. People read them in `masakari-qga status`.
WAITING = "waiting"
HEALTHY = "healthy"
SUSPECT = "suspect"
PAUSED = "paused"
STOPPED = "stopped"
UNMONITORED = "unmonitored"
UNKNOWN = "unknown"
EXEMPT = "exempt"
VERDICTS = frozenset(ACTIONS) - BESIDE

# A healthy agent answers in milliseconds: a question out for this many seconds is worth a first look at the witnesses.
SLOW = 1.0
# Seconds between two looks at a suspect, and at a guest on which there is a verdict.
LOOK, LATER_LOOK = 5.0, 15.0
# Seconds by which a look that waits for a time to be over comes after that: two clocks never agree exactly.
A_MOMENT = 0.05


class Timing(NamedTuple):
    """What an operator decides about guests. Times are seconds; see the options of the same names.

    actions: verdict -> recover, record or ignore. events: libvirt's event -> verdict and action. observe: conclude and
    record everything, recover nothing. exempt: why this guest is not watched, "" if it is.
    """

    interval: float
    timeout: float
    silence: float
    agent_down: float
    io_error: float = 60.0
    boot: float = 600.0
    grace: float = 30.0
    actions: Mapping[str, str] = ACTIONS
    events: Mapping[str, tuple[str, str]] = {}
    observe: bool = False
    exempt: str = ""


class Fitness(NamedTuple):
    """Whether we can judge this guest now.

    able: we are fit to; why: if not, for people. held: why an operator or the cluster wants no recovery, "" if nobody
    minds. spent: it was recovered too often lately. stretch: every time of silence is multiplied by this.
    """

    able: bool
    why: str = ""
    held: str = ""
    spent: bool = False
    stretch: float = 1.0


class Watch(NamedTuple):
    """All that the decision knows of one guest. Times are monotonic seconds.

    incarnation: names one QEMU process. since: of the state. begun: when it was started or reset, or first seen.
    started: that was its start or reset, and we saw it. armed: this incarnation has answered since.
    answers, boots: what is known of the seconds that it takes to answer, and to boot until it answers.
    steady: since its last answer nothing that we know of has kept it from running, the wall clock was not set, and its
    first sample was taken before a second question: that answer's time.
    asked: when the question that is out was asked. silent_from: when the first of the unanswered questions was asked.
    first, last: samples since then. looking: a sample is being taken.
    closed_from: since when the agent cannot be reached though the guest runs. panicked: its kernel said so.
    stalled: since when it is paused by an I/O error.
    holds: why it is not judged at present.
    incident: the open one, perhaps of an earlier life of ours; it stands only while `state` repeats its verdict.
    """

    guest: Guest
    incarnation: str
    since: float
    begun: float
    state: str = WAITING
    detail: str = ""
    running: bool = True
    armed: bool = False
    answered: float | None = None
    asked: float | None = None
    silent_from: float | None = None
    silences: int = 0
    first: Sample | None = None
    last: Sample | None = None
    looking: bool = False
    closed_from: float | None = None
    stalled: float | None = None
    panicked: bool = False
    holds: Holds = ()
    incident: Incident | None = None
    started: bool = False
    steady: float | None = None
    answers: Estimate | None = None
    boots: Estimate | None = None


def calm(watch: Watch, state: str, detail: str = "") -> Watch:
    """The watch with its silence so far forgotten."""
    return watch._replace(state=state, detail=detail, silent_from=None, silences=0, first=None, last=None, steady=None)


def rest(watch: Watch) -> str:
    """The state of a guest against which nothing speaks at the moment. UNKNOWN lasts until libvirt shows it again."""
    if not watch.running or watch.state in (UNKNOWN, EXEMPT):
        return watch.state
    if watch.guest.channel is Channel.ABSENT:
        return UNMONITORED
    if watch.incident and watch.incident.verdict != NEVER_ANSWERED:
        return SUSPECT  # until it answers, or is judged again
    return HEALTHY if watch.armed and watch.answered is not None else WAITING


def slow_at(watch: Watch) -> float:
    """When the question that is out becomes reason enough for a first look."""
    waiting = watch.armed and watch.asked is not None and watch.first is None and not watch.looking
    return (watch.asked or 0.0) + SLOW if waiting else NEVER


def judged_at(watch: Watch, timing: Timing, stretch: float) -> float:
    """When its silence has lasted for long enough."""
    return NEVER if watch.silent_from is None else watch.silent_from + timing.silence * stretch


def missed_at(watch: Watch) -> float:
    """When it is certain that its balloon driver has left out a report, if it does; NEVER where nothing follows from
    that."""
    last, period = watch.last, watch.guest.balloon_period
    if last is None or watch.steady is None or not (last.balloon and period) or watch.state in VERDICTS:
        return NEVER
    stamped = last.at + last.balloon - last.wall
    return max(stamped + BALLOON_MARGIN, watch.steady + ANSWER_MARGIN) + period + A_MOMENT


def look_at(watch: Watch, timing: Timing, stretch: float) -> float:
    """When a silent guest is looked at next: regularly, once just when its time of silence is over, and if that said
    too little, once more when its balloon has missed a report."""
    if watch.silent_from is None or watch.last is None or watch.looking:
        return NEVER
    usual = watch.last.at + (LATER_LOOK if watch.state in VERDICTS else LOOK)
    for moment in (judged_at(watch, timing, stretch), missed_at(watch)):
        if watch.last.at < moment:
            return min(usual, moment)
    return usual


def down_at(watch: Watch, timing: Timing) -> float:
    """When an agent that cannot be reached becomes a verdict."""
    if watch.closed_from is None or not watch.armed or watch.state == AGENT_DOWN:
        return NEVER
    return watch.closed_from + timing.agent_down


def late_at(watch: Watch, timing: Timing) -> float:
    """When a guest that should have an agent and has not answered since its start becomes a verdict."""
    if watch.armed or watch.guest.channel is Channel.ABSENT or watch.state in (NEVER_ANSWERED, UNKNOWN, EXEMPT):
        return NEVER
    if watch.answered is not None and watch.answered >= watch.begun:
        return NEVER  # with garbage, which arms nobody
    if watch.incident and watch.incident.verdict in CERTAIN:
        return NEVER  # a worse thing is known of it, which an older word of libvirt's that it runs must not displace
    return watch.begun + boot_limit(watch.boots, timing.boot)


def stalled_at(watch: Watch, timing: Timing) -> float:
    """When a pause by an I/O error becomes a verdict."""
    return NEVER if watch.stalled is None or watch.state == IO_ERROR else watch.stalled + timing.io_error


def wake_at(watch: Watch, timing: Timing, stretch: float = 1.0) -> float:
    """When the passing of time alone may change something; NEVER if it cannot."""
    due = min(holds.next_at(watch.holds), stalled_at(watch, timing))
    if not watch.running:
        return due
    return min(
        due, slow_at(watch), look_at(watch, timing, stretch), down_at(watch, timing), late_at(watch, timing)
    )


def stale(watch: Watch, now: float) -> bool:
    """Whether the last look at a guest that hangs is too old to have it recovered: it may have come back since."""
    return watch.state == HUNG and (watch.last is None or now - watch.last.at > LOOK)


def stands(watch: Watch, incident: int, fitness: Fitness) -> str:
    """Whether an incident is to be reported now: "stands", "not-now" (we cannot tell at present, or somebody wants no
    recovery) or "gone"."""
    if watch.incident is None or watch.incident.id != incident:
        return "gone"
    held = fitness.held and watch.incident.action == RECOVER
    return "stands" if fitness.able and not held and watch.state == watch.incident.verdict else "not-now"
