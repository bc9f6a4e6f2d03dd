"""How silence becomes a verdict: answers, samples and time, one step each. Pure, as all of the decision."""

from __future__ import annotations

from heartbeat import holds
from heartbeat.conclusion import Step, opened
from heartbeat.guest import Channel
from heartbeat.holds import BUSY, DUMP, JOB
from heartbeat.incident import AGENT_DOWN, AGENT_SILENT, HUNG, IO_ERROR, NEVER_ANSWERED, QEMU_STUCK, Arm, Close
from heartbeat.observation import Answered, Ask, Asked, Effect, Look, Reviewed, Sampled, Tick, Unheeded, Warn
from heartbeat.patience import learn
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
    judged_at,
    late_at,
    look_at,
    rest,
    slow_at,
    stale,
    stalled_at,
)
from heartbeat.witness import Cpu, Sample, Says, Testimony, hear


def asked(watch: Watch, _: Asked, now: float, fitness: Fitness, timing: Timing) -> Step:
    return (watch, []) if watch.guest.channel is Channel.ABSENT else (watch._replace(asked=now), [])


def answered(watch: Watch, it: Answered, now: float, fitness: Fitness, timing: Timing) -> Step:
    if watch.asked != it.asked:
        return watch, []  # of another incarnation, or from before a pause, a reset or a gap: no word about this one
    if not watch.running:
        return watch._replace(asked=None), []
    if it.answer in LIFE:
        return _alive(watch, it, now)
    watch = watch._replace(asked=None)
    if it.answer is Answer.BUSY:
        watch = watch._replace(holds=holds.begin(watch.holds, BUSY, it.answer.value, now))
    elif watch.holds:
        watch = watch._replace(holds=holds.end(watch.holds, BUSY))
    if it.answer is Answer.SILENT:
        return _silent(watch, it.asked, now, fitness, timing)
    if it.answer in (Answer.NOT_CONNECTED, Answer.CLOSED):
        return unreachable(watch, it.answer.value, now), []
    # Another client's call, a refusal, a failure of the link: no word about the guest, so its silence starts anew.
    return calm(watch, rest(watch), it.answer.value), []


def unheeded(watch: Watch, _: Unheeded, now: float, fitness: Fitness, timing: Timing) -> Step:
    """One of the two interrupts that even an agent which reads nothing leaves to its guest (see `assess`) is spent."""
    return watch._replace(steady=None), []


def sampled(watch: Watch, it: Sampled, now: float, fitness: Fitness, timing: Timing) -> Step:
    watch = watch._replace(looking=False)
    start = watch.asked if watch.silent_from is None else watch.silent_from
    if start is None or it.sample.at < start:
        return watch, []  # it has answered meanwhile
    if it.sample.job:
        held = holds.begin(watch.holds, JOB, f"libvirt's job: {it.sample.job}", now)
        return calm(watch._replace(holds=held), rest(watch), f"held: {it.sample.job}"), []
    if watch.holds:
        watch = watch._replace(holds=holds.end(watch.holds, JOB))
    # A first sample in which a witness is missing, as while another client has the monitor, is no first for it. Nor is
    # one from before QEMU itself stood still: what did not move while it could not says nothing.
    thawed = watch.last is not None and watch.last.frozen and not it.sample.frozen
    kept = watch.first if watch.first and (watch.first.whole or not it.sample.whole) else it.sample
    first = it.sample if thawed else kept
    late = first is it.sample and watch.silences
    steady = None if thawed or it.sample.frozen or late else watch.steady
    return _weigh(watch._replace(first=first, last=it.sample, steady=steady), now, fitness, timing)


