"""libvirt's events and numbers, as observations. Callbacks run in libvirt's event thread: they enqueue and return."""

from __future__ import annotations

from typing import Any, Callable

import libvirt

from heartbeat.message import About, Message
from heartbeat.observation import ChannelChanged, Observation, Paused, Rebooted, Resumed, Stopped

Post = Callable[[Message], None]
Refresh = Callable[[str], None]


def register(
    connection: libvirt.virConnect, post: Post, refresh: Refresh, runs: Callable[[str], bool]
) -> list[int]:
    """Ask for the events that we understand; returns the registrations. Raises libvirtError.

    runs: whether the QEMU process of a guest is alive, as far as is known.
    """

    def lifecycle(_: object, domain: libvirt.virDomain, event: int, detail: int, __: object) -> None:
        uuid = domain.UUIDString()
        observation = _lifecycle(event, detail)
        # Events carry no incarnation. That a QEMU died whose process runs is news of an earlier one, which came late.
        late = isinstance(observation, Stopped) and observation.died and runs(uuid)
        if observation and not late:
            post(About(uuid, observation))
        # An event may be older than the list that we read last; what libvirt says now puts that right.
        refresh(uuid)

    def reboot(_: object, domain: libvirt.virDomain, __: object) -> None:
        post(About(domain.UUIDString(), Rebooted()))

    def agent(_: object, domain: libvirt.virDomain, state: int, reason: int, __: object) -> None:
        connected = libvirt.VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED
        uuid = domain.UUIDString()
        post(About(uuid, ChannelChanged(state == connected)))
        refresh(uuid)

    wanted: list[tuple[int, Callable[..., None]]] = [
        (libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, lifecycle),
        (libvirt.VIR_DOMAIN_EVENT_ID_REBOOT, reboot),
        (libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, agent),
    ]
    return [connection.domainEventRegisterAny(None, number, callback, None) for number, callback in wanted]


def pause(state: int, reason: int) -> str:
    """Why a domain in this state does not run; "" if it does."""
    if state == libvirt.VIR_DOMAIN_RUNNING:
        return ""
    if state == libvirt.VIR_DOMAIN_PAUSED:
        return f"paused: {name('VIR_DOMAIN_PAUSED_', reason)}"
    if state == libvirt.VIR_DOMAIN_CRASHED:
        return f"crashed: {name('VIR_DOMAIN_CRASHED_', reason)}"
    return _STATES.get(state, f"libvirt state {state}")


def name(prefix: str, number: int) -> str:
    """libvirt's own word for one of its numbers, which newer libvirts add to: the number itself if there is none."""
    return _names(prefix).get(number, str(number))


def _lifecycle(event: int, detail: int) -> Observation | None:
    if event == libvirt.VIR_DOMAIN_EVENT_SUSPENDED:
        return Paused(f"paused: {name('VIR_DOMAIN_EVENT_SUSPENDED_', detail)}")
    if event == libvirt.VIR_DOMAIN_EVENT_RESUMED:
        return Resumed()
    if event == libvirt.VIR_DOMAIN_EVENT_STOPPED:
        return Stopped(detail in _DIED, name("VIR_DOMAIN_EVENT_STOPPED_", detail))
    return _EVENTS.get(event)


def _names(prefix: str) -> dict[Any, str]:
    return {
        getattr(libvirt, word): word[len(prefix):].lower().replace("_", "-")
        for word in dir(libvirt)
        if word.startswith(prefix)
    }


_DIED = (libvirt.VIR_DOMAIN_EVENT_STOPPED_CRASHED, libvirt.VIR_DOMAIN_EVENT_STOPPED_FAILED)
_EVENTS: dict[int, Observation] = {
    libvirt.VIR_DOMAIN_EVENT_SHUTDOWN: Paused("shutting down"),
    libvirt.VIR_DOMAIN_EVENT_PMSUSPENDED: Paused("suspended by the guest"),
    libvirt.VIR_DOMAIN_EVENT_CRASHED: Paused("crashed"),
}
_STATES = {
    libvirt.VIR_DOMAIN_SHUTDOWN: "shutting down",
    libvirt.VIR_DOMAIN_PMSUSPENDED: "suspended by the guest",
}
