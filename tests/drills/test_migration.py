"""Live migration between two libvirtds on this machine, of which the helper watches the first."""
from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import libvirt
import pytest

from tests.harness.drill import NOTHING
from tests.harness.neighbour import Neighbour
from tests.harness.ward import settle

WATCH = {"interval": 5}
WATCHED = 80.0
ROUNDS = 6


@pytest.fixture(scope="module")
def drills(new_drills):
    drills = new_drills(WATCH)
    ward = drills.ward
    with Neighbour() as neighbour, ThreadPoolExecutor(8) as pool:
        ward.boot("leaving", "returning", "wandering", "halted", "frozen", "detained", "detained and hung",
                  balloon_period=10)
        ward.watch()
        begun = time.monotonic()
        plans = {"leaving": leaving, "returning": returning, "wandering": wandering, "halted": halted,
                 "frozen": frozen, "detained": detained, "detained and hung": detained_and_hung}
        doing = [pool.submit(drills.strike, part, lambda plan=plan, part=part: plan(ward, ward[part], neighbour, part))
                 for part, plan in plans.items()]
        for it in doing:
            it.result()
        settle(begun, WATCHED)
        yield drills


def leaving(ward, guest, neighbour, part) -> None:
    neighbour.take(guest)


def returning(ward, guest, neighbour, part) -> None:
    neighbour.take(guest)
    time.sleep(10)
    neighbour.give_back(guest)


def wandering(ward, guest, neighbour, part) -> None:
    for _ in range(ROUNDS):
        neighbour.take(guest)
        time.sleep(1)
        neighbour.give_back(guest)
        time.sleep(4)


def halted(ward, guest, neighbour, part) -> None:
    """It would be found hung about now: what it was suspected of is of no use to its next host, nor to us later."""
    guest.halt()
    ward.wait("suspect", part)
    neighbour.take(guest)
    time.sleep(5)
    neighbour.give_back(guest)


def frozen(ward, guest, neighbour, part) -> None:
    guest.freeze_agent()
    ward.wait("suspect", part)
    neighbour.take(guest)
    time.sleep(5)
    neighbour.give_back(guest)
    time.sleep(20)
    guest.thaw_agent()


def detained(ward, guest, neighbour, part) -> None:
    """A migration that takes 40 s and is given up, of a guest whose agent is silent meanwhile."""
    guest.freeze_agent()
    slow_migration(guest, neighbour)
    guest.thaw_agent()


def detained_and_hung(ward, guest, neighbour, part) -> None:
    guest.halt()
    slow_migration(guest, neighbour)


def slow_migration(guest, neighbour) -> None:
    with ThreadPoolExecutor(1) as pool:
        moving = pool.submit(neighbour.take, guest, bandwidth=1)
        time.sleep(40)
        guest.domain.abortJob()
        with pytest.raises(libvirt.libvirtError):
            moving.result()


DRILLS = [
    ("live migration away", "leaving", NOTHING, "not known"),
    ("live migration away and back", "returning", NOTHING, "healthy"),
    ("live migration, to and fro 6 times", "wandering", NOTHING, "healthy"),
    ("vCPU halted, migrated while suspect, and back", "halted", NOTHING, "waiting"),
    ("agent silent, migrated while suspect, and back", "frozen", NOTHING, "healthy"),
    ("agent silent during a migration of 40 s", "detained", NOTHING, "healthy"),
    ("vCPU halted, migration of 40 s, given up", "detained and hung", "hung reported", "hung"),
]


@pytest.mark.parametrize(("name", "part", "expected", "state"), DRILLS, ids=[row[0] for row in DRILLS])
def test_migration(drills, name, part, expected, state):
    drills.check(name, part, expected, state, within=60)
