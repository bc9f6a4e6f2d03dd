"""The decision: what one guest's state becomes on an observation, and what must be done about it. Pure: no I/O, no
clock.

What it promises, checked after every step:
- A verdict that causes recovery is reached only on an incarnation that has answered, within its budget, on a certain
  fact or on silence; and where silence is the reason, only while we are fit to judge and nothing holds us.
- `hung` needs the time of silence, a second witness that agrees, and two unanswered questions, or one if that witness
  is the kernel; whatever moves forbids it.
- Nothing is concluded of a guest that is exempt, and nothing of what is judged beside the watch.
- A guest has at most one open incident, and the same verdict on the same incarnation opens it only once, and anew only
  where its recovery came to nothing.
"""

from __future__ import annotations

from typing import Any, Callable

from heartbeat import exemption, lifecycle, suspicion
from heartbeat.conclusion import Step
from heartbeat.guest import Guest
from heartbeat.incident import BESIDE, CERTAIN, HUNG, RECOVER, Close, Incident, Open
from heartbeat.observation import (
    Answered,
    Asked,
    ChannelChanged,
    ClockSet,
    Effect,
    Gap,
    Happened,
    Observation,
    Panicked,
    Paused,
    Rebooted,
    Recorded,
    Resumed,
    Reviewed,
    Sampled,
    Seen,
    Stopped,
    Tasked,
    Tick,
    Unheeded,
    Unrecovered,
    Vanished,
)
from heartbeat.watch import EXEMPT, Fitness, Timing, Watch
from heartbeat.witness import Cpu, Says, hear


class Broken(AssertionError):
    """A promise does not hold: a bug of ours, and a reason not to act."""


def begin(guest: Guest, incarnation: str, armed: bool, incident: Incident | None, now: float) -> Watch:
    """A guest that was not watched before. armed, incident: what the ledger remembers of this very incarnation."""
    return Watch(guest, incarnation, now, now, armed=armed, incident=incident)


def judge(watch: Watch, observation: Observation, now: float, fitness: Fitness, timing: Timing) -> Step:
    """What the observation makes of the watch, and what is to be done, in this order. Raises Broken rather than act on
    nonsense."""
    step = _STEPS[type(observation)]
    if timing.exempt:
        after, effects = exemption.left_alone(step, watch, observation, now, fitness, timing)
    elif watch.state == EXEMPT:
        back, more = exemption.readmitted(watch, now)
        after, effects = step(back, observation, now, fitness, timing)
        effects = [*more, *effects] if after.running else effects
    else:
        after, effects = step(watch, observation, now, fitness, timing)
    if after.state != watch.state:
        after = after._replace(since=now)
    if isinstance(observation, Unrecovered) and any(isinstance(effect, Open) for effect in effects):
        _check_again(watch, after, effects, fitness, timing)
    elif effects:
        check(watch, after, effects, fitness, timing)
    return after, effects


def check(before: Watch, after: Watch, effects: list[Effect], fitness: Fitness, timing: Timing) -> None:
    """Raises Broken where a step violates what the first lines of this module promise."""
    verdicts = [effect for effect in effects if isinstance(effect, Open)]
    closed = {effect.id for effect in effects if isinstance(effect, Close)}
    if len(verdicts) > 1:
        raise Broken(f"{len(verdicts)} incidents opened at once")
    for opened in verdicts:
        if timing.exempt:
            raise Broken(f"{opened.verdict} on {opened.uuid}, which is exempt: {timing.exempt}")
        what = f"{opened.verdict} on {opened.uuid}"
        if opened.verdict in BESIDE:
            raise Broken(f"{what}, which no watch can see")
        if before.incident and before.incident.id not in closed:
            raise Broken(f"{what} beside incident {before.incident.id}")
        known = before.incident
        if known and (known.incarnation, known.verdict) == (opened.incarnation, opened.verdict):
            raise Broken(f"{what} again")
        if opened.verdict == HUNG:
            _check_silence(what, before, after, fitness, timing)
        if opened.action == RECOVER:
            if not (before.armed and opened.incarnation == before.incarnation):
                raise Broken(f"{what}, which has never answered")
            if fitness.spent or timing.observe:
                raise Broken(f"{what} though it may not be recovered")
            if opened.verdict != HUNG and opened.verdict not in CERTAIN and "event" not in opened.evidence:
                raise Broken(f"{what} on no certain fact")


def _check_again(before: Watch, after: Watch, effects: list[Effect], fitness: Fitness, timing: Timing) -> None:
    """Of an incident that was found good once: it is the same, still so, and none too many."""
    over, again = effects
    old = before.incident
    if not (isinstance(over, Close) and isinstance(again, Open) and old and old.id == over.id):
        raise Broken(f"{before.guest.uuid} is not reported anew")
    if (old.incarnation, old.verdict, old.action) != (again.incarnation, again.verdict, RECOVER):
        raise Broken(f"{again.verdict} on {again.uuid} is not what incident {old.id} was")
    if after.state != again.verdict or not fitness.able or timing.exempt:
        raise Broken(f"{again.verdict} on {again.uuid}, which is {after.state}: {fitness.why}{timing.exempt}")
    if again.action == RECOVER and (fitness.spent or timing.observe):
        raise Broken(f"{again.verdict} on {again.uuid} though it may not be recovered")


def _check_silence(what: str, before: Watch, after: Watch, fitness: Fitness, timing: Timing) -> None:
    if not fitness.able:
        raise Broken(f"{what} while not fit to judge: {fitness.why}")
    if before.holds and after.holds:
        raise Broken(f"{what} under a hold: {after.holds}")
    first, last = after.first, after.last
    if not after.silences or first is None or last is None or first is last or after.silent_from is None:
        raise Broken(f"{what} without silence and witnesses")
    if last.at - after.silent_from < timing.silence * fitness.stretch:
        raise Broken(f"{what} before its time")
    said = hear(first, last, after.guest.balloon_period, None, after.steady)
    if Says.MOVING in (said.kernel, said.disk, said.net) or said.cpu in (Cpu.WORKING, Cpu.STARVED, Cpu.UNSURE):
        raise Broken(f"{what} against what its witnesses say: {said}")
    if said.kernel is not Says.STILL and (said.cpu is not Cpu.STILL or after.silences < 2):
        raise Broken(f"{what} without a second witness")


_STEPS: dict[type, Callable[[Watch, Any, float, Fitness, Timing], Step]] = {
    Seen: lifecycle.seen,
    Paused: lifecycle.paused,
    Resumed: lifecycle.resumed,
    Rebooted: lifecycle.rebooted,
    Panicked: lifecycle.panicked,
    Happened: lifecycle.happened,
    ChannelChanged: lifecycle.channel_changed,
    Stopped: lifecycle.stopped,
    Vanished: lifecycle.vanished,
    Tasked: lifecycle.tasked,
    Unrecovered: lifecycle.unrecovered,
    Recorded: lifecycle.recorded,
    Gap: lifecycle.gapped,
    ClockSet: lifecycle.clock_set,
    Unheeded: suspicion.unheeded,
    Asked: suspicion.asked,
    Answered: suspicion.answered,
    Sampled: suspicion.sampled,
    Tick: suspicion.ticked,
    Reviewed: suspicion.reviewed,
}
