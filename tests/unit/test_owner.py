"""The owner loop: whom it asks, and what it does when libvirt, the ledger or we ourselves were away."""

from __future__ import annotations

import pytest

from heartbeat.condition import Limits
from heartbeat.guest import Channel
from heartbeat.incident import AGENT_SILENT, HUNG, QEMU_DIED, QEMU_STUCK, RECORD, RECOVER
from heartbeat.message import LinkDown
from heartbeat.observation import ChannelChanged, Gap, Paused, Resumed, Vanished
from heartbeat.watch import HEALTHY, SUSPECT, UNKNOWN
from tests.harness.intent import governed
from tests.harness.memory_ledger import MemoryLedger
from tests.harness.observations import NEXT_RUN, OTHER, RUN, TIMING, UUID, incident
from tests.harness.simulation import Machine, Node


def begun(*machines: Machine, **about: object) -> Node:
    """A node whose guests have been healthy for 100 s."""
    node = Node(*(machines or (Machine(),)), **about)
    node.inventory()
    node.run(100)
    for machine in machines:
        machine.asked.clear()
    return node


def test_a_healthy_guest_is_asked_once_in_each_interval_and_the_loop_rests_in_between():
    machine = Machine()
    node = begun(machine)
    turns = node.turns
    node.run(1000)
    assert len(machine.asked) == pytest.approx(100, abs=1)
    assert node.turns - turns < 2500
    assert node.verdicts == []


def test_a_guest_that_hangs_is_reported_and_its_neighbours_are_not():
    machines = [Machine(f"25efc0bf-1659-4c83-b4e6-{number:012}") for number in range(20)]
    node = begun(*machines)
    machines[7].kernel = node.now
    node.run(30)
    assert node.verdicts == [(machines[7].uuid, HUNG, RECOVER)]
    assert node.shown[-1] == ("", "", [machines[7].uuid])
    assert node.run(600).verdicts == [(machines[7].uuid, HUNG, RECOVER)]


def test_a_healthy_guest_is_asked_on_while_its_neighbours_hang():
    machines = [Machine(f"25efc0bf-1659-4c83-b4e6-{number:012}") for number in range(12)]
    node = begun(*machines, limits=Limits(hold=False))
    for machine in machines[:10]:
        machine.kernel = node.now
    node.run(120)
    assert {uuid for uuid, _, _ in node.verdicts} == {machine.uuid for machine in machines[:10]}
    assert all(len(machine.asked) >= 4 for machine in machines[10:])


def test_a_frozen_agent_is_never_taken_for_a_hang():
    node = begun(Machine(agent=1100))
    node.run(3600)
    assert node.verdicts == [(UUID, AGENT_SILENT, RECORD)]


@pytest.mark.parametrize("state", ["T", "D"])
def test_a_stopped_qemu_is_no_hung_guest_but_recorded_as_what_it_is(state):
    node = begun(Machine(kernel=1100, process=state))
    node.run(600)
    assert node.verdicts == [(UUID, QEMU_STUCK, RECORD)]


def test_a_guest_whose_channel_is_closed_is_not_asked_until_it_opens():
    machine = Machine()
    node = begun(machine)
    node.closes()
    node.run(100)
    assert machine.asked == []
    machine.channel = Channel.OPEN
    node.about(ChannelChanged(True))
    node.run(1)
    assert len(machine.asked) == 1


@pytest.mark.parametrize("away", [Paused("paused: user"), Vanished()], ids=["paused", "gone"])
def test_a_guest_that_does_not_run_here_is_not_asked(away):
    machine = Machine()
    node = begun(machine)
    node.about(away)
    node.run(100)
    assert machine.asked == []


def test_a_guest_that_is_in_no_list_any_more_is_not_asked():
    machine = Machine()
    node = begun(machine)
    del node.machines[UUID]
    node.inventory()
    node.run(100)
    assert machine.asked == []
    assert UUID not in node.owner.schedule


def test_a_paused_guest_is_asked_at_once_when_it_goes_on():
    machine = Machine()
    node = begun(machine)
    node.about(Paused("paused: user"))
    node.run(100)
    node.about(Resumed())
    node.run(1)
    assert len(machine.asked) == 1
    assert node.state() == HEALTHY


def test_while_libvirt_is_gone_nobody_is_asked_or_judged_and_a_hang_is_found_when_it_is_back():
    machine = Machine()
    node = begun(machine)
    machine.kernel = node.now
    node.link_down(8)
    node.run(300)
    assert node.state() == UNKNOWN
    assert machine.asked[-1] <= machine.kernel + 20
    assert node.verdicts == []
    assert node.shown[-1][1] == "gone"
    turns = node.turns
    node.run(300)
    assert node.turns - turns < 400
    node.inventory()
    node.run(TIMING.grace)
    assert node.verdicts == [], "just back, its agent may be slow"
    node.run(30)
    assert node.verdicts == [(UUID, HUNG, RECOVER)]


def test_a_channel_that_closes_while_libvirt_is_gone_does_not_make_the_loop_spin():
    node = begun()
    node.link_down()
    node.closes(1)
    turns = node.turns
    node.run(600)
    assert node.turns - turns < 700
    assert node.verdicts == []


