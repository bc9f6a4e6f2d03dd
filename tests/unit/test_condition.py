"""This node's condition over time: fit or not, stretched or not, the breaker and what an operator made of it."""

from __future__ import annotations

import logging

import pytest

from heartbeat.condition import Condition, Limits
from heartbeat.incident import HUNG
from heartbeat.observation import Paused, Resumed
from heartbeat.pressure import Pressure
from tests.harness.observations import TIMING, UNFIT, healthy
from tests.harness.simulation import Machine, Node

CALM = Pressure(0.0, 0.0, 0.0)


def condition(limits: Limits = Limits(), pressure: Pressure = CALM) -> Condition:  # noqa: B008
    return Condition(limits, lambda: pressure)


def silent(number: int, since: float = 100.0) -> dict[str, float]:
    return {str(one): since for one in range(number)}


def test_a_node_that_is_well_may_judge_and_takes_no_longer():
    well = condition()
    well.step(100.0, 0.0, 0.001, {}, 20)
    assert well.fitness("", "") == (True, "", "", False, 1.0)
    assert well.trouble == ""


@pytest.mark.parametrize(("late", "canary", "pressure"), [
    (9.0, 0.001, CALM), (0.0, 30.0, CALM), (0.0, 0.001, Pressure(100.0, 50.0, 90.0)),
], ids=["our loop", "libvirt", "memory"])  # fmt: skip
def test_a_node_that_is_not_fit_says_why_stretches_every_time_and_recovers_step_by_step(late, canary, pressure):
    sick = Condition(Limits(), lambda: pressure if sick_still else CALM)
    sick_still = True
    sick.step(0.0, late, canary, {}, 20)
    fitness = sick.fitness("", "")
    assert not fitness.able
    assert fitness.why.startswith("not fit to judge: ")
    assert 5 < fitness.stretch <= 8
    sick_still, now, last = False, 0.0, fitness.stretch
    while last > 1:
        now += 1
        assert now < 100
        sick.step(now, 0.0, 0.001, {}, 20)
        assert last - 1 <= sick.fitness("", "").stretch <= last
        last = sick.fitness("", "").stretch
    assert sick.fitness("", "").able


@pytest.mark.parametrize("guests", [20, 60, 200, 400])
def test_a_whole_node_that_falls_silent_at_once_is_held_against_the_host_however_many_guests_it_has(guests):
    """Six slots hear of three guests a second: of 200, the first is judged before a third can have been asked."""
    node = Node(*[Machine(f"25efc0bf-1659-4c83-b4e6-{one:012}", phase=one % 10) for one in range(guests)])
    node.inventory()
    node.run(100)
    for machine in node.machines.values():
        machine.kernel = node.now
    node.run(300)
    assert node.verdicts == []
    assert node.owner.condition.breaker


@pytest.mark.parametrize("hung", [1, 5, 20])
def test_some_of_many_guests_that_hang_at_once_are_not_held_against_the_host(hung):
    node = Node(*[Machine(f"25efc0bf-1659-4c83-b4e6-{one:012}", phase=one % 10) for one in range(200)])
    node.inventory()
    node.run(100)
    for machine in list(node.machines.values())[:hung]:
        machine.kernel = node.now
    node.run(60)
    assert [verdict for _, verdict, _ in node.verdicts] == [HUNG] * hung


def test_a_lesser_trouble_stretches_the_times_and_forbids_nothing():
    slow = condition()
    slow.step(0.0, 0.0, 1.2, {}, 20)
    fitness = slow.fitness("", "")
    assert fitness.able
    assert fitness.stretch > 1


def test_without_libvirt_nobody_is_judged_whatever_else_is():
    assert condition().fitness("gone", "held").why == "libvirt: gone"
    assert condition().fitness("", "held") == (True, "", "held", False, 1.0)


def test_the_breaker_trips_holds_and_releases_by_itself(caplog):
    caplog.set_level(logging.INFO)
    node = condition()
    for now, number in ((100.0, 6), (101.0, 7), (102.0, 4), (103.0, 3)):
        node.step(now, 0.0, 0.001, silent(number), 20)
        assert node.fitness("", "").able is (number in (6, 3)), number
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "7 of 20 guests" in caplog.text
    assert "verdicts wait" in caplog.text


def test_an_operator_may_have_verdicts_reported_all_the_same(caplog):
    node = condition(Limits(hold=False))
    node.step(101.0, 0.0, 0.001, silent(20), 20)
    assert node.breaker
    assert node.fitness("", "").able
    assert "reported all the same" in caplog.text


def node_of(number: int, **about: object) -> Node:
    node = Node(*(Machine(f"25efc0bf-1659-4c83-b4e6-{one:012}") for one in range(number)), **about)
    node.inventory()
    return node.run(100)


def test_a_guest_whose_time_begins_anew_while_nobody_may_judge_it_is_silent_all_the_same():
    story = healthy()
    story.fitness = UNFIT
    story.hangs()
    assert "not judged" in story.watch.detail
    assert story.watch.silent_from == story.now
    assert story.watch.silences == 0


@pytest.mark.parametrize("number", [10, 20])
def test_a_breaker_that_holds_does_not_release_and_trip_by_turns(number):
    node = node_of(20)
    for machine in list(node.machines.values())[:number]:
        machine.kernel = node.now
    node.run(20)
    for _ in range(600):
        node.run(1)
        assert node.owner.condition.breaker
    assert node.verdicts == []


@pytest.mark.parametrize("number", [7, 8])
def test_barely_enough_silent_guests_trip_the_breaker_before_the_first_of_them_is_judged(number):
    node = node_of(20)
    for machine in list(node.machines.values())[:number]:
        machine.kernel = node.now
    node.run(300)
    assert node.owner.condition.breaker
    assert node.verdicts == []


def test_the_breaker_counts_the_guests_that_an_io_error_stopped():
    node = node_of(8)
    for uuid in node.machines:
        node.about(Paused("paused: ioerror", "ioerror"), uuid=uuid)
    node.run(600)
    assert node.owner.condition.breaker
    assert node.verdicts == []
    kept, *others = node.machines
    for uuid in others:
        node.about(Resumed(), uuid=uuid)
    node.run(2 * TIMING.io_error + 10)
    assert [(uuid, verdict) for uuid, verdict, _ in node.verdicts] == [(kept, "io-error")]


def test_when_the_breaker_releases_those_that_are_still_silent_are_judged():
    node = node_of(20)
    machines = list(node.machines.values())
    for machine in machines[:10]:
        machine.kernel = node.now
    node.run(120)
    assert node.verdicts == []
    for machine in machines[2:10]:
        machine.kernel = float("inf")
    node.run(120)
    assert sorted(uuid for uuid, verdict, _ in node.verdicts if verdict == HUNG) == [it.uuid for it in machines[:2]]


def test_stretched_times_make_a_verdict_later_by_as_much():
    plain, stretched = node_of(1), node_of(1)
    stretched.libvirt = 1.2
    stretched.run(5)
    times = []
    for node in (plain, stretched):
        node.run(200 - node.now % 100)
        (machine,) = node.machines.values()
        machine.kernel = began = node.now
        while not node.verdicts:
            node.run(0.5)
            assert node.now < began + 600
        times.append(node.now - began)
    stretch = stretched.owner.fitness.stretch
    assert stretch > 1
    assert times[1] >= stretch * TIMING.silence > times[0] - TIMING.interval
