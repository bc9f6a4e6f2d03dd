"""Scenarios that must never cause a recovery: what the host does to its guests, or its storage, libvirt or QEMU."""

from __future__ import annotations

import pytest

from heartbeat.condition import Condition, Limits
from heartbeat.incident import AGENT_SILENT, QEMU_STUCK, RECORD
from heartbeat.observation import Gap, Happened, Paused, Resumed
from heartbeat.pressure import Pressure
from heartbeat.watch import HEALTHY, SUSPECT, UNKNOWN
from tests.harness.observations import FIT, UUID, seen
from tests.harness.scenario import DEFAULT, HOUR, happens, nothing_recovered, passes, unanswered, well
from tests.harness.simulation import Machine, Node

STALLED = Paused("paused: ioerror", "ioerror")


def machines(number: int) -> list[Machine]:
    return [Machine(f"25efc0bf-1659-4c83-b4e6-{one:012}") for one in range(number)]


def node_with(*guests: Machine, **about: object) -> Node:
    node = Node(*guests, timing=DEFAULT, **about)
    node.inventory()
    return node.run(100)


def test_a_storage_that_stalls_for_less_than_the_dwell():
    """Scenario 18: the guest's storage stalls, is full or fails."""
    story = well()
    for _ in range(20):
        happens(story, "io-error.pause", "lifecycle.suspended.ioerror")
        story.tell(STALLED)
        passes(story, 55)
        story.tell(Resumed())
        unanswered(story, 2)
        story.asked()
    assert (story.watch.state, story.verdicts) == (HEALTHY, [])
    unanswered(story, 50, process="D")                 # without a pause: QEMU itself waits for the disk
    assert story.verdicts == [(QEMU_STUCK, RECORD)]
    nothing_recovered(story)
    whole_backend_stalls()


def whole_backend_stalls() -> None:
    """All guests of one storage: that is the storage's fault, however long it lasts."""
    node = node_with(*machines(10))
    for uuid in node.machines:
        node.about(STALLED, uuid=uuid)
        node.about(Happened("lifecycle.suspended.ioerror"), uuid=uuid)
    node.run(HOUR)
    assert node.owner.condition.breaker
    nothing_recovered(node)
    for uuid in node.machines:
        node.about(Resumed(), uuid=uuid)
    node.run(120)
    assert node.verdicts == []
    assert node.owner.condition.breaker == ""


def test_a_guest_that_the_host_lets_starve():
    """Scenario 19: other guests take the processors: the guest waits for them nearly all of the time."""
    story = well()
    unanswered(story, 360, cpu=lambda now: (now * 0.02, now * 0.97, int(now)))
    assert story.watch.state == SUSPECT
    assert story.verdicts == []
    nothing_recovered(story)


@pytest.mark.parametrize("pressure", [Pressure(100, 35, 60), Pressure(40, 60, 90)])
def test_a_host_that_swaps(pressure):
    """Scenario 20: the host swaps or reclaims the guest's memory."""
    guests = machines(3)
    node = node_with(*guests)
    node.pressure = pressure
    node.run(20)
    for machine in guests:
        machine.agent = node.now                       # too slow to answer; the kernels live on, hardly
        machine.kernel, machine.dead = node.now, (0.001, 0, 1)
    node.run(HOUR)
    assert node.verdicts == []
    assert "memory" in node.owner.condition.trouble
    nothing_recovered(node)


def test_a_guest_that_its_quota_holds_back():
    """Scenario 21: a quota on its processors or disks holds the guest back."""
    story = well()
    unanswered(story, 100, cpu=lambda now: (now * 0.1, 0, int(now * 10)))
    assert story.verdicts == [(AGENT_SILENT, RECORD)]
    nothing_recovered(story)


def test_a_guest_that_is_overloaded_but_alive():
    """Scenario 22: overloaded or swapping by itself: its agent answers rarely, its processors never rest."""
    story = well()
    for _ in range(100):
        unanswered(story, 3, cpu=lambda now: (now, 0, int(now * 50)), disk=lambda now: int(now * 90))
        story.asked(takes=4.9)
        assert story.watch.state == HEALTHY
    assert set(story.verdicts) <= {(AGENT_SILENT, RECORD)}
    nothing_recovered(story)


@pytest.mark.parametrize("idle", [
    {"balloon": lambda now: now - now % 10}, {"balloon": None, "cpu": lambda now: (now * 0.0015, 0, int(now * 18))},
    {"balloon": None, "cpu": lambda now: (now * 0.0002, 0, int(now * 0.3))},
], ids=["its balloon reports", "its timer ticks", "it is hardly ever woken"])
def test_an_idle_guest_whose_agent_hangs(idle):
    """Scenario 23: an idle guest with hardly a tick: that it reads and writes nothing proves nothing."""
    story = well()
    unanswered(story, 360, **idle)
    assert story.verdicts == [(AGENT_SILENT, RECORD)]
    nothing_recovered(story)


