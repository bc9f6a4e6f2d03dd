"""What is known of one guest between two observations, and the times that follow from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from heartbeat.alarm import NEVER
from heartbeat.guest import Channel, Guest
from heartbeat.incident import AGENT_DOWN, AGENT_SILENT, HUNG, QEMU_DIED, Incident
from heartbeat.witness import Sample

# States of a guest; beside these each verdict is a state too. People read them in `masakari-qga status`.
WAITING = "waiting"
HEALTHY = "healthy"
SUSPECT = "suspect"
PAUSED = "paused"
STOPPED = "stopped"
UNMONITORED = "unmonitored"
UNKNOWN = "unknown"
VERDICTS = (QEMU_DIED, HUNG, AGENT_SILENT, AGENT_DOWN)

# A healthy agent answers in milliseconds: a question out for this many seconds is worth a first look at the witnesses.
SLOW = 1.0
# Seconds between two looks at a suspect, and at a guest on which there is a verdict.
LOOK, LATER_LOOK = 5.0, 15.0



@dataclass(frozen=True)
class Timing:
    """Seconds; see the options of the same names."""

    interval: float
    timeout: float
    silence: float
    agent_down: float


class Fitness(NamedTuple):
    """Whether we can judge at all; `why` not, for people."""

    able: bool
    why: str = ""


@dataclass(frozen=True)
class Watch:
    """All that the decision knows of one guest. Times are monotonic seconds.

    incarnation: names one QEMU process. armed: this incarnation has answered.
    asked: when the question that is out was asked. silent_from: when the first of the unanswered questions was asked.
    first, last: samples since then. looking: a sample is being taken.
    closed_from: since when the agent cannot be reached though the guest runs.
    incident: the open one, perhaps of an earlier life of ours; it stands only while `state` repeats its verdict.
    """

    guest: Guest
    incarnation: str
    since: float
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
    incident: Incident | None = None


def calm(watch: Watch, state: str, detail: str = "") -> Watch:
    """The watch with its silence so far forgotten."""
    return replace(watch, state=state, detail=detail, silent_from=None, silences=0, first=None, last=None)


def rest(watch: Watch) -> str:
    """The state of a guest against which nothing speaks at the moment. UNKNOWN lasts until libvirt shows it again."""
    if not watch.running or watch.state == UNKNOWN:
        return watch.state
    if watch.guest.channel is Channel.ABSENT:
        return UNMONITORED
    if watch.incident:
        return SUSPECT  # until it answers, or is judged again
    return HEALTHY if watch.armed and watch.answered is not None else WAITING


def slow_at(watch: Watch) -> float:
    """When the question that is out becomes reason enough for a first look."""
    waiting = watch.armed and watch.asked is not None and watch.first is None and not watch.looking
    return (watch.asked or 0.0) + SLOW if waiting else NEVER


def look_at(watch: Watch, timing: Timing) -> float:
    """When a silent guest is looked at next: regularly, and once just when its time of silence is over."""
    if watch.silent_from is None or watch.last is None or watch.looking:
        return NEVER
    decision = watch.silent_from + timing.silence
    usual = watch.last.at + (LATER_LOOK if watch.state in VERDICTS else LOOK)
    return min(usual, decision) if watch.last.at < decision else usual


def down_at(watch: Watch, timing: Timing) -> float:
    """When an agent that cannot be reached becomes a verdict."""
    if watch.closed_from is None or not watch.armed or watch.state == AGENT_DOWN:
        return NEVER
    return watch.closed_from + timing.agent_down


def wake_at(watch: Watch, timing: Timing) -> float:
    """When the passing of time alone may change something; NEVER if it cannot."""
    return min(slow_at(watch), look_at(watch, timing), down_at(watch, timing)) if watch.running else NEVER


def stands(watch: Watch, incident: int, fitness: Fitness) -> str:
    """Whether an incident is to be reported now: "stands", "not-now" (we cannot tell at present) or "gone"."""
    if watch.incident is None or watch.incident.id != incident:
        return "gone"
    return "stands" if fitness.able and watch.state == watch.incident.verdict else "not-now"
