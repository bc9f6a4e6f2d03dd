"""What libvirt's list and events make of a guest: started, paused, reset, stopped, gone. Pure, as all of the
decision."""

from __future__ import annotations

from dataclasses import replace

from heartbeat.guest import Channel
from heartbeat.incident import QEMU_DIED, Close, Forget
from heartbeat.observation import (
    Ask,
    ChannelChanged,
    Effect,
    Gap,
    Paused,
    Rebooted,
    Recorded,
    Resumed,
    Seen,
    Stopped,
    Vanished,
)
from heartbeat.suspicion import Step, opened, unreachable
from heartbeat.watch import PAUSED, STOPPED, SUSPECT, UNKNOWN, UNMONITORED, WAITING, Fitness, Timing, Watch, calm, rest


def seen(watch: Watch, it: Seen, now: float, fitness: Fitness, timing: Timing) -> Step:
    effects: list[Effect] = []
    if it.incarnation != watch.incarnation:
        if watch.incident:
            effects.append(Close(watch.incident.id, "the guest was started again"))
        watch = Watch(it.guest, it.incarnation, now, looking=watch.looking)
    was, watch = watch.guest.channel, replace(watch, guest=it.guest)
    if it.guest.channel is Channel.ABSENT:
        if watch.incident and watch.incident.verdict != QEMU_DIED:
            effects.append(Close(watch.incident.id, "the domain has no agent channel any more"))
            watch = replace(watch, incident=None)
        watch = replace(watch, running=not it.pause, closed_from=None)
        return calm(watch, UNMONITORED, "the domain has no agent channel"), effects
    if it.pause:
        return _pause(watch, it.pause), effects
    if not watch.running or watch.state in (UNKNOWN, UNMONITORED):
        watch = calm(replace(watch, running=True, closed_from=None), SUSPECT if watch.incident else WAITING)
        effects.append(Ask())
    if it.guest.channel is Channel.CLOSED:
        return unreachable(watch, "the guest has not opened the agent's channel", now), effects
    if it.guest.channel is Channel.OPEN and was is Channel.CLOSED:
        effects.append(Ask())
    return watch, effects


def channel_changed(watch: Watch, it: ChannelChanged, now: float, fitness: Fitness, timing: Timing) -> Step:
    watch = replace(watch, guest=replace(watch.guest, channel=Channel.OPEN if it.open else Channel.CLOSED))
    if not watch.running:
        return watch, []
    if it.open:
        return watch, [Ask()]
    return unreachable(watch, "the guest has closed the agent's channel", now), []


def paused(watch: Watch, it: Paused, now: float, fitness: Fitness, timing: Timing) -> Step:
    return _pause(watch, it.why), []


def resumed(watch: Watch, _: Resumed, now: float, fitness: Fitness, timing: Timing) -> Step:
    if watch.running:
        return watch, []
    watch = replace(watch, running=True)
    return calm(watch, SUSPECT if watch.incident else WAITING), [Ask()]


def rebooted(watch: Watch, _: Rebooted, now: float, fitness: Fitness, timing: Timing) -> Step:
    """A guest that boots is expected to be silent; it counts again from its first answer on."""
    effects: list[Effect] = [Forget(watch.guest.uuid)] if watch.armed else []
    if watch.incident:
        effects.append(Close(watch.incident.id, "the guest was reset"))
    watch = replace(watch, armed=False, asked=None, closed_from=None, incident=None)
    return calm(watch, WAITING if watch.running else watch.state, "booting"), effects


def stopped(watch: Watch, it: Stopped, now: float, fitness: Fitness, timing: Timing) -> Step:
    if it.died and watch.state in (STOPPED, QEMU_DIED):
        return watch, []  # known already, from another event or from the list
    quiet = calm(replace(watch, running=False, asked=None, closed_from=None), STOPPED, it.why)
    effects: list[Effect] = []
    if it.died:
        # A certain fact, recorded whatever our fitness is; it is reported once we are fit.
        quiet, effects = opened(quiet, QEMU_DIED, it.why, reason=it.why)
    elif watch.incident:
        effects.append(Close(watch.incident.id, f"the guest was stopped: {it.why}"))
        quiet = replace(quiet, incident=None)
    if watch.armed:
        effects.append(Forget(watch.guest.uuid))
    return replace(quiet, armed=False), effects


def vanished(watch: Watch, _: Vanished, now: float, fitness: Fitness, timing: Timing) -> Step:
    effects: list[Effect] = [Forget(watch.guest.uuid)]
    if watch.incident:
        effects.append(Close(watch.incident.id, "the guest is not on this node any more"))
    return calm(replace(watch, running=False, armed=False, incident=None), STOPPED, "gone from this node"), effects


def recorded(watch: Watch, it: Recorded, now: float, fitness: Fitness, timing: Timing) -> Step:
    return replace(watch, incident=it.incident), []


def gapped(watch: Watch, it: Gap, now: float, fitness: Fitness, timing: Timing) -> Step:
    watch = replace(watch, asked=None, closed_from=None if it.blind or watch.closed_from is None else now)
    if not watch.running:
        return watch, []
    return calm(watch, UNKNOWN if it.blind else rest(watch), it.why), []


def _pause(watch: Watch, why: str) -> Watch:
    return calm(replace(watch, running=False, asked=None, closed_from=None), PAUSED, why)