def ticked(watch: Watch, _: Tick, now: float, fitness: Fitness, timing: Timing) -> Step:
    effects: list[Effect] = []
    if watch.holds:
        effects += [Warn(f"not judged for {now - it.since:.0f} s: {it.why}") for it in holds.overdue(watch.holds, now)]
        watch = watch._replace(holds=holds.warned(holds.expired(watch.holds, now), now))
    if now >= stalled_at(watch, timing):
        if not fitness.able:
            return watch._replace(stalled=now), effects  # it counts from when we can judge again
        evidence = {"paused": round(now - (watch.stalled or now))}
        after, more = opened(watch, IO_ERROR, "paused by an I/O error", evidence, fitness, timing)
        return after, effects + more
    if not watch.running:
        return watch, effects
    if now >= late_at(watch, timing):
        seconds = round(now - watch.begun)
        after, more = opened(watch, NEVER_ANSWERED, "no answer since its start", {"seconds": seconds}, fitness, timing)
        return after, effects + more
    if now >= down_at(watch, timing):
        if not fitness.able:
            return watch._replace(closed_from=now), effects  # it counts from when we can judge again
        seconds = round(now - (watch.closed_from or now))
        why = "the agent cannot be reached; the guest may well be fine"
        after, more = opened(watch, AGENT_DOWN, why, {"closed": seconds}, fitness, timing)
        return after, effects + more
    if now >= min(slow_at(watch), look_at(watch, timing, fitness.stretch)):
        return watch._replace(looking=True), [*effects, Look()]
    return watch, effects


def reviewed(watch: Watch, _: Reviewed, now: float, fitness: Fitness, timing: Timing) -> Step:
    # One that is well is looked at for a health check's sake: is libvirt at work on it?
    if watch.looking or not (stale(watch, now) or watch.state == HEALTHY):
        return watch, []
    return watch._replace(looking=True), [Look()]


def unreachable(watch: Watch, why: str, now: float) -> Watch:
    """The question cannot reach the agent. To close its channel a guest must live, or have been reset: this is no
    silence."""
    watch = watch._replace(closed_from=now if watch.closed_from is None else watch.closed_from)
    return calm(watch, watch.state if watch.state in (AGENT_DOWN, NEVER_ANSWERED) else rest(watch), why)


def assess(  # noqa: PLR0911
    testimony: Testimony, last: Sample, steady: bool, silence: float
) -> tuple[str | None, str]:
    """The verdict on an agent that has been silent for long enough, or None; and the reason, for people.

    steady: whether nothing has kept the guest from running since its last answer, and a question was put in the window.
    silence: seconds that make a hang.
    """
    if testimony.cpu is Cpu.STARVED and not last.stopped:
        # Which also explains the silence of an agent whose kernel gets a word out now and then, and of the monitor.
        return None, "the host does not let the guest run"
    if last.frozen:
        return QEMU_STUCK, f"QEMU's monitor does not answer, its process is in state {last.process or 'unknown'}"
    moving = [name for name in ("kernel", "disk", "net") if getattr(testimony, name) is Says.MOVING]
    if moving:
        return AGENT_SILENT, f"the agent is silent, but the guest works: {', '.join(moving)}"
    if testimony.cpu is Cpu.UNSURE:
        return None, "the guest's vCPU threads could not be read"
    if testimony.disk is Says.UNSURE:
        return None, "QEMU's monitor could not be asked for the guest's counters"
    if testimony.kernel is Says.STILL and testimony.cpu is not Cpu.WORKING:
        return HUNG, f"agent silent, kernel still, CPU {testimony.cpu.value}"
    # The first two questions that an agent does not read interrupt the guest all the same, and whoever lives takes the
    # interrupt. The second is within the window if `steady`. Linux asks for no more: its driver leaves the first unread
    # buffer where it is, so its event index stays.
    still_for_long = testimony.kernel is Says.ABSENT and testimony.window >= silence
    if testimony.cpu is Cpu.STILL and (still_for_long or steady):
        return HUNG, "agent silent, CPU still"
    if testimony.kernel is Says.UNSURE or (testimony.kernel is Says.ABSENT and testimony.cpu is Cpu.STILL):
        return None, "too little is known of the guest's kernel yet"
    return AGENT_SILENT, f"agent silent, CPU {testimony.cpu.value}, kernel {testimony.kernel.value}"