@pytest.mark.parametrize("held", ["hold_up", "sleep"])
def test_our_own_lateness_counts_against_no_guest(held):
    machine = Machine()
    node = begun(machine)
    machine.kernel = node.now
    node.run(14)
    assert node.state() == SUSPECT
    getattr(node, held)(40)
    node.run(10)
    assert node.verdicts == []
    node.run(8 * TIMING.silence)  # times are stretched for a while after we were late
    assert node.verdicts == [(UUID, HUNG, RECOVER)]


def test_lateness_while_libvirt_is_gone_does_not_make_a_guest_known():
    node = begun()
    node.link_down()
    node.hold_up(30, 5)
    node.run(60)
    assert node.state() == UNKNOWN


def test_an_incident_of_an_earlier_life_is_confirmed_only_when_its_guest_was_judged_again():
    machine = Machine(kernel=0)
    ledger = MemoryLedger({UUID: RUN}, [incident(HUNG, RECOVER, number=7)])
    node = Node(machine, ledger=ledger)
    said = []
    node.owner.call = lambda function: said.append(function())
    node.owner.confirm(7)
    node.inventory()
    node.run(10)
    node.owner.confirm(7)
    node.run(30)
    node.owner.confirm(7)
    node.run(2)
    node.owner.confirm(7)
    machine.kernel = float("inf")
    node.run(20)
    node.owner.confirm(7)
    assert said == ["not-now", "not-now", "not-now", "stands", "gone"], "its last look was too old at first"
    assert HUNG not in [verdict for _, verdict, _ in node.verdicts]


@pytest.mark.parametrize("later", range(16))
def test_a_hung_guest_that_came_back_while_its_report_was_held_up_is_not_recovered(later):
    """As when Masakari was away, or too many other recoveries were under way: it is looked at again first."""
    machine = Machine()
    node = begun(machine)
    node.owner.call = lambda function: function()
    machine.kernel = node.now
    node.run(40 + later)
    number = node.ledger.opened[0].id
    machine.kernel = float("inf")
    node.run(5.1)
    assert node.owner.confirm(number) != "stands"
    node.run(2)
    assert node.owner.confirm(number) == "gone"


def test_a_guest_whose_first_sight_the_ledger_did_not_take_is_asked_once_it_does():
    """Its incident of an earlier incarnation must be closed in the ledger first."""
    machine = Machine(run=NEXT_RUN)
    node = Node(machine, ledger=MemoryLedger({}, [incident(QEMU_DIED, RECOVER)]))
    node.ledger.broken = True
    node.inventory()
    node.run(30)
    assert machine.asked == []
    node.ledger.broken = False
    node.run(15)
    assert len(machine.asked) >= 1
    assert [it.why for it in node.ledger.closed] == ["the guest was started again"]


def test_a_ledger_that_fails_for_an_hour_does_not_make_the_loop_spin():
    machines = [Machine(), Machine(OTHER)]
    node = begun(*machines)
    machines[0].kernel = node.now
    node.ledger.broken = True
    turns, attempts = node.turns, node.ledger.attempts
    node.dies(OTHER, 10)
    node.run(3600)
    assert node.verdicts == []
    assert node.ledger.attempts - attempts < 3700
    assert node.turns - turns < 20_000
    node.ledger.broken = False
    node.run(5)
    assert sorted(node.verdicts) == [(UUID, HUNG, RECOVER), (OTHER, QEMU_DIED, RECOVER)]


def test_new_times_hold_from_the_next_question_on(tmp_path):
    machine = Machine()
    node = begun(machine)
    node.owner.govern(*governed(tmp_path, "[watch]\ninterval = 2\n"))
    node.run(112)
    assert len(machine.asked) == pytest.approx(52, abs=4)


def test_a_guest_that_libvirt_cannot_describe_is_unknown_and_known_again():
    node = begun()
    node.about(Gap("its XML is malformed", True))
    node.run(30)
    assert node.state() == UNKNOWN
    node.inventory()
    node.run(1)
    assert node.state() == HEALTHY


def told(caplog) -> list[str]:
    lines = [it.getMessage() for it in caplog.records]
    return [line.partition("judged: ")[2] for line in lines if "cannot be reached" in line]


def test_what_to_do_about_a_libvirt_that_is_away_is_said_once_and_not_while_it_is_just_restarted(caplog):
    node = begun()
    node.post(LinkDown("closed"))
    for _ in range(3):
        node.post(LinkDown("no such file", "start it"))
        node.run(1)
    assert told(caplog) == ["closed"]
    for _ in range(3):
        node.run(3)
        node.post(LinkDown("no such file", "start it"))
        node.run(1)
    assert told(caplog) == ["closed", "no such file; start it"]
    node.inventory()
    node.run(1)
    for _ in range(8):
        node.post(LinkDown("refused", "let us in"))
        node.run(1)
    assert told(caplog)[2:] == ["refused", "refused; let us in"]


def test_a_libvirt_that_never_was_there_is_told_of_with_what_to_do(caplog):
    node = Node(Machine())
    for _ in range(5):
        node.post(LinkDown("no such file", "start it"))
        node.run(2)
    assert told(caplog) == ["no such file; start it"]
