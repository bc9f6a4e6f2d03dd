"""What interrupts a silence: nothing from before it counts after it, and a hang is found all the same."""

from __future__ import annotations

import pytest

from heartbeat.holds import CEILINGS, PAUSE
from heartbeat.incident import HUNG, RECOVER, Close, Forget
from heartbeat.observation import (
    Answered,
    Ask,
    Asked,
    ChannelChanged,
    Gap,
    Look,
    Paused,
    Rebooted,
    Resumed,
    Sampled,
    Stopped,
    Tick,
    Warn,
)
from heartbeat.probe import Answer
from heartbeat.watch import PAUSED, SUSPECT, UNKNOWN, WAITING, stands, wake_at
from tests.harness.observations import FIT, NEXT_RUN, Story, healthy, sample, seen


def hung() -> Story:
    story = healthy()
    story.hangs()
    assert story.verdicts == [(HUNG, RECOVER)]
    return story


@pytest.mark.parametrize(("away", "back"), [
    (Paused("paused: user"), Resumed()),
    (Paused("suspended by the guest"), seen()),
    (seen(pause=Paused("paused: migration", "migration")), Resumed()),
    (Gap("libvirt: connection closed", True), seen()),
    (Gap("we were held up ourselves", False), Resumed()),
], ids=["suspend and resume", "suspended to memory", "a migration that is given up", "libvirt gone", "we were late"])
def test_a_silence_from_before_an_interruption_counts_for_nothing_after_it(away, back):
    story = healthy()
    asked = story.now
    story.tell(Asked())
    story.now += 1
    story.looked()
    story.tell(Answered(Answer.SILENT, asked), 4)
    story.silent()
    story.tell(away, 1)
    story.tell(back, 1)
    story.looked()
    assert not story.incidents
    assert (story.watch.silences, story.watch.silent_from, story.watch.first) == (0, None, None)
    story.now += story.timing.grace  # which a guest has that has just been resumed
    story.hangs()
    assert story.verdicts == [(HUNG, RECOVER)]


@pytest.mark.parametrize("interruption", [
    Paused("paused: user"), Rebooted(), Gap("late", False), Gap("libvirt: gone", True), seen(run=NEXT_RUN),
    Stopped(False, "destroyed"),
], ids=lambda it: type(it).__name__)  # fmt: skip
@pytest.mark.parametrize("answer", list(Answer))
def test_a_late_answer_to_a_question_from_before_says_nothing(interruption, answer):
    story = healthy()
    asked = story.now
    story.tell(Asked())
    story.tell(interruption, 1)
    story.tell(Resumed())
    before = story.watch
    story.tell(Answered(answer, asked), 4)
    assert story.watch == before


def test_a_late_answer_does_not_hide_the_answer_to_the_question_that_is_out():
    story = healthy()
    early = story.now
    story.tell(Asked())
    story.tell(Gap("late", False), 1)
    asked = story.now
    story.tell(Asked())
    story.tell(Answered(Answer.ALIVE, early), 1)
    story.tell(Answered(Answer.SILENT, asked), 4)
    assert story.watch.silences == 1


def test_a_look_from_before_an_interruption_is_no_witness():
    story = healthy()
    story.tell(Asked())
    story.tell(Tick(), 1.5)
    story.tell(Rebooted(), 1)
    story.looked()
    assert story.watch.first is None
    assert not story.watch.looking


def test_a_guest_that_reboots_is_expected_again_only_after_its_first_answer():
    story = healthy()
    assert Forget(story.watch.guest.uuid) in story.tell(Rebooted())
    story.tell(Rebooted())
    story.tell(Rebooted())
    assert (story.watch.state, story.armed) == (WAITING, None)
    story.hangs()
    assert not story.incidents
    story.asked()
    story.hangs()
    assert story.verdicts == [(HUNG, RECOVER)]


def test_a_hung_guest_that_is_reset_is_hung_no_more():
    story = hung()
    assert [type(effect) for effect in story.tell(Rebooted())] == [Forget, Close]
    assert not story.open


def test_a_paused_guest_is_not_looked_at_and_time_alone_brings_a_warning_at_most():
    story = healthy()
    story.tell(Paused("paused: user"))
    assert story.watch.state == PAUSED
    assert wake_at(story.watch, story.timing) == CEILINGS[PAUSE]
    assert story.tell(Tick(), 10_000) == []
    assert story.tell(Tick(), CEILINGS[PAUSE]) == [Warn("not judged for 96400 s: paused: user")]
    assert wake_at(story.watch, story.timing) == float("inf")
    assert story.watch.state == PAUSED


def test_a_guest_that_hung_before_it_was_paused_is_judged_again_when_it_runs():
    story = hung()
    story.tell(Paused("paused: user"))
    assert stands(story.watch, story.incidents[0].id, FIT) == "not-now"
    assert Ask() in story.tell(Resumed(), 100)
    assert story.watch.state == SUSPECT
    story.now += story.timing.grace
    story.hangs()
    assert len(story.incidents) == 1
    assert stands(story.watch, story.incidents[0].id, FIT) == "stands"


@pytest.mark.parametrize("what", [ChannelChanged(False), Gap("late", False), Tick()], ids=lambda it: type(it).__name__)
def test_while_libvirt_is_gone_a_guest_is_unknown_whatever_else_comes(what):
    story = healthy()
    story.tell(Gap("libvirt: gone", True))
    story.tell(what, 5)
    assert story.watch.state == UNKNOWN
    assert Ask() in story.tell(seen(), 5)
    assert story.watch.state == WAITING


def test_reading_the_inventory_again_does_not_interrupt_a_silence():
    story = healthy()
    asked = story.now
    story.tell(Asked())
    story.now += 1
    story.looked()
    story.tell(Answered(Answer.SILENT, asked), 4)
    assert story.tell(seen()) == []
    story.silent()
    story.tell(seen())
    story.now += 5
    story.looked()
    assert story.verdicts == [(HUNG, RECOVER)]


def test_a_look_is_asked_for_once_however_long_it_takes():
    story = healthy()
    story.tell(Asked())
    assert story.tell(Tick(), 1) == [Look()]
    assert story.tell(Tick(), 1) == []
    story.tell(seen(run=NEXT_RUN))
    assert story.watch.looking
    story.tell(Sampled(sample(story.now)), 1)
    assert not story.watch.looking
