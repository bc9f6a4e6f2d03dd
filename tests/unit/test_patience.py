"""How long a guest may take is learned from the guest, within what is set."""

from __future__ import annotations

import pytest

from heartbeat.incident import NEVER_ANSWERED, RECORD
from heartbeat.observation import Rebooted, Tick
from heartbeat.patience import Estimate, answer_limit, boot_limit, learn
from heartbeat.probe import Answer
from tests.harness.observations import NEXT_RUN, Story, healthy, seen
from tests.harness.simulation import Machine, Node


def learned(*seconds: float) -> Estimate | None:
    known = None
    for it in seconds:
        known = learn(known, it)
    return known


@pytest.mark.parametrize(("answers", "limit"), [
    ((), 5), ((0.002,) * 20, 2), ((0.002,) * 20 + (3.0,), 4), ((4.0,) * 20, 5), ((0.9,) * 100, 2), ((1.0, 3.0) * 20, 5),
])  # fmt: skip
def test_a_quick_agent_is_given_less_time_and_never_more_than_set_nor_less_than_two_seconds(answers, limit):
    assert answer_limit(learned(*answers), silent=False, most=5, stretch=1) == limit


def test_a_second_question_and_one_on_a_host_in_trouble_get_more():
    quick = learned(*[0.002] * 20)
    assert answer_limit(quick, silent=True, most=5, stretch=1) == 5
    assert answer_limit(quick, silent=False, most=5, stretch=2) == 4
    assert answer_limit(quick, silent=False, most=5, stretch=8) == 5
    assert answer_limit(quick, silent=False, most=1, stretch=1) == 1


def test_the_first_question_that_is_not_answered_comes_back_sooner():
    machine = Machine()
    node = Node(machine)
    node.inventory()
    node.run(100)
    machine.kernel = node.now
    node.run(20)
    first, second = [at for at in machine.asked if at >= machine.kernel][:2]
    assert second - first == pytest.approx(2.0, abs=0.1)


def test_a_late_answer_of_a_silent_agent_counts_with_all_the_time_that_it_took():
    story = healthy()
    story.asked(Answer.SILENT, 2)
    story.asked(takes=4)
    assert story.watch.answers is not None
    assert story.watch.answers.mean == pytest.approx(0.5)


def boots(story: Story, takes: float) -> None:
    story.tell(Rebooted(), 5)
    story.now += takes
    story.asked()


def test_a_guest_that_boots_quickly_is_missed_sooner():
    story = healthy()
    for _ in range(3):
        boots(story, 80)
    assert boot_limit(story.watch.boots, 600) == pytest.approx(80 + 4 * 22.5)
    story.tell(Rebooted(), 5)
    story.tell(Tick(), 169)
    assert story.verdicts == []
    story.tell(Tick(), 1)
    assert story.verdicts == [(NEVER_ANSWERED, RECORD)]


def test_what_is_known_of_its_boots_outlives_the_incarnation_and_is_bounded():
    story = healthy()
    boots(story, 50)
    story.tell(seen(NEXT_RUN), 5)
    story.asked(takes=0)
    assert story.watch.boots is not None
    assert story.watch.answers is not None
    assert boot_limit(story.watch.boots, 600) >= 120
    assert boot_limit(learned(5000.0), 600) == 600
    assert boot_limit(learned(1.0), 600) == 120
    assert boot_limit(learned(1.0), 60) == 60


def test_a_guest_that_was_running_when_we_came_teaches_nothing_about_boots():
    story = healthy()
    assert story.watch.boots is None
