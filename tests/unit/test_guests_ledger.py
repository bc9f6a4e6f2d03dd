"""What becomes of the guests while the ledger cannot be written: nothing is believed that is not on disk."""

from __future__ import annotations

import pytest

from heartbeat.guests import LEDGER_RETRY
from heartbeat.incident import HUNG, QEMU_DIED, RECOVER, UNHEALTHY, Open
from heartbeat.ledger import Ledger, LedgerError
from heartbeat.observation import Stopped
from heartbeat.watch import HEALTHY, SUSPECT
from tests.harness.host import Host
from tests.harness.observations import NEXT_RUN, OPENED, OTHER, RUN, UUID, seen


@pytest.fixture
def host(tmp_path):
    host = Host(str(tmp_path / "state"))
    yield host
    host.ledger.close()


@pytest.fixture
def disk(monkeypatch):
    """The ledger's disk: counts what is tried, and fails while it is full."""

    class Disk:
        full, tried = False, 0

    write = Ledger.apply

    def apply(self, *args):
        Disk.tried += 1
        if Disk.full:
            raise LedgerError(self.path, "the disk is full")
        return write(self, *args)

    monkeypatch.setattr(Ledger, "apply", apply)
    return Disk


def test_a_step_that_the_ledger_cannot_take_is_not_made_and_is_made_when_it_can(host, disk):
    host.tell(seen())
    disk.full = True
    host.answers()
    assert host.states() == ["waiting"]
    assert "disk is full" in host.guests.trouble
    assert host.guests.next_at() == host.now + LEDGER_RETRY
    host.wake(LEDGER_RETRY)
    assert host.states() == ["waiting"]
    disk.full = False
    assert host.wake(LEDGER_RETRY) == {UUID}
    assert host.states() == [HEALTHY]
    assert host.ledger.armed() == {UUID: RUN}
    assert not host.guests.trouble


def test_a_hang_that_could_not_be_recorded_is_reported_when_it_can_be(host, disk):
    host.tell(seen())
    host.answers()
    disk.full = True
    host.hangs()
    assert (host.states(), host.opened, host.guests.failed()) == ([SUSPECT], [], [])
    disk.full = False
    host.wake(LEDGER_RETRY)
    assert [it.verdict for it in host.opened] == [HUNG]


def test_a_ledger_that_fails_for_long_costs_one_attempt_a_second_and_no_memory(host, disk):
    disk.full = True
    uuids = [f"25efc0bf-1659-4c83-b4e6-{number:012}" for number in range(50)]
    for uuid in uuids:
        host.tell(seen(uuid=uuid), uuid=uuid)
    for _ in range(60):
        for uuid in uuids:
            host.answers(uuid=uuid)
            host.tell(Stopped(True, "failed"), uuid=uuid)
        host.wake(LEDGER_RETRY)
    assert disk.tried <= 122
    assert len(host.guests._postponed) <= 2 * len(uuids)


def test_a_death_that_could_not_be_recorded_is_not_put_down_to_the_next_incarnation(host, disk):
    """The guest died while the disk was full, was started again, answered, and then there was room."""
    host.tell(seen())
    host.answers()
    disk.full = True
    host.tell(Stopped(True, "failed"))
    host.tell(seen(run=NEXT_RUN), after=0.5)
    disk.full = False
    host.now += 0.6
    host.answers()
    host.wake(LEDGER_RETRY)
    assert not host.opened
    assert host.states() == [HEALTHY]


def test_a_death_that_could_not_be_recorded_survives_an_older_list(host, disk):
    host.tell(seen())
    host.answers()
    disk.full = True
    host.tell(Stopped(True, "failed"))
    host.inventory(one=seen())
    disk.full = False
    host.wake(LEDGER_RETRY)
    assert [(it.verdict, it.action) for it in host.opened] == [(QEMU_DIED, RECOVER)]


def test_a_guest_that_is_back_is_not_taken_for_gone_by_an_older_list_that_is_tried_again(host, disk):
    host.tell(seen())
    host.answers()
    disk.full = True
    host.inventory()
    host.inventory(one=seen())
    disk.full = False
    host.wake(LEDGER_RETRY)
    assert host.states() == [HEALTHY]
    assert host.ledger.armed() == {UUID: RUN}


def test_an_incident_of_a_health_check_is_none_of_the_watchs_when_we_begin_anew(host):
    host.tell(seen())
    host.answers()
    host.hangs()
    sick = Open(UUID, "vm", RUN, UNHEALTHY, RECOVER, "{}")
    host.ledger.apply([sick, sick._replace(uuid=OTHER)], OPENED, {})
    host.begin()
    host.inventory(one=seen(), two=seen(uuid=OTHER))
    assert [it.incident and it.incident.verdict for it in host.guests.watches.values()] == [HUNG, None]
    host.inventory()
    assert sorted(it.verdict for it in host.ledger.open_incidents()) == [UNHEALTHY, UNHEALTHY]
