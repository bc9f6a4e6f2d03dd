"""What is made of libvirt's events. The connection is a stand-in: no daemon has these events on demand."""

from __future__ import annotations

import libvirt
import pytest

from heartbeat.happenings import BY_NAME
from heartbeat.hypervisor import events
from heartbeat.message import About
from heartbeat.observation import ChannelChanged, Happened, Panicked, Paused, Rebooted, Resumed, Stopped
from tests.harness.observations import UUID


class Domain:
    def UUIDString(self) -> str:  # noqa: N802
        return UUID


def ended(word: str, died: bool = False) -> Stopped:
    return Stopped(died, word, event=f"lifecycle.stopped.{word}")


class Watcher:
    """A connection on which events are registered, and which can be made to have them."""

    def __init__(self) -> None:
        self.callbacks = {}
        self.posted: list[About] = []
        self.refreshed: list[str] = []
        self.alive = False  # whether the QEMU that we know of runs

    def domainEventRegisterAny(self, _, number, callback, opaque) -> int:  # noqa: N802
        self.callbacks[number] = callback
        return number

    def lifecycle(self, event: int, detail: int) -> None:
        self.callbacks[libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE](self, Domain(), event, detail, None)


@pytest.fixture
def wire():
    wire = Watcher()
    events.register(wire, wire.posted.append, wire.refreshed.append, lambda _: wire.alive)
    return wire


@pytest.mark.parametrize(("event", "detail", "expected"), [
    (2, 0, None), (2, 1, None), (0, 0, None), (1, 0, None), (9, 9, None),
    (3, 0, Paused("paused: paused", "paused")), (3, 1, Paused("paused: migrated", "migrated")),
    (3, 2, Paused("paused: ioerror", "ioerror")), (3, 99, Paused("paused: 99", "99")),
    (4, 0, Resumed("unpaused")), (4, 99, Resumed("99")),
    (5, 0, ended("shutdown")), (5, 1, ended("destroyed")), (5, 3, ended("migrated")), (5, 4, ended("saved")),
    (5, 2, ended("crashed", True)), (5, 5, ended("failed", True)), (5, 99, ended("99")),
    (6, 1, Paused("shutting down", "shutdown")), (7, 0, Paused("suspended by the guest", "suspended")),
    (8, 0, Panicked(False)), (8, 1, Panicked(True)),
])  # fmt: skip
def test_each_lifecycle_event_says_one_thing_and_has_the_domain_read_again(wire, event, detail, expected):
    wire.lifecycle(event, detail)
    told = [it.observation for it in wire.posted if not isinstance(it.observation, Happened)]
    assert told == ([expected] if expected else [])
    assert wire.refreshed == [UUID]


def test_a_late_word_of_a_death_is_not_put_down_to_a_qemu_that_runs(wire):
    wire.alive = True
    wire.lifecycle(libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_FAILED)
    assert wire.posted == []
    assert wire.refreshed == [UUID]


def test_the_channel_that_an_event_speaks_of_is_read_again_lest_an_older_list_wins(wire):
    agent = wire.callbacks[libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE]
    agent(wire, Domain(), 1, 2, None)
    agent(wire, Domain(), 2, 2, None)
    assert wire.posted == [About(UUID, ChannelChanged(True)), About(UUID, ChannelChanged(False))]
    assert wire.refreshed == [UUID, UUID]


def test_a_reset_is_told(wire):
    wire.callbacks[libvirt.VIR_DOMAIN_EVENT_ID_REBOOT](wire, Domain(), None)
    assert wire.posted == [About(UUID, Rebooted()), About(UUID, Happened("reboot"))]


@pytest.mark.parametrize(("event", "detail", "name"), [
    (3, 2, "lifecycle.suspended.ioerror"), (3, 3, "lifecycle.suspended.watchdog"), (3, 99, "lifecycle.suspended.99"),
    (6, 0, "lifecycle.shutdown.finished"), (7, 1, "lifecycle.pmsuspended.disk"),
    (8, 1, "lifecycle.crashed.crashloaded"),
])  # fmt: skip
def test_a_lifecycle_event_is_told_by_the_name_that_operators_set(wire, event, detail, name):
    wire.lifecycle(event, detail)
    assert wire.posted[-1] == About(UUID, Happened(name))
    assert name in BY_NAME or "99" in name


def test_a_panic_is_told_once_since_what_follows_it_is_the_verdict(wire):
    wire.lifecycle(libvirt.VIR_DOMAIN_EVENT_CRASHED, libvirt.VIR_DOMAIN_EVENT_CRASHED_PANICKED)
    assert wire.posted == [About(UUID, Panicked(False))]


@pytest.mark.parametrize(("number", "details", "name"), [
    (libvirt.VIR_DOMAIN_EVENT_ID_WATCHDOG, (2,), "watchdog.reset"),
    (libvirt.VIR_DOMAIN_EVENT_ID_WATCHDOG, (99,), "watchdog.99"),
    (libvirt.VIR_DOMAIN_EVENT_ID_IO_ERROR, ("/a\x1b", "virtio-disk0", 2), "io-error.report"),
    (libvirt.VIR_DOMAIN_EVENT_ID_CONTROL_ERROR, (), "control-error"),
    (libvirt.VIR_DOMAIN_EVENT_ID_MEMORY_FAILURE, (1, 1, 0), "memory-failure.inject"),
])  # fmt: skip
def test_every_other_event_is_told_by_its_name_and_nothing_else_of_it(wire, number, details, name):
    wire.callbacks[number](wire, Domain(), *details, None)
    assert wire.posted == [About(UUID, Happened(name))]
