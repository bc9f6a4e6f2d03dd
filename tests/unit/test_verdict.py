"""The decision about a guest that does not answer, told as an operator would tell it."""

from __future__ import annotations

import pytest

from heartbeat.incident import AGENT_SILENT, HUNG, QEMU_STUCK, RECORD, RECOVER, Close, Open
from heartbeat.observation import Answered, Arm, Ask, Asked, Gap, Look, Sampled, Tick
from heartbeat.probe import LIFE, Answer
from heartbeat.watch import HEALTHY, SUSPECT, WAITING, stands, wake_at
from tests.harness.observations import FIT, RUN, TIMING, UNFIT, UUID, Story, healthy, sample


def test_the_first_answer_arms_a_guest_and_is_recorded_once():
    story = Story()
    assert story.asked() == [Arm(UUID, RUN)]
    assert story.asked() == []
    assert (story.watch.state, story.armed) == (HEALTHY, RUN)


def test_a_guest_that_never_answered_is_waited_for_and_never_judged():
    story = Story()
    story.hangs()
    assert story.watch.state == WAITING
    assert not story.incidents


def test_a_garbled_reply_is_life_but_arms_nobody():
    story = Story()
    story.asked(Answer.GARBLED)
    story.hangs()
    assert not story.incidents
    story = healthy()
    story.silent()
    story.asked(Answer.GARBLED)
    assert (story.watch.state, story.watch.silences) == (HEALTHY, 0)


def test_after_its_first_silence_a_guest_is_asked_at_once_and_looked_at():
    story = healthy()
    assert story.silent() == [Ask(), Look()]
    assert story.watch.state == SUSPECT
    assert story.silent() == [Ask()]


def test_a_slow_agent_is_looked_at_before_it_counts_as_silent():
    story = healthy()
    story.tell(Asked())
    assert wake_at(story.watch, TIMING) == story.now + 1
    assert story.tell(Tick(), 0.9) == []
    assert story.tell(Tick(), 0.1) == [Look()]
    assert story.watch.state == HEALTHY


@pytest.mark.parametrize("seen", [{"balloon": None}, {"cpu": (0.1, 0, 20)}, {"disk": 11}, {"monitor": False}], ids=str)
def test_one_unanswered_question_is_no_verdict_unless_the_kernel_stands_still(seen):
    story = healthy(balloon=0 if "balloon" in seen else 10)
    story.asked(Answer.SILENT, 2)
    story.looked(balloon=seen.get("balloon", 0))
    for _ in range(20):
        story.now += 5
        story.looked(**{**seen, "cpu": tuple(story.now * it for it in seen.get("cpu", (0, 0, 0)))})
    assert not story.incidents


def test_one_unanswered_question_and_a_kernel_that_stands_still_are_a_verdict():
    """Fifty guests that hang at once would keep libvirt busy for a minute with fifty second questions."""
    story = healthy()
    story.asked(Answer.SILENT, 2)
    story.looked()
    story.now = 14.9
    story.looked()
    assert not story.incidents
    story.now = 15.0
    story.looked()
    assert story.verdicts == [(HUNG, RECOVER)]


def impatient(**about) -> Story:
    """A guest that was asked twice in vain within 7 s, which is all the silence that is wanted."""
    story = healthy(**about)
    story.timing = TIMING._replace(silence=7)
    story.now += 4
    asked = story.now
    story.tell(Asked())
    story.now += 1
    story.looked()
    story.tell(Answered(Answer.SILENT, asked), 1)
    story.asked(Answer.SILENT, 5)
    assert not story.incidents
    return story


def test_vcpus_that_take_no_interrupt_are_a_verdict_before_the_balloon_is_overdue():
    story = impatient()
    story.looked()
    assert story.verdicts == [(HUNG, RECOVER)]
    assert '"kernel":"unsure"' in story.incidents[0].evidence


