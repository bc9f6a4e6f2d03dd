"""libvirt's events and numbers, as observations. Callbacks run in libvirt's event thread: they enqueue and return.

An event's name is made of libvirt's own words, so that a newer libvirt's events have one too.
"""

from __future__ import annotations

from typing import Any, Callable

import libvirt

from heartbeat.message import About, Message
from heartbeat.observation import (
    ChannelChanged,
    Happened,
    Observation,
    Panicked,
    Paused,
    Rebooted,
    Resumed,
    Stopped,
)

Post = Callable[[Message], None]
Refresh = Callable[[str], None]
Handler = Callable[..., "list[Observation]"]


def register(
    connection: libvirt.virConnect, post: Post, refresh: Refresh, runs: Callable[[str], bool]
) -> list[int]:
    """Ask for the events that we understand; returns the registrations. Raises libvirtError.

    runs: whether the QEMU process of a guest is alive, as far as is known.
    """

    def callback(handler: Handler) -> Callable[..., None]:
        def call(_: object, domain: libvirt.virDomain, *details: Any) -> None:
            uuid = domain.UUIDString()
            for observation in handler(*details[:-1]):  # the last one is what was registered with it: nothing
                # Events carry no incarnation. That a QEMU died whose process runs is late news of an earlier one.
                if not (isinstance(observation, Stopped) and observation.died and runs(uuid)):
                    post(About(uuid, observation))
            if handler in (_lifecycle, _agent):
                # An event may be older than the list that we read last; what libvirt says now puts that right.
                refresh(uuid)

        return call

    return [connection.domainEventRegisterAny(None, number, callback(handler), None) for number, handler in _HANDLERS]


def paused(state: int, reason: int) -> Paused | None:
    """Why a domain in this state does not run; None if it does."""
    if state == libvirt.VIR_DOMAIN_RUNNING:
        return None
    if state == libvirt.VIR_DOMAIN_PAUSED:
        cause = name("VIR_DOMAIN_PAUSED_", reason)
        return Paused(f"paused: {cause}", cause)
    if state == libvirt.VIR_DOMAIN_CRASHED:
        return Paused(f"crashed: {name('VIR_DOMAIN_CRASHED_', reason)}", "crashed")
    return Paused(_STATES.get(state, f"libvirt state {state}"))


def job(kind: int) -> str:
    """What libvirt is doing with a domain, from the type of its job; "" for nothing."""
    if kind in (libvirt.VIR_DOMAIN_JOB_NONE, libvirt.VIR_DOMAIN_JOB_COMPLETED):
        return ""
    return "a migration, save, dump, backup or snapshot"


def name(prefix: str, number: int) -> str:
    """libvirt's own word for one of its numbers, which newer libvirts add to: the number itself if there is none."""
    return _names(prefix).get(number, str(number))


def _lifecycle(event: int, detail: int) -> list[Observation]:
    kind = _KINDS.get(event, "")
    word = name(f"VIR_DOMAIN_EVENT_{kind.upper()}_", detail) if kind else ""
    full = f"lifecycle.{kind}.{word}"
    if event == libvirt.VIR_DOMAIN_EVENT_SUSPENDED:
        return [Paused(f"paused: {word}", word), Happened(full)]
    if event == libvirt.VIR_DOMAIN_EVENT_RESUMED:
        return [Resumed(word)]
    if event == libvirt.VIR_DOMAIN_EVENT_STOPPED:
        return [Stopped(detail in _DIED, word, event=full)]
    if event == libvirt.VIR_DOMAIN_EVENT_SHUTDOWN:
        return [Paused("shutting down", "shutdown"), Happened(full)]
    if event == libvirt.VIR_DOMAIN_EVENT_PMSUSPENDED:
        return [Paused("suspended by the guest", "suspended"), Happened(full)]
    if event == libvirt.VIR_DOMAIN_EVENT_CRASHED:
        dumping = detail != libvirt.VIR_DOMAIN_EVENT_CRASHED_PANICKED
        return [Panicked(dumping), *([Happened(full)] if dumping else [])]
    return []


def _reboot() -> list[Observation]:
    return [Rebooted(), Happened("reboot")]


def _agent(state: int, _: int) -> list[Observation]:
    return [ChannelChanged(state == libvirt.VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED)]


def _watchdog(action: int) -> list[Observation]:
    return [Happened(f"watchdog.{name('VIR_DOMAIN_EVENT_WATCHDOG_', action)}")]


def _io_error(_: str, __: str, action: int) -> list[Observation]:
    return [Happened(f"io-error.{name('VIR_DOMAIN_EVENT_IO_ERROR_', action)}")]


def _control_error() -> list[Observation]:
    return [Happened("control-error")]


def _memory_failure(_: int, action: int, __: int) -> list[Observation]:
    return [Happened(f"memory-failure.{name('VIR_DOMAIN_EVENT_MEMORY_FAILURE_ACTION_', action)}")]


def _names(prefix: str) -> dict[Any, str]:
    if prefix not in _CACHE:
        found = {
            getattr(libvirt, word): word[len(prefix):].lower().replace("_", "-")
            for word in sorted(dir(libvirt), key=len, reverse=True)  # a shorter word is the more general one: it wins
            if word.startswith(prefix) and isinstance(getattr(libvirt, word), int)
        }
        _CACHE[prefix] = found
    return _CACHE[prefix]


_CACHE: dict[str, dict[Any, str]] = {}
_DIED = (libvirt.VIR_DOMAIN_EVENT_STOPPED_CRASHED, libvirt.VIR_DOMAIN_EVENT_STOPPED_FAILED)
_KINDS = {
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED: "suspended",
    libvirt.VIR_DOMAIN_EVENT_RESUMED: "resumed",
    libvirt.VIR_DOMAIN_EVENT_STOPPED: "stopped",
    libvirt.VIR_DOMAIN_EVENT_SHUTDOWN: "shutdown",
    libvirt.VIR_DOMAIN_EVENT_PMSUSPENDED: "pmsuspended",
    libvirt.VIR_DOMAIN_EVENT_CRASHED: "crashed",
}
_STATES = {
    libvirt.VIR_DOMAIN_SHUTDOWN: "shutting down",
    libvirt.VIR_DOMAIN_PMSUSPENDED: "suspended by the guest",
}
_HANDLERS: list[tuple[int, Handler]] = [
    (libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, _lifecycle),
    (libvirt.VIR_DOMAIN_EVENT_ID_REBOOT, _reboot),
    (libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, _agent),
    (libvirt.VIR_DOMAIN_EVENT_ID_WATCHDOG, _watchdog),
    (libvirt.VIR_DOMAIN_EVENT_ID_IO_ERROR, _io_error),
    (libvirt.VIR_DOMAIN_EVENT_ID_CONTROL_ERROR, _control_error),
]
if hasattr(libvirt, "VIR_DOMAIN_EVENT_ID_MEMORY_FAILURE"):  # from 6.9
    _HANDLERS.append((libvirt.VIR_DOMAIN_EVENT_ID_MEMORY_FAILURE, _memory_failure))