@pytest.mark.parametrize("held", ["hold_up", "sleep"])
def test_a_helper_that_did_not_run(held):
    """Scenario 24: we ourselves were stopped or swapped out, or the host was suspended."""
    guests = machines(5)
    node = node_with(*guests)
    for after in (3, 200, 500):
        getattr(node, held)(180, after)
    node.run(HOUR)
    assert node.verdicts == []
    story = well()
    unanswered(story, 1)
    story.tell(Gap("we were held up ourselves", False), 600)
    story.looked()
    assert story.watch.silences == 0
    nothing_recovered(story)


@pytest.mark.parametrize("step", [-86400, -3600, 3600, 86400])
def test_a_wall_clock_that_is_set(step):
    """Scenario 25: the wall clock is set, forwards or back, while the agent of a busy guest is frozen."""
    story = well()
    set_at = story.now + 8
    reports = {"balloon": lambda now: now - now % 10 + (step if now >= set_at else 0)}
    unanswered(story, 4, **reports, cpu=lambda now: (now, 0, int(now)))
    unanswered(story, 100, **reports, cpu=lambda now: (now, 0, int(now)))
    assert story.verdicts == [(AGENT_SILENT, RECORD)]
    nothing_recovered(story)


@pytest.mark.parametrize("alive", [(0.0002, 0, 0.3), (1.0, 0, 4), (0.001, 0, 2)], ids=["sleeps", "computes", "idles"])
@pytest.mark.parametrize("by", [-3600, 8, 30, 3600])
@pytest.mark.parametrize("after", [1, 5, 9, 15, 25])
def test_a_host_clock_that_is_set_while_an_agent_is_frozen(alive, by, after):
    """Scenario 25 on a whole node: the age of a balloon's stamp is of that clock, and its period may be long."""
    for period, phase in ((10, 3.9), (10, 9.9), (30, 4), (30, 8), (30, 12), (60, 20), (60, 55)):
        node = node_with(Machine(balloon=period, phase=phase, alive=alive))
        machine = node.machines[UUID]
        node.run(90)
        machine.agent = node.now
        machine.blind = [(node.now + 10, node.now + 10 + after)]
        node.set_clock(by, after)
        node.run(300)
        assert {verdict[-1] for verdict in node.verdicts} <= {RECORD}


def test_a_libvirt_that_hangs_or_is_restarted():
    """Scenario 26: libvirtd hangs, is restarted, upgraded or busy: no data is no verdict."""
    node = node_with(*machines(5))
    for _ in range(10):
        node.link_down()
        node.run(120)
        assert {node.state(uuid) for uuid in node.machines} == {UNKNOWN}
        node.inventory()
        node.run(60)
    assert node.verdicts == []
    nothing_recovered(node)
    slow = Condition(Limits(), lambda: Pressure(0.0, 0.0, 0.0))
    slow.step(0.0, 0.0, 30.0, {}, 5)
    assert not slow.fitness("", "").able


def test_a_monitor_that_is_in_other_hands():
    """Scenario 27: QEMU's monitor is busy or another client holds it: no data about this guest."""
    story = well()
    unanswered(story, 360, monitor=False)
    assert story.verdicts == []
    assert story.watch.state == SUSPECT
    nothing_recovered(story)


@pytest.mark.parametrize("frozen", [
    {"process": "T"}, {"process": "D"}, {"monitor": False, "stuck": True},
], ids=["stopped", "waits for the host", "its monitor does not return"])
def test_a_qemu_that_hangs_itself(frozen):
    """Scenario 28: QEMU itself is stopped by SIGSTOP, waits in state D, or does not react."""
    story = well()
    unanswered(story, 1)
    unanswered(story, 100, **frozen)
    assert story.verdicts == [(QEMU_STUCK, RECORD)]
    story.looked()                                     # it goes on; nothing in it has had time to move yet
    story.looked()
    assert story.verdicts == [(QEMU_STUCK, RECORD)]
    story.asked()
    assert not story.open
    nothing_recovered(story)


def test_many_guests_that_fall_silent_at_once():
    """Scenario 33: many guests at once: a network, a storage, or a bug of ours."""
    guests = machines(20)
    node = node_with(*guests)
    for machine in guests[:15]:
        machine.kernel = node.now
    node.run(HOUR)
    assert node.verdicts == []
    assert "guests" in node.owner.condition.trouble
    for machine in guests:
        machine.kernel = float("inf")
    node.run(60)
    assert node.owner.condition.trouble == ""
    nothing_recovered(node)


def test_a_nested_or_emulated_guest_with_fewer_witnesses():
    """Scenario 34: nested, emulated, or in another pid namespace: its processors' threads cannot be read."""
    story = well()
    unanswered(story, 360, threads=0)
    assert story.verdicts == []
    nothing_recovered(story)


def test_a_confidential_guest():
    """Scenario 35: neither screenshot nor dump can be had: no verdict needs them, and none rests on their absence."""
    story = well(balloon=0)
    unanswered(story, 100, balloon=None, net=lambda now: int(now * 5))
    assert story.verdicts == [(AGENT_SILENT, RECORD)]
    nothing_recovered(story)


def test_all_of_these_would_be_judged_if_it_were_not_for_what_was_seen():
    """No scenario: a guest that does nothing of it is hung, so the quiet of the others is no accident."""
    story = well()
    story.tell(seen())
    unanswered(story, 4)
    assert [verdict for verdict, _ in story.verdicts] == ["hung"]
    assert story.fitness == FIT
