"""What libvirt's list and events make of a guest: started, paused, reset, stopped, gone. Pure as all of it."""

from __future__ import annotations

from heartbeat import holds
from heartbeat.conclusion import Step, opened, recovery
from heartbeat.guest import PRESERVE, Channel
from heartbeat.holds import DUMP, GRACE, PAUSE, TASK
from heartbeat.incident import (
    CERTAIN,
    IGNORE,
    IO_ERROR,
    PANICKED,
    QEMU_DIED,
    RECORD,
    RECOVER,
    Close,
    Forget,
    Open,
)
from heartbeat.observation import (
    Ask,
    ChannelChanged,
    ClockSet,
    Effect,
    Gap,
    Happened,
    Panicked,
    Paused,
    Rebooted,
    Recorded,
    Resumed,
    Seen,
    Stopped,
    Tasked,
    Unrecovered,
    Vanished,
)
from heartbeat.suspicion import unreachable
from heartbeat.watch import (
    PAUSED,
    STOPPED,
    SUSPECT,
    UNKNOWN,
    UNMONITORED,
    VERDICTS,
    WAITING,
    Fitness,
    Timing,
    Watch,
    calm,
    rest,
    stands,
)


def seen(watch: Watch, it: Seen, now: float, fitness: Fitness, timing: Timing) -> Step:
    effects: list[Effect] = []
    if it.incarnation != watch.incarnation:
        if watch.incident:
            effects.append(Close(watch.incident.id, "the guest was started again"))
        # One that we see for the first time ourselves may have been running for long.
        started = watch.begun < now
        watch = Watch(it.guest, it.incarnation, now, now, looking=watch.looking, started=started, boots=watch.boots)
    was, watch = watch.guest.channel, watch._replace(guest=it.guest)
    if it.guest.channel is Channel.ABSENT:
        if watch.incident and watch.incident.verdict not in CERTAIN:
            effects.append(Close(watch.incident.id, "the domain has no agent channel any more"))
            watch = watch._replace(incident=None)
        kept = watch.holds if it.pause else holds.end(watch.holds, PAUSE)
        watch = watch._replace(running=not it.pause, asked=None, closed_from=None, stalled=None, holds=kept)
        return calm(watch, UNMONITORED, "the domain has no agent channel"), effects
    if it.pause:
        after, more = paused(watch, it.pause, now, fitness, timing)
        return after, effects + more
    if not watch.running or watch.state in (UNKNOWN, UNMONITORED):
        watch = _running(watch, now, timing)
        effects.append(Ask())
    if it.guest.channel is Channel.CLOSED:
        return unreachable(watch, "the guest has not opened the agent's channel", now), effects
    if it.guest.channel is Channel.OPEN and was is Channel.CLOSED:
        effects.append(Ask())
    return watch, effects


def channel_changed(watch: Watch, it: ChannelChanged, now: float, fitness: Fitness, timing: Timing) -> Step:
    watch = watch._replace(guest=watch.guest._replace(channel=Channel.OPEN if it.open else Channel.CLOSED))
    if not watch.running:
        return watch, []
    if it.open:
        return watch, [Ask()]
    return unreachable(watch, "the guest has closed the agent's channel", now), []


def paused(watch: Watch, it: Paused, now: float, fitness: Fitness, timing: Timing) -> Step:
    if it.cause == "crashed":
        standing = watch._replace(running=False, asked=None, closed_from=None)
        if watch.guest.on_crash == PRESERVE:
            return _panicked(calm(standing, PAUSED), it.why, fitness, timing)
        if watch.state in (PANICKED, QEMU_DIED) and not watch.running:
            return watch, []  # read before the end that followed, which nothing of this QEMU can undo
        # Until libvirt has dumped, stopped or reset it, as it is set to: what it did then is the verdict.
        kept = holds.begin(watch.holds, DUMP, f"it panicked, and on_crash is {watch.guest.on_crash}", now)
        return calm(standing._replace(holds=kept), PAUSED, it.why), []
    kept = holds.begin(holds.end(watch.holds, GRACE), PAUSE, it.why, now)
    stalled = None
    if it.cause == "ioerror":
        stalled = now if watch.stalled is None else watch.stalled
    # What was said of this very pause stands: by the time that it has lasted, or by an event.
    same = watch.state == IO_ERROR if stalled is not None else not watch.running and _of_event(watch)
    after = watch._replace(running=False, asked=None, closed_from=None, holds=kept, stalled=stalled)
    return calm(after, watch.state if same else PAUSED, it.why), []


def resumed(watch: Watch, _: Resumed, now: float, fitness: Fitness, timing: Timing) -> Step:
    return (watch, []) if watch.running else (_running(watch, now, timing), [Ask()])


def rebooted(watch: Watch, _: Rebooted, now: float, fitness: Fitness, timing: Timing) -> Step:
    """A guest that boots is expected to be silent; it counts again from its first answer on."""
    if watch.state in (STOPPED, QEMU_DIED):
        return watch, []  # late news: the list has told of its end before
    effects: list[Effect] = [Forget(watch.guest.uuid)] if watch.armed else []
    if watch.incident:
        effects.append(Close(watch.incident.id, "the guest was reset"))
    watch = watch._replace(
        begun=now,
        started=True,
        armed=False,
        asked=None,
        closed_from=None,
        incident=None,
        panicked=False,
        holds=holds.end(watch.holds, DUMP),
    )
    return calm(watch, WAITING if watch.running else watch.state, "booting"), effects


