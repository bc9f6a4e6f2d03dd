"""How silence becomes a verdict: answers, samples and time, one step each. Pure, as all of the decision."""

from __future__ import annotations

import json
from dataclasses import replace

from heartbeat.incident import ACTIONS, AGENT_DOWN, AGENT_SILENT, HUNG, RECORD, Arm, Close, Open
from heartbeat.observation import Answered, Ask, Asked, Effect, Look, Sampled, Tick
from heartbeat.probe import LIFE, Answer
from heartbeat.watch import (
    HEALTHY,
    SUSPECT,
    VERDICTS,
    WAITING,
    Fitness,
    Timing,
    Watch,
    calm,
    down_at,
    look_at,
    rest,
    slow_at,
)
from heartbeat.witness import Cpu, Sample, Says, Testimony, hear

Step = tuple[Watch, list[Effect]]


def asked(watch: Watch, _: Asked, now: float, fitness: Fitness, timing: Timing) -> Step:
    return replace(watch, asked=now), []


def answered(watch: Watch, it: Answered, now: float, fitness: Fitness, timing: Timing) -> Step:
    if watch.asked != it.asked:
        return watch, []  # of another incarnation, or from before a pause, a reset or a gap: no word about this one
    watch = replace(watch, asked=None)
    if not watch.running:
        return watch, []
    if it.answer in LIFE:
        return _alive(watch, it.answer, now)
    if it.answer is Answer.SILENT:
        return _silent(watch, it.asked)
    if it.answer in (Answer.NOT_CONNECTED, Answer.CLOSED):
        return unreachable(watch, it.answer.value, now), []
    # Another client's call, a refusal, a failure of the link: no word about the guest, so its silence starts anew.
    return calm(watch, rest(watch), it.answer.value), []


def sampled(watch: Watch, it: Sampled, now: float, fitness: Fitness, timing: Timing) -> Step:
    watch = replace(watch, looking=False)
    start = watch.asked if watch.silent_from is None else watch.silent_from
    if start is None or it.sample.at < start:
        return watch, []  # it has answered meanwhile
    # A first sample in which a witness is missing, as while another client has the monitor, is no first for it.
    first = watch.first if watch.first and (watch.first.whole or not it.sample.whole) else it.sample
    return _weigh(replace(watch, first=first, last=it.sample), now, fitness, timing)


def ticked(watch: Watch, _: Tick, now: float, fitness: Fitness, timing: Timing) -> Step:
    if not watch.running:
        return watch, []
    if now >= down_at(watch, timing):
        if not fitness.able:
            return replace(watch, closed_from=now), []  # it counts from when we can judge again
        seconds = round(now - (watch.closed_from or now), 1)
        return opened(watch, AGENT_DOWN, "the agent cannot be reached; the guest may well be fine", closed=seconds)
    if now >= min(slow_at(watch), look_at(watch, timing)):
        return replace(watch, looking=True), [Look()]
    return watch, []


def unreachable(watch: Watch, why: str, now: float) -> Watch:
    """The question cannot reach the agent. To close its channel a guest must live, or have been reset: this is no
    silence."""
    watch = replace(watch, closed_from=now if watch.closed_from is None else watch.closed_from)
    return calm(watch, AGENT_DOWN if watch.state == AGENT_DOWN else rest(watch), why)


def opened(watch: Watch, verdict: str, detail: str, **evidence: object) -> Step:
    """The watch in the state of a verdict. An incident that says the same already, of this life or an earlier one,
    stays."""
    watch = replace(watch, state=verdict, detail=detail)
    if watch.incident and watch.incident.verdict == verdict:
        return watch, []
    effects: list[Effect] = []
    if watch.incident:
        effects.append(Close(watch.incident.id, f"became {verdict}"))
    action = ACTIONS[verdict] if watch.armed else RECORD
    text = json.dumps(evidence, separators=(",", ":"))
    effects.append(Open(watch.guest.uuid, watch.guest.name, watch.incarnation, verdict, action, text))
    return replace(watch, incident=None), effects