def test_vcpus_that_sleep_prove_nothing_where_the_first_look_came_after_the_second_question():
    """An idle guest whose agent is stopped is woken by two unread questions at most: its kernel asks for no more
    interrupts. With both before the first look, whoever needs no timer sleeps on until its balloon is asked."""
    story = healthy()
    story.timing = TIMING._replace(silence=7)
    story.now += 4
    story.silent(2)
    story.looked(balloon=12)
    story.silent()
    story.now = 19.9
    story.looked(balloon=12)
    assert not story.incidents
    assert story.watch.detail == "not judged: too little is known of the guest's kernel yet"


def test_without_a_balloon_vcpus_must_sleep_for_the_whole_time_of_silence_where_no_question_woke_them():
    """Another client had the monitor until the decision; 5 s without a timer are nothing for an idle guest."""
    story = healthy(balloon=0)
    story.silent(3)
    story.looked(balloon=None)
    for seconds in (5, 5, 4.9):
        story.now += seconds
        story.looked(balloon=None)
        assert not story.incidents
    story.now += 0.1
    story.looked(balloon=None)
    assert story.verdicts == [(HUNG, RECOVER)]


def test_a_guest_that_worked_while_its_agent_was_silent_may_sleep_until_its_balloon_is_overdue():
    story = healthy(balloon=30)
    asked = story.now
    story.tell(Asked())
    story.now += 1
    story.looked(balloon=1)
    story.tell(Answered(Answer.SILENT, asked), 1)
    story.silent(3)
    story.looked(balloon=1, disk=11, cpu=(0.001, 0, 2))
    assert story.verdicts == [(AGENT_SILENT, RECORD)]
    story.silent(3)
    story.now += 1
    story.looked(balloon=1, disk=11, cpu=(0.001, 0, 2))
    assert story.verdicts == [(AGENT_SILENT, RECORD)]
    story.silent(2)
    story.now += 7
    story.looked(balloon=1, disk=11, cpu=(0.001, 0, 2))
    assert story.verdicts[1:] == [(HUNG, RECOVER)]


def test_an_answer_that_is_heard_late_makes_no_balloon_that_reported_until_then_a_bad_witness():
    """A healthy answer wakes nobody: it is heard up to a second later. Its balloon was just about to report."""
    story = healthy()
    story.now = 20.03
    story.tell(Asked())
    story.tell(Answered(Answer.ALIVE, 20.03, 0.002), 0.99)
    story.now = 30.0
    story.tell(Asked())
    story.now = 31.0
    story.looked(balloon=9.99)
    story.tell(Answered(Answer.SILENT, 30.0), 1)
    story.silent()
    story.now = 45.0
    story.looked(balloon=9.99, cpu=(14, 0, 9))
    assert story.verdicts == [(HUNG, RECOVER)]


def test_vcpus_that_run_are_judged_when_the_balloon_is_overdue_counted_from_its_own_stamp():
    story = impatient()
    story.looked(cpu=(6, 0, 5))
    assert story.watch.state == SUSPECT
    story.now = 11.9
    story.looked(cpu=(6.9, 0, 5))
    assert not story.incidents
    story.now = 12.1
    story.looked(cpu=(7.1, 0, 5))
    assert story.verdicts == [(HUNG, RECOVER)]


def test_a_wall_clock_that_is_set_forward_makes_no_balloon_overdue():
    story = impatient()
    later = sample(story.now, cpu=(6, 0, 5))
    story.tell(Sampled(later._replace(wall=later.wall + 3600)))
    assert story.watch.state == SUSPECT
    assert not story.incidents


def test_what_kept_a_guest_from_running_does_not_make_its_balloon_overdue():
    story = impatient()
    story.tell(Gap("we were held up ourselves", False))
    story.now += 3
    unanswered = story.now
    story.tell(Asked())
    story.now += 1
    story.looked(cpu=(0, 0, 0))
    story.tell(Answered(Answer.SILENT, unanswered), 1)
    story.asked(Answer.SILENT, 5)
    story.looked(cpu=(6, 0, 5))
    assert not story.incidents


