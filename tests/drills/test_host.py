"""What befalls the host, libvirt or the helper itself, over twenty guests, with nothing set but how many recoveries may
be under way at once."""
from __future__ import annotations

import signal
import time

import pytest

from tests.harness.drill import NOTHING
from tests.harness.load import starved
from tests.harness.wait import until
from tests.harness.ward import together

FLEET = tuple(f"guest {number}" for number in range(1, 21))
FEW, MANY, SPARED = FLEET[:3], FLEET[:15], FLEET[15:]     # no more than the breaker's number; and more than its share
MINUTE = 60.0
STARVING = 45.0     # seconds: longer than it takes to find a guest hung
HELD = 75.0


@pytest.fixture(scope="module")
def drills(new_drills):
    drills = new_drills(budget={"in_flight": 100})
    drills.ward.boot(*FLEET, balloon_period=10)
    drills.ward.watch()
    return drills


def survived(drills, name: str, parts=FLEET) -> None:
    """Everybody answers for longer than it takes to find a guest hung, and nobody was told of anything."""
    drills.ward.answers(*parts, rounds=3, seconds=90)
    drills.check(name, parts, NOTHING, "healthy")


def begin(drills, parts=FLEET) -> None:
    for part in parts:
        drills.strike(part)


def test_libvirtd_stopped_for_a_minute(drills, libvirtd):
    begin(drills)
    libvirtd.freeze()
    time.sleep(MINUTE)
    libvirtd.thaw()
    survived(drills, "libvirtd SIGSTOPped for a minute")


def test_libvirtd_killed(drills, libvirtd):
    begin(drills)
    libvirtd.kill()
    time.sleep(5)
    libvirtd.start()
    survived(drills, "libvirtd SIGKILLed, started 5 s later")


def test_libvirtd_restarted(drills, libvirtd):
    begin(drills)
    libvirtd.restart()
    survived(drills, "libvirtd restarted")


def test_a_guest_hangs_while_libvirtd_is_away(drills, libvirtd):
    victim = FLEET[0]
    libvirtd.stop()
    drills.strike(victim, drills.ward[victim].halt)
    libvirtd.start()
    drills.check("vCPU halted while libvirtd is away", victim, "hung reported", "hung", within=120)
    drills.ward[victim].domain.reset()
    drills.ward.wait("healthy", victim)


def test_the_helper_stopped_for_a_minute(drills):
    begin(drills)
    drills.ward.helper.signal(signal.SIGSTOP)
    time.sleep(MINUTE)
    drills.ward.helper.signal(signal.SIGCONT)
    survived(drills, "helper SIGSTOPped for a minute")


def test_a_few_guests_starved(drills):
    begin(drills)
    guests = [drills.ward[part] for part in FEW]
    together(*(guest.load for guest in guests))     # an idle guest needs so little that it hardly starves
    with starved(guest.pid for guest in guests):
        drills.ward.wait("suspect", FEW[0])
        time.sleep(STARVING)
    together(*(guest.unload for guest in guests))
    survived(drills, "3 busy guests starved of CPU for 45 s")


def test_everything_starved(drills, libvirtd):
    begin(drills)
    with starved([libvirtd.pid, drills.ward.helper.pid, *(drills.ward[part].pid for part in FLEET)]):
        time.sleep(STARVING)
    survived(drills, "all guests, libvirtd and helper starved for 45 s")


def test_15_of_20_guests_hang_at_once(drills):
    together(*(lambda part=part: drills.strike(part, drills.ward[part].halt) for part in MANY))
    begin(drills, SPARED)
    for part in MANY:
        drills.ward.wait("suspect", part)
    time.sleep(HELD)
    state = drills.ward.helper.status()["state"]
    drills.check("15 of 20 hang at once", MANY, NOTHING, "suspect")
    told = "fell silent" in state
    drills.record("... and the node's state says so", "fell silent", "fell silent" if told else state, HELD, True)
    drills.check("... their neighbours", SPARED, NOTHING, "healthy")


def test_15_of_20_guests_hang_at_once_and_an_operator_wants_them_reported(drills):
    for part in MANY:
        drills.strike(part)
    drills.ward.reset(breaker={"action": "report"})
    drills.check("... with action = report", MANY, "15 hung reported", "hung", within=180)
    until(lambda: "failed" in drills.ward.helper.status()["state"], "the node's state to be failed")
    drills.check("... their neighbours", SPARED, NOTHING, "healthy")
