"""How often, and how many at a time: budgets over a real ledger, and what couriers are told right before a report."""

from __future__ import annotations

import pytest

from heartbeat import guests
from heartbeat.backoff import LAST_HELD
from heartbeat.budget import FLIGHT, Budget, flights_since
from heartbeat.incident import HUNG, OBSERVED, RECORD, RECOVER, SUSPENDED
from heartbeat.manual import ALL, ManualHold
from heartbeat.observation import Rebooted
from heartbeat.verdict import Broken
from tests.harness.host import Host
from tests.harness.observations import FIT, OPENED, OTHER, TIMING, UNFIT, UUID, seen
from tests.harness.simulation import Machine, Node

EARLIER, LATER = "2026-11-20T04:00:00+00:00", "2026-11-20T23:00:00+00:00"


@pytest.fixture
def host(tmp_path):
    host = Host(str(tmp_path / "state"))
    yield host
    host.ledger.close()


def fails(host: Host, reported: bool = True) -> None:
    """The guest hangs, is reported unless called off, and answers again."""
    host.tell(seen())
    host.answers()
    host.hangs()
    for owed in host.ledger.pending("masakari"):
        if reported:
            host.ledger.attempt(owed.id)
            host.ledger.delivered(owed.id, OPENED, "ref")
    host.answers()


def test_times_go_back_by_the_window_and_stay_in_the_ledgers_form():
    assert Budget(window=3600).since("2026-11-20T05:00:00.000000+00:00") == "2026-11-20T04:00:00.000000+00:00"
    assert Budget(window=86400 * 30).since(OPENED) == "2026-10-21T05:00:00.000000+00:00"
    assert flights_since("2026-11-20T05:00:00+00:00") == "2026-11-20T04:50:00.000000+00:00"
    assert FLIGHT == 600


def test_beyond_its_budget_a_guest_is_suspended_and_its_neighbours_are_not(host):
    for _ in range(5):
        fails(host)
    assert [it.action for it in host.opened] == [RECOVER] * 3 + [SUSPENDED] * 2
    assert host.guests.fitness_of(UUID, FIT).spent
    assert not host.guests.fitness_of(OTHER, FIT).spent


def test_a_suspended_guest_is_told_apart_and_not_counted_as_waiting_for_its_recovery(host):
    for _ in range(3):
        fails(host)
    host.hangs()
    assert host.guests.suspended() == [UUID]
    assert host.guests.failed() == []
    assert host.ledger.pending("masakari") == []
    host.answers()
    assert host.guests.suspended() == []


def test_a_budget_survives_our_restart_and_the_guests(host):
    for _ in range(3):
        fails(host)
        host.begin()
        host.inventory(one=seen())
        host.tell(Rebooted())
    host.answers()
    host.hangs()
    assert [it.action for it in host.opened] == [SUSPENDED]


def test_recoveries_that_were_called_off_cost_nothing(host):
    for _ in range(5):
        fails(host, reported=False)
    assert [it.action for it in host.opened] == [RECOVER] * 5


def test_a_budget_of_none_recovers_nobody(host):
    host.guests.budget = Budget(recoveries=0)
    fails(host)
    assert [it.action for it in host.opened] == [SUSPENDED]


@pytest.mark.parametrize("scope", [UUID, ALL])
def test_a_hold_by_hand_has_an_incident_recorded_and_not_reported_until_it_ends(host, scope):
    host.guests.manual = (ManualHold(1, scope, "alice", "updates", EARLIER, LATER),)
    fitness = host.guests.fitness_of(UUID, FIT)
    assert fitness.held == f"held by alice until 2026-11-20T23:00:00Z: {'the whole node, ' * (scope == ALL)}updates"
    host.tell(seen())
    host.answers()
    host.hangs()
    assert [(it.verdict, it.action) for it in host.opened] == [(HUNG, RECOVER)]
    host.guests.manual = (ManualHold(1, scope, "alice", "updates", EARLIER, OPENED),)
    assert host.guests.fitness_of(UUID, FIT).held == ""


def test_a_hold_of_the_cluster_comes_before_one_by_hand(host):
    host.guests.manual = (ManualHold(1, ALL, "alice", "updates", EARLIER, LATER),)
    assert host.guests.fitness_of(UUID, FIT._replace(held="standby")).held == "standby"
    assert host.guests.fitness_of(UUID, UNFIT).able is False


# What the couriers are told


def hung(number: int = 1, **about: object) -> Node:
    node = Node(*(Machine(f"25efc0bf-1659-4c83-b4e6-{one:012}") for one in range(20)), **about)
    node.owner.call = lambda function: function()
    node.inventory()
    node.run(100)
    for machine in list(node.machines.values())[:number]:
        machine.kernel = node.now
    return node.run(40)


def words(node: Node) -> list[str]:
    """What a courier hears, that asks a second time after a while where it heard "not-now": each guest is looked at
    once more meanwhile, if its last look was too long ago."""
    said = {it.id: node.owner.confirm(it.id) for it in node.ledger.opened}
    if "not-now" in said.values():
        node.run(LAST_HELD)
    again = {number: node.owner.confirm(number) for number, word in said.items() if word == "not-now"}
    return list({**said, **again}.values())


def test_a_report_waits_while_as_many_recoveries_are_under_way_as_may_be():
    node = hung(4)
    assert words(node) == ["stands"] * 4, "by default there is room for all guests of a node"
    node.owner.guests.budget = Budget(in_flight=3)
    assert words(node) == ["not-now"] * 4, "the ledger of these tests takes each for reported"
    node.owner.guests.budget = Budget(in_flight=4)
    assert words(node) == ["stands"] * 4, "a report never waits for itself"
    node.owner.guests.budget = Budget(in_flight=3)
    next(iter(node.machines.values())).kernel = float("inf")
    node.run(30)
    assert words(node)[:4].count("stands") == 3
    assert words(node)[:4].count("gone") == 1


def test_recoveries_that_were_reported_long_ago_make_room():
    node = hung(4)
    node.owner.guests.budget = Budget(in_flight=3)
    node.run(FLIGHT + 60)
    assert words(node) == ["stands"] * 4


def test_nothing_is_reported_in_mode_observe_though_it_was_owed_before():
    node = hung()
    assert words(node) == ["stands"]
    node.owner.timing = TIMING._replace(observe=True)
    assert words(node) == ["not-now"]
    node.owner.timing = TIMING
    assert words(node) == ["stands"]


def test_nothing_is_reported_while_the_cluster_holds():
    node = hung()
    node.owner.held = "the cluster is in maintenance-mode"
    assert words(node) == ["not-now"]
    node.owner.held = ""
    assert words(node) == ["stands"]


def test_an_incident_by_which_nothing_is_recovered_is_owed_to_nobody():
    node = hung(timing=TIMING._replace(observe=True))
    assert [it.action for it in node.ledger.opened] == [OBSERVED]
    assert node.owner.guests.failed() == []
    assert RECORD not in [it.action for it in node.ledger.opened]


def test_a_step_that_fails_is_tried_again_only_after_a_while(monkeypatch, host):
    host.tell(seen())

    def broken(*_: object):
        raise Broken("a bug of ours")

    monkeypatch.setattr(guests, "judge", broken)
    host.now += TIMING.boot
    for _ in range(10):
        host.wake(0)
    assert host.guests.next_at() >= host.now + 5