def test_the_last_question_that_is_late_for_the_time_of_silence_is_followed_by_a_look():
    story = healthy()
    story.timing = TIMING._replace(silence=7)
    story.tell(Asked())
    story.tell(Tick(), 1)
    story.looked()
    story.tell(Answered(Answer.SILENT, 0.0), 1)
    story.tell(Asked())
    assert Look() in story.tell(Answered(Answer.SILENT, 2.0), 5.1)


def test_a_guest_whose_kernel_stops_is_hung_after_the_time_of_silence_and_not_before():
    story = healthy()
    asked = story.now
    story.tell(Asked())
    story.now += 1
    story.looked()
    story.tell(Answered(Answer.SILENT, asked), 4)
    story.silent()
    story.now = asked + 14.9
    story.looked()
    assert not story.incidents
    story.now = asked + 15
    effects = story.looked()
    assert [type(effect) for effect in effects] == [Open]
    assert story.verdicts == [(HUNG, RECOVER)]
    assert stands(story.watch, story.incidents[0].id, FIT) == "stands"


@pytest.mark.parametrize("cpu", [(0, 0, 0), (1, 0, 5), (0.5, 0.5, 90)], ids=["halts", "spins", "spins, shared"])
def test_a_dead_kernel_is_hung_whatever_its_cpu_does(cpu):
    story = healthy()
    asked = story.now
    story.tell(Asked())
    story.now += 1
    story.looked()
    story.tell(Answered(Answer.SILENT, asked), 4)
    story.silent()
    story.now += 5
    story.looked(cpu=(cpu[0] * 14, cpu[1] * 14, cpu[2] * 14))
    assert story.verdicts == [(HUNG, RECOVER)]


def suspect(**first: object) -> Story:
    """A guest with two unanswered questions, a sample from the first of them, and its time of silence just over."""
    story = healthy()
    asked = story.now
    story.tell(Asked())
    story.now += 1
    story.looked(**first)
    story.tell(Answered(Answer.SILENT, asked), 4)
    story.silent()
    story.now += 5
    return story


@pytest.mark.parametrize("work", [{"balloon": 11}, {"disk": 11}, {"net": 11}, {"cpu": (0.02, 0.001, 240)}], ids=str)
def test_a_guest_whose_agent_is_frozen_while_it_works_is_agent_silent(work):
    story = suspect()
    story.looked(**work)
    assert story.verdicts == [(AGENT_SILENT, RECORD)]


@pytest.mark.parametrize("work", ["balloon", "disk", "net"])
def test_a_working_guest_with_a_frozen_agent_is_never_hung_however_long_it_lasts(work):
    story = suspect()
    for turn in range(100):
        story.looked(**{work: 20 + turn * 15})
        story.silent()
        story.now += 10
    assert story.verdicts == [(AGENT_SILENT, RECORD)]


def test_an_agent_silent_guest_that_later_stops_completely_becomes_hung():
    story = suspect()
    story.looked(balloon=11)
    story.now += 14
    story.looked(balloon=11)
    assert story.verdicts == [(AGENT_SILENT, RECORD)]
    story.now += 1
    story.looked(balloon=11)
    assert story.verdicts == [(AGENT_SILENT, RECORD), (HUNG, RECOVER)]
    assert story.open == [story.incidents[1].id]


def test_a_hung_guest_that_begins_to_work_again_is_withdrawn():
    story = suspect()
    story.looked()
    first = story.incidents[0].id
    story.now += 15
    story.looked(disk=500)
    assert story.verdicts == [(HUNG, RECOVER), (AGENT_SILENT, RECORD)]
    assert stands(story.watch, first, FIT) == "gone"


def test_a_hung_guest_that_answers_again_closes_its_incident_and_may_hang_again():
    story = suspect()
    story.looked()
    assert [type(effect) for effect in story.asked()] == [Close]
    assert story.watch.state == HEALTHY
    story.hangs()
    assert story.verdicts == [(HUNG, RECOVER)] * 2


