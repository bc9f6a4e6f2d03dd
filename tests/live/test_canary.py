"""The canary says how long libvirt takes, whatever libvirtd does, and costs one thread and one connection."""
from __future__ import annotations

import os
import threading

import libvirt
import pytest

from heartbeat.hypervisor.canary import Canary
from heartbeat.hypervisor.link import KEEPALIVE, Link
from tests.harness.hypervisor import URI
from tests.harness.wait import until

LONG = KEEPALIVE[0] * KEEPALIVE[1] + 10.0      # seconds: by then a connection to a libvirtd that hangs was given up


@pytest.fixture(scope="module", autouse=True)
def _events():
    """Keepalive takes an event loop, as the helper has it."""
    libvirt.virEventRegisterDefaultImpl()

    def run() -> None:
        while True:
            libvirt.virEventRunDefaultImpl()
    threading.Thread(target=run, daemon=True, name="events").start()


@pytest.fixture
def canary(libvirtd):
    made = Canary(Link(URI, 60, 0, lambda _: None).connect, period=0.2)
    made.start()
    until(lambda: made.seconds is not None, "a first answer")
    yield made
    made.stop()
    until(lambda: not made._thread.is_alive(), "the thread to end", 60)


def held() -> tuple[int, int]:
    """Sockets and threads of this process."""
    links = [os.readlink(entry.path) for entry in os.scandir("/proc/self/fd") if os.path.lexists(entry.path)]
    return sum(link.startswith("socket:") for link in links), threading.active_count()


def well(canary) -> bool:
    return canary.seconds is not None and canary.seconds < 1


def test_libvirt_answers_in_less_than_a_second(canary):
    until(lambda: well(canary), "an answer")


def test_a_libvirtd_that_hangs_shows_while_it_hangs_and_the_time_goes_on_beyond_its_connection(libvirtd, canary):
    before = held()
    libvirtd.freeze()
    try:
        until(lambda: canary.seconds > 3, "the call that is out to show")
        seen, last = [], canary._connection

        def grown() -> bool:
            seen.append(canary.seconds)
            return canary._connection is not last and seen[-1] > LONG
        until(grown, "a connection that is given up, and the next one to hang as well", 3 * LONG)
        assert seen == sorted(seen), "the time goes on, whatever became of the connection"
        assert held()[1] == before[1]
    finally:
        libvirtd.thaw()
    until(lambda: well(canary), "libvirt to be well again")
    until(lambda: held() == before, "nothing to be left behind")


def test_a_libvirtd_that_is_gone_is_no_slow_one(libvirtd, canary):
    libvirtd.stop()
    try:
        until(lambda: canary.seconds is None, "no answer to be had")
    finally:
        libvirtd.start()
    until(lambda: well(canary), "libvirt to be well again")


def test_restarts_leave_nothing_behind(libvirtd, canary):
    before = held()
    for restart in (libvirtd.restart, libvirtd.restart, libvirtd.restart):
        restart()
        until(lambda: well(canary), "libvirt to be well again")
    libvirtd.kill()
    until(lambda: canary.seconds is None, "no answer to be had")
    libvirtd.start()
    until(lambda: well(canary), "libvirt to be well again")
    until(lambda: held() == before, "nothing to be left behind")


def test_a_helper_that_ends_does_not_wait_for_a_libvirtd_that_hangs(libvirtd, canary):
    libvirtd.freeze()
    try:
        until(lambda: canary.seconds > 1, "the call that is out to show")
        canary.stop()
        assert canary._thread.daemon
    finally:
        libvirtd.thaw()
