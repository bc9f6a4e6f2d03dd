"""How soon a hang is a verdict, in logical time: the schedule, the looks and the decision together."""

from __future__ import annotations

import pytest

from heartbeat.budget import Budget
from heartbeat.condition import Limits
from heartbeat.incident import HUNG, RECOVER
from heartbeat.settings import PRESETS
from heartbeat.watch import Timing
from tests.harness.observations import TIMING, UUID
from tests.harness.simulation import Machine, Node

HALTED, SPINNING, KICKED = (0, 0, 0), (1.0, 0.0, 4), (0.0001, 0.0, 0.3)
PROMISED = 26.0  # seconds from a hang to its verdict, by default


def until_verdict(machine: Machine, timing: Timing, after: float | None, longest: float = 600) -> float:
    """Seconds from the hang to the verdict. after: of the hang, behind an answer; None: just before a question."""
    node = Node(machine, timing=timing)
    node.inventory()
    node.run(3 * timing.interval + 40)
    step, asked = 0.05, len(machine.asked)
    while len(machine.asked) == asked:
        node.run(step)
    machine.kernel = node.now + after if after is not None else machine.asked[-1] + timing.interval - 0.05
    while not node.verdicts:
        node.run(step)
        assert node.now < machine.kernel + longest, "never reported"
    assert node.verdicts == [(UUID, HUNG, RECOVER)]
    return node.now - machine.kernel


@pytest.mark.parametrize("phase", [0.0, 2.5, 5.0, 9.9])
@pytest.mark.parametrize("dead", [HALTED, SPINNING, KICKED], ids=["halted", "spinning", "kicked by our questions"])
@pytest.mark.parametrize("after", [0.0, 3.0, 7.0, None])
def test_by_default_a_hang_is_a_verdict_within_26_seconds(phase, dead, after):
    taken = until_verdict(Machine(phase=phase, dead=dead), TIMING, after)
    assert TIMING.silence <= taken <= PROMISED


@pytest.mark.parametrize("interval", [2, 5, 10, 30])
@pytest.mark.parametrize("timeout", [1, 5, 10])
@pytest.mark.parametrize("silence", [12, 15, 60])
def test_with_other_times_a_hang_is_a_verdict_after_one_interval_and_the_time_of_silence(interval, timeout, silence):
    timing = Timing(interval, timeout, silence, 60)
    # Two questions must have gone unanswered, and the balloon must have had its period and its margin, both from the
    # first look on, which takes place a second into the first question.
    needed = max(silence, timeout + 5, 1 + 12)
    taken = until_verdict(Machine(), timing, 0.0)
    assert silence <= taken <= interval + needed + 5 + 0.2  # a look that came too early is followed by one 5 s later


def test_a_slow_balloon_makes_a_verdict_later_and_not_impossible():
    assert until_verdict(Machine(balloon=30), TIMING, 0.0) <= 10 + 1 + 30 + 2 + 5 + 0.2


def test_without_a_balloon_a_halted_guest_is_found_as_soon():
    assert until_verdict(Machine(balloon=0), TIMING, 0.0) <= PROMISED


@pytest.mark.parametrize("begin", [1.0, 6.0, 11.0, 20.0])
def test_another_client_that_has_qemus_monitor_now_and_then_delays_a_verdict_by_no_more_than_that(begin):
    """As a metrics exporter, or Nova reading the memory: from 3 s before to 3 s after each look."""
    machine = Machine()
    node = Node(machine)
    node.inventory()
    node.run(100)
    machine.kernel = node.now
    machine.blind = [(node.now + begin, node.now + begin + 6)]
    node.run(60)
    assert node.verdicts == [(UUID, HUNG, RECOVER)]


def test_a_guest_that_hangs_again_and_again_is_found_each_time():
    machine = Machine()
    node = Node(machine, budget=Budget(recoveries=9))
    node.inventory()
    for times in range(1, 6):
        node.run(60)
        machine.kernel = node.now
        node.run(30)
        assert [verdict for _, verdict, _ in node.verdicts].count(HUNG) == times
        machine.kernel, machine.phase = float("inf"), machine.phase + 0.001
    node.run(60)
    assert not node.ledger.open_incidents()