def test_a_hang_is_reported_once_however_long_it_lasts():
    story = suspect()
    for _ in range(50):
        story.looked()
        story.silent()
        story.now += 10
    assert story.verdicts == [(HUNG, RECOVER)]


@pytest.mark.parametrize(("last", "why"), [
    ({"threads": 0}, "could not be read"), ({"monitor": False}, "monitor could not be asked"),
], ids=str)  # fmt: skip
def test_what_the_host_does_to_a_guest_is_not_judged_until_it_is_over(last, why):
    story = suspect()
    story.looked(**last)
    assert not story.incidents
    assert why in story.watch.detail
    story.now += 5
    story.looked()
    assert story.verdicts == [(HUNG, RECOVER)]


@pytest.mark.parametrize(("last", "why"), [
    ({"process": "T"}, "state T"), ({"process": "t"}, "state t"), ({"process": "D"}, "state D"),
    ({"stuck": True, "monitor": False}, "monitor does not answer"),
], ids=str)  # fmt: skip
def test_a_qemu_that_does_not_react_is_recorded_as_such_and_a_guest_that_then_hangs_is_hung(last, why):
    story = suspect()
    story.looked(**last)
    assert story.verdicts == [(QEMU_STUCK, RECORD)]
    assert why in story.watch.detail
    story.now += 15
    story.looked()
    story.now += 15
    story.looked()
    assert story.verdicts == [(QEMU_STUCK, RECORD), (HUNG, RECOVER)]
    assert story.open == [story.incidents[1].id]


def test_a_guest_that_the_host_starves_is_not_judged_and_one_that_then_hangs_is():
    story = suspect()
    for turn in range(1, 5):
        story.looked(cpu=(0.1 * turn, 13 * turn, 9))
        assert not story.incidents
        assert "does not let" in story.watch.detail
        story.now += 14
    for _ in range(10):
        story.looked(cpu=(0.4, 52, 36))
        story.now += 15
    assert story.verdicts[-1] == (HUNG, RECOVER)


@pytest.mark.parametrize("little", [{"balloon": 30}, {"disk": 11}, {"monitor": False, "stuck": True}])
def test_what_little_a_starved_guest_gets_done_says_nothing_about_its_agent_or_its_qemu(little):
    story = suspect()
    story.looked(cpu=(0.1, 13, 9), **little)
    assert not story.incidents
    assert "does not let" in story.watch.detail


def test_without_a_balloon_only_a_cpu_that_stands_makes_a_guest_hung():
    still, spinning = suspect(balloon=None), suspect(balloon=None)
    still.looked(balloon=None)
    spinning.looked(balloon=None, cpu=(14, 0, 20))
    assert still.verdicts == [(HUNG, RECOVER)]
    assert spinning.verdicts == [(AGENT_SILENT, RECORD)]


@pytest.mark.parametrize("answer", [it for it in Answer if it not in LIFE | {Answer.SILENT}], ids=lambda it: it.name)
def test_an_answer_that_is_no_silence_begins_the_silence_anew(answer):
    story = suspect()
    story.asked(answer)
    story.looked()
    assert not story.incidents
    story.hangs()
    assert story.verdicts == [(HUNG, RECOVER)]


@pytest.mark.parametrize("poor", [{"monitor": False}, {"threads": 0}], ids=str)
def test_a_first_look_that_saw_too_little_does_not_spoil_the_later_ones(poor):
    """Another client may have QEMU's monitor just then; the guest is hung all the same."""
    story = suspect(**poor)
    story.looked()
    assert not story.incidents
    story.now += 12
    story.looked()
    assert story.verdicts == [(HUNG, RECOVER)]


def test_nothing_is_judged_while_we_are_not_fit_and_the_verdict_comes_when_we_are():
    story = suspect()
    story.fitness = UNFIT
    story.looked()
    assert not story.incidents
    assert "not judged: libvirt" in story.watch.detail
    story.fitness = FIT
    story.now += 5
    story.looked()
    assert not story.incidents, "silence that nobody could judge counts against nobody"
    story.hangs()
    assert story.verdicts == [(HUNG, RECOVER)]
