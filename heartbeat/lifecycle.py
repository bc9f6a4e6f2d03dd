"""What libvirt's list and events make of a guest: started, paused, reset, stopped, gone. Pure as all of it."""

from __future__ import annotations

from heartbeat import holds
from heartbeat.conclusion import Step, opened
from heartbeat.guest import Channel
from heartbeat.holds import DUMP, GRACE, PAUSE
from heartbeat.incident import CERTAIN, IGNORE, IO_ERROR, PANICKED, QEMU_DIED, Close, Forget
from heartbeat.observation import (
    Ask,
    ChannelChanged,
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
    Vanished,
)
from heartbeat.suspicion import unreachable
from heartbeat.watch import (
    PAUSED,
    STOPPED,
    SUSPECT,
    UNKNOWN,
    UNMONITORED,
    WAITING,
    Fitness,
    Timing,
    Watch,
    calm,
    rest,
)


def seen(watch: Watch, it: Seen, now: float, fitness: Fitness, timing: Timing) -> Step:
    effects: list[Effect] = []
    if it.incarnation != watch.incarnation:
        if watch.incident:
            effects.append(Close(watch.incident.id, "the guest was started again"))
        watch = Watch(it.guest, it.incarnation, now, now, looking=watch.looking)
    was, watch = watch.guest.channel, watch._replace(guest=it.guest)
    if it.guest.channel is Channel.ABSENT:
        if watch.incident and watch.incident.verdict not in CERTAIN:
            effects.append(Close(watch.incident.id, "the domain has no agent channel any more"))
            watch = watch._replace(incident=None)
        watch = watch._replace(running=not it.pause, closed_from=None)
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
    if it.cause == "crashed":  # its processors are stopped for good: nobody dumps memory any more
        stopped_for_good = watch._replace(running=False, asked=None, closed_from=None)
        return opened(calm(stopped_for_good, PAUSED), PANICKED, it.why, {"reason": it.why}, fitness, timing)
    kept = holds.begin(holds.end(watch.holds, GRACE), PAUSE, it.why, now)
    stalled = None
    if it.cause == "ioerror":
        stalled = now if watch.stalled is None else watch.stalled
    state = IO_ERROR if watch.state == IO_ERROR and stalled is not None else PAUSED
    watch = watch._replace(running=False, asked=None, closed_from=None, holds=kept, stalled=stalled)
    return calm(watch, state, it.why), []


def resumed(watch: Watch, _: Resumed, now: float, fitness: Fitness, timing: Timing) -> Step:
    return (watch, []) if watch.running else (_running(watch, now, timing), [Ask()])


def rebooted(watch: Watch, _: Rebooted, now: float, fitness: Fitness, timing: Timing) -> Step:
    """A guest that boots is expected to be silent; it counts again from its first answer on."""
    effects: list[Effect] = [Forget(watch.guest.uuid)] if watch.armed else []
    if watch.incident:
        effects.append(Close(watch.incident.id, "the guest was reset"))
    watch = watch._replace(
        begun=now,
        armed=False,
        asked=None,
        closed_from=None,
        incident=None,
        panicked=False,
        holds=holds.end(watch.holds, DUMP),
    )
    return calm(watch, WAITING if watch.running else watch.state, "booting"), effects


def panicked(watch: Watch, it: Panicked, now: float, fitness: Fitness, timing: Timing) -> Step:
    """What the panic means shows in what follows: QEMU stopped or paused, a reset, or a dump that takes its time."""
    watch = watch._replace(panicked=True)
    if it.dumping:
        watch = watch._replace(holds=holds.begin(watch.holds, DUMP, "it writes a crash dump", now))
    return watch, []


def happened(watch: Watch, it: Happened, now: float, fitness: Fitness, timing: Timing) -> Step:
    verdict, action = timing.events.get(it.event, ("", IGNORE))
    if action == IGNORE or watch.incident:
        return watch, []
    return opened(watch, verdict, f"libvirt says: {it.event}", {"event": it.event}, fitness, timing, action)


def stopped(watch: Watch, it: Stopped, now: float, fitness: Fitness, timing: Timing) -> Step:
    if it.died and watch.state in (STOPPED, QEMU_DIED, PANICKED):
        return watch, []  # known already, from another event or from the list
    verdict, action = timing.events.get(it.event, ("", ""))
    quiet = watch._replace(running=False, asked=None, closed_from=None, stalled=None, holds=())
    quiet = calm(quiet, STOPPED, it.why)
    effects: list[Effect] = []
    if action != IGNORE and (it.died or action):
        # A certain fact, recorded whatever our fitness is; it is reported once we are fit.
        if watch.panicked:
            verdict, action = timing.events.get("lifecycle.crashed.panicked", (PANICKED, ""))
        verdict = verdict or QEMU_DIED
        quiet, effects = opened(quiet, verdict, it.why, {"reason": it.why}, fitness, timing, action)
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
    return calm(watch._replace(running=False, armed=False, incident=None), STOPPED, "gone from this node"), effects


def recorded(watch: Watch, it: Recorded, now: float, fitness: Fitness, timing: Timing) -> Step:
    return watch._replace(incident=it.incident), []


def gapped(watch: Watch, it: Gap, now: float, fitness: Fitness, timing: Timing) -> Step:
    watch = watch._replace(asked=None, closed_from=None if it.blind or watch.closed_from is None else now)
    if not watch.running:
        return watch, []
    return calm(watch, UNKNOWN if it.blind else rest(watch), it.why), []


def _running(watch: Watch, now: float, timing: Timing) -> Watch:
    """It runs again, or is seen again: for a while its agent may be slow, as after a migration."""
    kept = holds.begin(holds.end(watch.holds, PAUSE), GRACE, "it has just been resumed", now, timing.grace)
    watch = watch._replace(running=True, closed_from=None, stalled=None, holds=kept)
    return calm(watch, SUSPECT if watch.incident else WAITING)