def test_many_guests_that_hang_at_once_are_all_found_where_their_number_is_not_held_against_the_host():
    machines = [Machine(f"25efc0bf-1659-4c83-b4e6-{number:012}") for number in range(50)]
    node = Node(*machines, limits=Limits(hold=False))
    node.inventory()
    node.run(100)
    for machine in machines:
        machine.kernel = node.now
    node.run(120)
    assert len({uuid for uuid, verdict, _ in node.verdicts if verdict == HUNG}) == 50


def hang(guests: int, hung: int) -> list[float]:
    """Seconds from the moment at which so many of them hang to each one's verdict."""
    machines = [Machine(f"25efc0bf-1659-4c83-b4e6-{number:012}", phase=number % 10) for number in range(guests)]
    node = Node(*machines, limits=Limits(hold=False))
    node.inventory()
    node.run(100)
    began = node.now
    for machine in machines[:hung]:
        machine.kernel = began
    taken: dict[str, float] = {}
    while len(taken) < hung:
        node.run(0.1)
        for uuid, verdict, _ in node.verdicts:
            assert verdict == HUNG
            taken.setdefault(uuid, node.now - began)
        assert node.now < began + 300
    return sorted(taken.values())


@pytest.mark.parametrize(("guests", "hung", "promised"), [(60, 20, 36), (60, 50, 43), (200, 50, 45)])
def test_the_last_of_many_that_hang_at_once_is_found_almost_as_soon_as_one(guests, hung, promised):
    assert hang(guests, hung)[-1] <= promised


def test_whoever_answers_is_asked_on_time_while_fifty_others_hang():
    machines = [Machine(f"25efc0bf-1659-4c83-b4e6-{number:012}") for number in range(60)]
    node = Node(*machines, limits=Limits(hold=False))
    node.inventory()
    node.run(100)
    for machine in machines[:50]:
        machine.kernel = node.now
    node.run(300)
    for machine in machines[50:]:
        late = [later - earlier for earlier, later in zip(machine.asked, machine.asked[1:])]
        assert max(late) <= 10 + 2 * 9     # the first questions to all that hang, two seconds each, six at a time


@pytest.mark.parametrize("phase", [0.0, 3.3, 6.6, 9.9])
@pytest.mark.parametrize("after", [0.0, 1.5, 2.9, None])
def test_at_high_sensitivity_a_halted_guest_is_found_within_12_seconds(phase, after):
    preset = PRESETS["high"]
    timing = Timing(*(preset[f"watch.{name}"] for name in ("interval", "timeout", "silence", "agent_down")))
    assert until_verdict(Machine(phase=phase), timing, after) < 11
    assert until_verdict(Machine(phase=phase, dead=SPINNING), timing, after) <= 3 + 12 + 1


@pytest.mark.parametrize("phase", [0.5, 2.0, 4.0, 6.0, 8.0, 9.5])
@pytest.mark.parametrize("after", [0.1, 0.7, 1.5, 2.3, 2.9])
def test_a_dead_cpu_that_is_kicked_now_and_then_is_judged_as_soon_as_its_balloon_has_missed_a_report(phase, after):
    preset = PRESETS["high"]
    timing = Timing(*(preset[f"watch.{name}"] for name in ("interval", "timeout", "silence", "agent_down")))
    assert until_verdict(Machine(phase=phase, dead=KICKED), timing, after) < 12


def test_a_dwell_is_kept_to_the_second():
    node = Node(Machine(), timing=TIMING._replace(agent_down=30))
    node.inventory()
    node.run(100)
    node.closes()
    node.run(29.9)
    assert node.verdicts == []
    node.run(0.3)
    assert [verdict for _, verdict, _ in node.verdicts] == ["agent-down"]
