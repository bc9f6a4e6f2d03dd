"""Guests that an I/O error or a stopped QEMU keeps from running: what becomes a verdict, and when."""

from __future__ import annotations

import pytest

from heartbeat.guest import Channel
from heartbeat.incident import HUNG, IO_ERROR, QEMU_STUCK, RECORD, RECOVER
from heartbeat.observation import Answered, Asked, Gap, Paused, Resumed, Tick
from heartbeat.probe import Answer
from heartbeat.verdict import begin
from heartbeat.watch import PAUSED, SUSPECT, UNMONITORED, stands, wake_at
from tests.harness.observations import FIT, RUN, UNFIT, Story, guest, healthy, seen
from tests.harness.scenario import unanswered

STALLED = Paused("paused: ioerror", "ioerror")


def stalled(armed: bool = True) -> Story:
    story = healthy() if armed else Story(begin(guest(), RUN, False, None, 0.0))
    story.tell(STALLED)
    return story


@pytest.mark.parametrize(("armed", "action"), [(True, RECOVER), (False, RECORD)])
def test_a_pause_by_an_io_error_is_a_verdict_after_its_dwell_and_once(armed, action):
    story = stalled(armed)
    assert wake_at(story.watch, story.timing) == story.now + story.timing.io_error
    story.tell(Tick(), story.timing.io_error - 0.1)
    story.tell(seen(pause=STALLED))
    assert not story.incidents
    story.tell(Tick(), 0.1)
    story.tell(seen(pause=STALLED), 60)
    story.tell(Tick(), 600)
    assert story.verdicts == [(IO_ERROR, action)]
    assert stands(story.watch, story.incidents[0].id, FIT) == "stands"


def test_an_io_error_that_is_mended_in_time_is_not_worth_a_word():
    story = stalled()
    story.tell(Resumed(), story.timing.io_error - 1)
    story.asked()
    story.tell(STALLED)
    story.tell(Tick(), story.timing.io_error - 1)
    assert not story.incidents, "each pause has its own dwell"


@pytest.mark.parametrize("resumed", [Resumed("unpaused"), seen()], ids=["event", "list"])
def test_an_io_error_that_is_mended_after_its_verdict_stands_no_more(resumed):
    story = stalled()
    story.tell(Tick(), story.timing.io_error)
    story.tell(resumed)
    assert story.watch.state == SUSPECT
    assert stands(story.watch, story.incidents[0].id, FIT) == "not-now"
    story.asked()
    assert not story.open


def test_a_guest_that_hangs_after_its_io_error_was_mended_is_reported_as_hung():
    story = stalled()
    story.tell(Tick(), story.timing.io_error)
    story.tell(Resumed(), 5)
    begun = story.now
    while story.now < begun + story.timing.grace:
        unanswered(story, 1)
    unanswered(story, 4)
    assert story.verdicts == [(IO_ERROR, RECOVER), (HUNG, RECOVER)]
    assert story.open == [story.incidents[1].id]


def test_an_io_error_on_top_of_a_users_pause_is_none():
    story = stalled()
    story.tell(Paused("paused: user", "user"), 50)
    story.tell(Tick(), 3600)
    assert (story.watch.state, story.incidents) == (PAUSED, [])


@pytest.mark.parametrize("gap", [Gap("libvirt: gone", True), Gap("late", False)], ids=["blind", "late"])
def test_the_dwell_of_an_io_error_begins_anew_after_a_gap_in_what_we_saw(gap):
    story = stalled()
    story.tell(gap, story.timing.io_error - 1)
    story.tell(Tick(), 2)
    assert not story.incidents, "it may have run in between"
    story.tell(Tick(), story.timing.io_error - 2)
    assert story.verdicts == [(IO_ERROR, RECOVER)]


def test_the_dwell_of_an_io_error_does_not_run_while_we_are_not_fit():
    story = stalled()
    story.fitness = UNFIT
    for _ in range(10):
        story.tell(Tick(), story.timing.io_error)
        assert wake_at(story.watch, story.timing) > story.now, "the owner loop would spin"
    assert not story.incidents
    story.fitness = FIT
    story.tell(Tick(), story.timing.io_error)
    assert story.verdicts == [(IO_ERROR, RECOVER)]


def test_a_guest_that_lost_its_channel_while_it_was_paused_is_not_recovered_for_a_pause_that_is_over():
    story = stalled()
    story.tell(seen(channel=Channel.ABSENT, pause=STALLED))
    story.tell(seen(channel=Channel.ABSENT), 10)
    story.tell(Tick(), 3600)
    assert (story.watch.state, story.incidents) == (UNMONITORED, [])


def test_a_guest_without_a_channel_is_not_judged_by_questions_that_were_out():
    story = healthy()
    story.silent(2)
    asked = story.now
    story.tell(Asked())
    story.tell(seen(channel=Channel.ABSENT), 1)
    story.tell(Answered(Answer.SILENT, asked), 4)
    unanswered(story, 10)
    assert (story.watch.state, story.incidents) == (UNMONITORED, [])


@pytest.mark.parametrize("frozen", [{"process": "T"}, {"process": "D"}, {"monitor": False, "stuck": True}], ids=str)
def test_a_guest_whose_qemu_has_just_gone_on_is_not_hung_for_what_could_not_move(frozen):
    story = healthy()
    unanswered(story, 1)
    unanswered(story, 6, **frozen)
    assert story.verdicts == [(QEMU_STUCK, RECORD)]
    story.now += 0.01
    story.looked()
    assert story.verdicts == [(QEMU_STUCK, RECORD)]
    story.asked()
    assert not story.open


def test_a_guest_that_does_not_come_back_with_its_qemu_is_hung_after_a_time_of_its_own():
    story = healthy()
    unanswered(story, 6, process="T")
    resumed = story.now
    unanswered(story, 5)
    assert story.verdicts == [(QEMU_STUCK, RECORD), (HUNG, RECOVER)]
    assert story.watch.since - resumed >= 12