def panicked(watch: Watch, it: Panicked, now: float, fitness: Fitness, timing: Timing) -> Step:
    """What the panic means shows in what follows: QEMU stopped or paused, a reset, or a dump that takes its time. A
    kernel that tells of its panic before it loads the one that dumps (crash_kexec_post_notifiers) may dump as well."""
    why = "it writes a crash dump" if it.dumping else "its kernel has panicked, and may write a dump"
    return watch._replace(panicked=True, holds=holds.begin(watch.holds, DUMP, why, now)), []


def happened(watch: Watch, it: Happened, now: float, fitness: Fitness, timing: Timing) -> Step:
    verdict, action = timing.events.get(it.event, ("", IGNORE))
    if action == IGNORE or watch.state == STOPPED:
        return watch, []
    graver = action == RECOVER and watch.armed and watch.incident and watch.incident.action == RECORD
    if watch.incident and not graver:
        return watch, []
    return opened(watch, verdict, f"libvirt says: {it.event}", {"event": it.event}, fitness, timing, action)


def stopped(watch: Watch, it: Stopped, now: float, fitness: Fitness, timing: Timing) -> Step:
    if it.died and not watch.running and watch.state in (STOPPED, QEMU_DIED, PANICKED):
        return watch, []  # known already, from another event or from the list
    # The list has the event's own word.
    verdict, action = timing.events.get(it.event or f"lifecycle.stopped.{it.why}", ("", ""))
    if not it.event and not it.died:
        if watch.incident and not watch.running and watch.state == watch.incident.verdict == verdict:
            return watch, []  # as the event has said
        action = ""
    quiet = watch._replace(running=False, asked=None, closed_from=None, stalled=None, holds=())
    quiet = calm(quiet, STOPPED, it.why)
    effects: list[Effect] = []
    if action != IGNORE and (it.died or action):
        # A certain fact, recorded whatever our fitness is; it is reported once we are fit.
        if watch.panicked:
            quiet, effects = _panicked(quiet, it.why, fitness, timing)
        else:
            evidence = {"reason": it.why, **({"event": it.event} if it.event else {})}
            quiet, effects = opened(quiet, verdict or QEMU_DIED, it.why, evidence, fitness, timing, action)
    elif watch.incident:
        effects.append(Close(watch.incident.id, f"the guest was stopped: {it.why}"))
        quiet = quiet._replace(incident=None)
    if watch.armed:
        effects.append(Forget(watch.guest.uuid))
    return quiet._replace(armed=False), effects


def vanished(watch: Watch, _: Vanished, now: float, fitness: Fitness, timing: Timing) -> Step:
    effects: list[Effect] = [Forget(watch.guest.uuid)]
    if watch.incident:
        effects.append(Close(watch.incident.id, "the guest is not on this node any more"))
    gone = watch._replace(running=False, armed=False, stalled=None, holds=(), incident=None)
    return calm(gone, STOPPED, "gone from this node"), effects


def tasked(watch: Watch, it: Tasked, now: float, fitness: Fitness, timing: Timing) -> Step:
    """A guest that Nova is working on may be stopped, moved or rebuilt at any moment: its silence is expected."""
    if not it.task or watch.state == STOPPED:
        return watch._replace(holds=holds.end(watch.holds, TASK)), []
    return watch._replace(holds=holds.begin(watch.holds, TASK, f"Nova is at it: {it.task}", now)), []


def recorded(watch: Watch, it: Recorded, now: float, fitness: Fitness, timing: Timing) -> Step:
    return watch._replace(incident=it.incident), []


def unrecovered(watch: Watch, it: Unrecovered, now: float, fitness: Fitness, timing: Timing) -> Step:
    """What still fails is reported anew, as long as the budget lasts; then it needs a human. What it rests on has been
    judged, and the courier looks again."""
    old = watch.incident
    if old is None or old.action != RECOVER or stands(watch, it.incident, fitness) != "stands":
        return watch, []
    anew = Open(old.uuid, old.name, old.incarnation, old.verdict, recovery(fitness, timing), old.evidence)
    return watch._replace(incident=None), [Close(old.id, it.why), anew]


def gapped(watch: Watch, it: Gap, now: float, fitness: Fitness, timing: Timing) -> Step:
    closed = None if it.blind or watch.closed_from is None else now
    watch = watch._replace(asked=None, closed_from=closed, stalled=None if watch.stalled is None else now)
    if not watch.running:
        return watch, []
    return calm(watch, UNKNOWN if it.blind else rest(watch), it.why), []


def clock_set(watch: Watch, it: ClockSet, now: float, fitness: Fitness, timing: Timing) -> Step:
    return watch._replace(steady=None), []


def _panicked(watch: Watch, why: str, fitness: Fitness, timing: Timing) -> Step:
    wanted = timing.events.get("lifecycle.crashed.panicked", ("", ""))[1]
    return opened(watch, PANICKED, why, {"reason": why}, fitness, timing, wanted)


def _of_event(watch: Watch) -> bool:
    """Whether its state is what an event said of it, and not what was judged."""
    return watch.incident is not None and watch.state == watch.incident.verdict and watch.state not in VERDICTS


def _running(watch: Watch, now: float, timing: Timing) -> Watch:
    """It runs again, or is seen again: for a while its agent may be slow, as after a migration."""
    kept = holds.begin(holds.end(watch.holds, PAUSE), GRACE, "it has just been resumed", now, timing.grace)
    watch = watch._replace(running=True, closed_from=None, stalled=None, holds=kept)
    return calm(watch, SUSPECT if watch.incident else WAITING)


