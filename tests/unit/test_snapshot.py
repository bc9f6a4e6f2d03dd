"""One look at a node in logical time, with a real ledger: what it says, and what it says where something hangs."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

from heartbeat.condition import Limits
from heartbeat.discrepancies import Limits as NovaLimits
from heartbeat.figures import Bundles
from heartbeat.holds import JOB
from heartbeat.incident import Close
from heartbeat.ledger import Ledger, LedgerError
from heartbeat.manual import ALL, ManualHold
from heartbeat.observation import Paused
from heartbeat.probe import Answer
from heartbeat.records import DELIVERED, Recipient
from heartbeat.snapshot import BY_HAND, Snapshots
from heartbeat.tally import Tally
from tests.harness.observations import TIMING
from tests.harness.simulation import Machine, Node

UUIDS = [f"25efc0bf-1659-4c83-b4e6-{number:012}" for number in range(5)]


class Host:
    """A node of five guests, what it reports to, and who looks at it."""

    def __init__(self, tmp_path, **about: object) -> None:
        tmp_path.chmod(0o700)
        self.ledger, self.tally = Ledger(str(tmp_path / "state")), Tally()
        self.machines = [Machine(uuid) for uuid in UUIDS]
        self.node = Node(*self.machines, ledger=self.ledger, limits=Limits(hold=False), **about)
        self.node.owner.guests._recipients = lambda: {"recover": ["masakari"]}
        self.owner = self.node.owner
        self.owner._tally = self.tally
        self.owner.call = lambda function, timeout=5.0: function()
        self.reporting = SimpleNamespace(troubles={"masakari": False, "attributes": True}, lost=[])
        self.snapshots = self.watched()
        self.node.inventory()
        self.node.run(100)

    def watched(self, **more: object) -> Snapshots:
        return Snapshots(self.owner, self.ledger, self.reporting, self.tally, self.node.wall, **more)


@pytest.fixture
def host(tmp_path):
    host = Host(tmp_path)
    yield host
    host.ledger.close()


def test_healthy_guests_are_counted_as_such_with_the_answers_that_they_gave(host):
    it = host.snapshots.take()
    assert it.states() == {"healthy": 5}
    assert (it.loop.watched, it.loop.suspicions, it.loop.points, it.loop.able, it.loop.linked) == (5, 0, 0, True, True)
    asked = sum(len(machine.asked) for machine in host.machines)
    assert it.tally.answers[Answer.ALIVE] == asked > 0
    assert sum(it.tally.seconds.read().counts) == asked
    assert sum(it.tally.lateness.read().counts) == pytest.approx(100, abs=2)
    assert (it.books.incidents, it.books.owed, it.books.volume.incidents) == ([], {}, 0)
    assert it.books.volume.size > 0


def test_a_guest_that_hangs_is_suspected_once_then_failed_and_owed_to_whoever_recovers_it(host):
    host.machines[2].kernel = host.node.now
    host.node.run(40)
    it = host.snapshots.take()
    assert it.states() == {"healthy": 4, "hung": 1}
    assert it.loop.suspicions == 1
    assert it.tally.verdicts == {("hung", "recover"): 1}
    assert [(one.uuid, one.verdict, one.action) for one in it.books.incidents] == [(UUIDS[2], "hung", "recover")]
    assert it.books.owed["masakari"].number == 1
    assert 0 < it.age("masakari") < 40
    assert it.age("webhook") == 0
    assert it.books.flying == 0


def test_a_report_that_is_made_out_anew_is_as_old_as_the_failure(host):
    host.machines[2].kernel = host.node.now
    host.node.run(40)
    host.node.now += 500
    (owed,) = host.ledger.pending("masakari")
    host.ledger.renewed(owed.id, host.node.wall())
    assert host.snapshots.take().age("masakari") > 500


def test_a_report_of_an_end_is_as_old_as_the_end(host):
    host.owner.guests._recipients = lambda: {"recover": [Recipient("webhook", False, True)]}
    host.machines[2].kernel = host.node.now
    host.node.run(40)
    (owed,) = host.ledger.pending("webhook")
    host.ledger.attempt(owed.id)
    host.ledger.delivered(owed.id, host.node.wall(), "")
    host.node.now += 500
    host.ledger.apply([Close(owed.incident.id, "answers again")], host.node.wall(), {})
    assert host.snapshots.take().books.owed["webhook"].number == 1
    host.node.now += 7
    assert host.snapshots.take().age("webhook") == pytest.approx(7)


def test_a_report_that_has_arrived_is_not_owed_but_a_recovery_under_way(host):
    host.machines[2].kernel = host.node.now
    host.node.run(40)
    (owed,) = host.ledger.pending("masakari")
    host.ledger.attempt(owed.id)
    host.ledger.delivered(owed.id, host.node.wall(), "uuid")
    it = host.snapshots.take()
    assert (it.books.owed, it.books.flying) == ({}, 1)
    assert host.ledger.deliveries([owed.incident.id]) == {owed.incident.id: {"masakari": DELIVERED}}
    host.ledger.apply([Close(owed.incident.id, "answers again")], host.node.wall(), {})
    assert host.snapshots.take().books.flying == 0


def test_mode_observe_counts_what_would_have_been_recovered(tmp_path):
    host = Host(tmp_path, timing=TIMING._replace(observe=True))
    host.machines[0].kernel = host.node.now
    host.node.run(40)
    it = host.snapshots.take()
    assert it.loop.observe
    assert it.tally.verdicts == {("hung", "observed"): 1}


def test_holds_are_counted_by_kind_and_those_by_hand_for_the_guests_that_they_concern(host):
    host.node.about(Paused("paused by user", "user"), uuid=UUIDS[0])
    host.node.run(1)
    watches = host.owner.guests.watches
    assert [hold.kind for hold in watches[UUIDS[0]].holds] == ["paused"]
    begun, until = host.node.wall(), "2099-01-01T00:00:00.000000+00:00"
    host.owner.guests.manual = [ManualHold(1, UUIDS[1], "root", "work", begun, until)]
    assert host.snapshots.take().holds() == {"paused": 1, BY_HAND: 1}
    host.owner.guests.manual = [ManualHold(1, ALL, "root", "work", begun, until)]
    assert host.snapshots.take().holds() == {"paused": 1, BY_HAND: 5}
    host.owner.guests.manual = [ManualHold(1, ALL, "root", "work", begun, begun)]
    assert host.snapshots.take().holds()[BY_HAND] == 0
    assert JOB not in host.snapshots.take().holds()


def test_libvirt_and_nova_that_are_away_are_told(host):
    assert host.snapshots.take().loop.nova is None
    host.owner.guests.discrepancies.configure(NovaLimits("one", 300, 30, 3))
    assert host.snapshots.take().loop.nova is True
    host.owner.guests.discrepancies.unheard("no answer")
    host.node.link_down()
    host.node.run(1)
    loop = host.snapshots.take().loop
    assert (loop.linked, loop.able, loop.nova) == (False, False, False)


def test_a_loop_that_is_stuck_is_told_and_the_rest_is_there_all_the_same(host):
    def stuck(function, timeout):
        raise TimeoutError

    host.owner.call = stuck
    host.owner.progress = time.monotonic() - 70
    it = host.snapshots.take()
    assert it.loop is None
    assert it.stalled == pytest.approx(70, abs=10)
    assert it.books is not None
    assert (it.states(), it.holds()) == ({}, {})


def test_a_ledger_that_hangs_or_fails_is_left_out_and_not_asked_by_a_second_thread(host, monkeypatch):
    monkeypatch.setattr("heartbeat.snapshot.LIMIT", 0.05)
    gate, asked = threading.Event(), []

    def hanging():
        asked.append(1)
        gate.wait(30)
        return {}

    monkeypatch.setattr(host.ledger, "owed", hanging)
    assert host.snapshots.take().books is None
    assert host.snapshots.take().books is None
    assert asked == [1]
    gate.set()
    host.snapshots._reading.join(30)

    def failing():
        raise LedgerError("/ledger", "the disk is full")

    monkeypatch.setattr(host.ledger, "owed", failing)
    it = host.snapshots.take()
    assert it.books is None
    assert it.loop is not None


def test_health_checks_and_evidence_are_taken_from_whoever_has_them(host):
    assert (host.snapshots.take().checks, host.snapshots.take().bundles) == (None, None)
    more = host.watched(checks=lambda: {"healthy": 3}, bundles=lambda: Bundles(2, 4096, {"complete": 2})).take()
    assert (more.checks, more.bundles.kept) == ({"healthy": 3}, 2)


def test_suspicions_are_counted_when_they_begin_and_not_while_they_last(host):
    machine = host.machines[0]
    for _ in range(3):
        machine.agent = host.node.now
        host.node.run(12)
        machine.agent = float("inf")
        host.node.run(30)
    assert host.snapshots.take().loop.suspicions == 3