def assess(testimony: Testimony, last: Sample) -> tuple[str | None, str]:
    """The verdict on an agent that has been silent for long enough, or None; and the reason, for people."""
    if last.process in ("T", "t", "D"):
        return None, f"the QEMU process itself is in state {last.process}"
    moving = [name for name in ("kernel", "disk", "net") if getattr(testimony, name) is Says.MOVING]
    if moving:
        return AGENT_SILENT, f"the agent is silent, but the guest works: {', '.join(moving)}"
    if testimony.cpu is Cpu.STARVED:
        return None, "the host does not let the guest run"
    if testimony.cpu is Cpu.UNSURE:
        return None, "the guest's vCPU threads could not be read"
    if Says.UNSURE in (testimony.kernel, testimony.disk):
        return None, "too little is known of the guest's kernel yet"
    if testimony.kernel is Says.STILL and testimony.cpu is not Cpu.WORKING:
        return HUNG, f"agent silent, kernel still, CPU {testimony.cpu.value}"
    if testimony.kernel is Says.ABSENT and testimony.cpu is Cpu.STILL:
        return HUNG, "agent silent, CPU still"
    return AGENT_SILENT, f"agent silent, CPU {testimony.cpu.value}, kernel {testimony.kernel.value}"


def _alive(watch: Watch, answer: Answer, now: float) -> Step:
    effects: list[Effect] = []
    if watch.incident:
        effects.append(Close(watch.incident.id, "the agent answers again"))
    if answer is Answer.ALIVE and not watch.armed:
        effects.append(Arm(watch.guest.uuid, watch.incarnation))
        watch = replace(watch, armed=True)
    watch = replace(watch, answered=now, closed_from=None, incident=None)
    return calm(watch, HEALTHY if watch.armed else WAITING, "" if answer is Answer.ALIVE else answer.value), effects


def _silent(watch: Watch, since: float) -> Step:
    if not watch.armed:
        return replace(watch, state=WAITING, detail="has not answered since it was started"), []
    start = since if watch.silent_from is None else watch.silent_from
    watch = replace(watch, silent_from=start, silences=watch.silences + 1, closed_from=None)
    effects: list[Effect] = []
    if watch.state not in VERDICTS or watch.state == AGENT_DOWN:
        watch = replace(watch, state=SUSPECT, detail="the agent does not answer")
        effects.append(Ask())
    if watch.first is None and not watch.looking:
        watch = replace(watch, looking=True)
        effects.append(Look())
    return watch, effects


def _weigh(watch: Watch, now: float, fitness: Fitness, timing: Timing) -> Step:
    """The samples against the time of the silence: is there a verdict now?"""
    if watch.silent_from is None or watch.first is None or watch.last is None or watch.silences < 2:
        return watch, []
    if watch.first is watch.last or watch.last.at < watch.silent_from + timing.silence:
        return watch, []
    if watch.state == AGENT_SILENT and watch.last.at - watch.first.at < timing.silence:
        return watch, []
    if not fitness.able:
        return replace(watch, state=SUSPECT, detail=f"not judged: {fitness.why}"), []
    unanswered = None if watch.answered is None else watch.first.at - watch.answered
    testimony = hear(watch.first, watch.last, watch.guest.balloon_period, unanswered)
    verdict, reason = assess(testimony, watch.last)
    if verdict is None:
        return replace(watch, state=SUSPECT, detail=f"not judged: {reason}"), []
    window = testimony._replace(window=round(testimony.window, 1))
    said = {name: getattr(said, "value", said) for name, said in window._asdict().items()}
    after, effects = opened(
        watch, verdict, reason, silent=round(now - watch.silent_from, 1), questions=watch.silences, **said
    )
    # What works now may hang later, so after this verdict the next window begins.
    return (replace(after, first=after.last) if verdict == AGENT_SILENT else after), effects