def _alive(watch: Watch, it: Answered, now: float) -> Step:
    answer, took = it.answer, now - it.asked if it.took is None else it.took
    effects: list[Effect] = []
    if watch.incident:
        effects.append(Close(watch.incident.id, "the agent answers again"))
    armed = watch.armed or answer is Answer.ALIVE
    if armed and not watch.armed:
        effects.append(Arm(watch.guest.uuid, watch.incarnation))
    booted = answer is Answer.ALIVE and not watch.armed and watch.started
    return watch._replace(
        state=HEALTHY if armed else WAITING,
        detail="" if answer is Answer.ALIVE else answer.value,
        armed=armed,
        answered=it.asked + took,
        asked=None,
        steady=now,
        answers=learn(watch.answers, took),
        boots=learn(watch.boots, now - watch.begun) if booted else watch.boots,
        silent_from=None,
        silences=0,
        first=None,
        last=None,
        closed_from=None,
        panicked=False,
        holds=holds.end(watch.holds, BUSY, DUMP, JOB) if watch.holds else watch.holds,
        incident=None,
    ), effects


def _silent(watch: Watch, since: float, now: float, fitness: Fitness, timing: Timing) -> Step:
    if not watch.armed:
        state = watch.state if watch.state == NEVER_ANSWERED else WAITING
        return watch._replace(state=state, detail="has not answered since it was started"), []
    start = since if watch.silent_from is None else watch.silent_from
    watch = watch._replace(silent_from=start, silences=watch.silences + 1, closed_from=None)
    effects: list[Effect] = []
    if watch.state not in VERDICTS or watch.state == AGENT_DOWN:
        watch = watch._replace(state=SUSPECT, detail="the agent does not answer")
        effects.append(Ask())
    awaited = watch.state == SUSPECT and now >= judged_at(watch, timing, fitness.stretch)
    if (watch.first is None or awaited) and not watch.looking:
        watch = watch._replace(looking=True)
        effects.append(Look())
    return watch, effects


def _weigh(watch: Watch, now: float, fitness: Fitness, timing: Timing) -> Step:
    """The samples against the time of the silence: is there a verdict now?"""
    silent_from, first, last = watch.silent_from, watch.first, watch.last
    if silent_from is None or first is None or last is None or not watch.silences:
        return watch, []
    if first is last or last.at < judged_at(watch, timing, fitness.stretch):
        return watch, []
    if watch.state == AGENT_SILENT and last.at - first.at < timing.silence * fitness.stretch:
        return watch, []
    held = holds.expired(watch.holds, now)
    watch = watch._replace(holds=held)
    if held:
        return calm(watch, SUSPECT, f"held: {holds.told(held)}"), []
    if not fitness.able:
        # It is silent all the same: the breaker must not take it for heard because its time begins anew.
        return calm(watch, SUSPECT, f"not judged: {fitness.why}")._replace(silent_from=now), []
    unanswered = None if watch.answered is None else first.at - watch.answered
    testimony = hear(first, last, watch.guest.balloon_period, unanswered, watch.steady)
    verdict, reason = assess(testimony, last, watch.steady is not None, timing.silence * fitness.stretch)
    # One question may get lost. A kernel that stands still says the same; every other witness may just be at rest.
    if watch.silences < 2 and not (verdict == HUNG and testimony.kernel is Says.STILL):
        return watch, []
    if verdict is None:
        return watch._replace(state=SUSPECT, detail=f"not judged: {reason}"), []
    evidence: dict[str, object] = {"silent": round(now - silent_from, 1), "questions": watch.silences}
    evidence.update({name: getattr(said, "value", said) for name, said in testimony._asdict().items()})
    evidence["window"] = round(testimony.window, 1)
    after, effects = opened(watch, verdict, reason, evidence, fitness, timing)
    # What works now may hang later, so after this verdict the next window begins; no question of ours falls into that.
    return (after._replace(first=last, steady=None) if verdict == AGENT_SILENT else after), effects


