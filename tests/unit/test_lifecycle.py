"""What a guest goes through in its life: none of this is a hang, and none of it may hide one."""

from __future__ import annotations

import pytest

from heartbeat.guest import Channel
from heartbeat.incident import AGENT_DOWN, HUNG, NEVER_ANSWERED, QEMU_DIED, RECORD, RECOVER, Forget
from heartbeat.observation import (
    Ask,
    ChannelChanged,
    Paused,
    Stopped,
    Tick,
    Vanished,
)
from heartbeat.probe import Answer
from heartbeat.verdict import begin
from heartbeat.watch import STOPPED, UNMONITORED, WAITING, stands, wake_at
from tests.harness.observations import FIT, NEXT_RUN, RUN, UNFIT, Story, guest, healthy, incident, seen


def hung() -> Story:
    story = healthy()
    story.hangs()
    assert story.verdicts == [(HUNG, RECOVER)]
    return story


@pytest.mark.parametrize("why", ["migrated", "shutdown", "destroyed", "saved"])
def test_a_guest_that_leaves_in_good_order_is_not_reported_and_not_expected_any_more(why):
    story = healthy()
    story.tell(Paused("paused: migration"))
    assert story.tell(Stopped(False, why)) == [Forget(story.watch.guest.uuid)]
    story.tell(Vanished())
    assert not story.incidents
    assert story.armed is None


def test_a_hung_guest_that_somebody_stops_is_not_reported_any_more():
    story = hung()
    story.tell(Stopped(False, "destroyed"))
    assert not story.open
    assert stands(story.watch, story.incidents[0].id, FIT) == "gone"


def test_a_hung_guest_that_is_started_again_is_not_reported_any_more():
    story = hung()
    story.tell(seen(run=NEXT_RUN))
    assert not story.open
    assert not story.watch.armed


def test_a_qemu_that_died_is_reported_once_however_often_it_is_seen():
    story = healthy()
    for _ in range(3):
        story.tell(Stopped(True, "failed"))
    assert story.verdicts == [(QEMU_DIED, RECOVER)]
    assert story.armed is None
    assert stands(story.watch, story.incidents[0].id, FIT) == "stands"
    assert stands(story.watch, story.incidents[0].id, UNFIT) == "not-now"


def test_a_qemu_that_died_while_its_guest_hung_is_reported_as_what_it_is_now():
    story = hung()
    story.tell(Stopped(True, "crashed"))
    assert story.verdicts == [(HUNG, RECOVER), (QEMU_DIED, RECOVER)]
    assert story.open == [story.incidents[1].id]


def test_a_dead_qemu_of_a_guest_that_never_answered_is_recorded_only():
    story = Story()
    story.tell(Stopped(True, "failed"))
    assert story.verdicts == [(QEMU_DIED, RECORD)]


def test_an_older_word_of_libvirts_that_the_guest_runs_does_not_hide_its_death():
    story = healthy()
    story.tell(Stopped(True, "failed"))
    story.tell(seen())
    assert stands(story.watch, story.incidents[0].id, FIT) == "not-now"
    story.tell(Stopped(True, "crashed"))
    assert story.verdicts == [(QEMU_DIED, RECOVER)]
    assert stands(story.watch, story.incidents[0].id, FIT) == "stands"


def test_a_poweroff_is_no_death_though_qemu_ends():
    story = healthy()
    story.tell(Paused("shutting down"))
    story.tell(Stopped(False, "shutdown"))
    story.tell(Stopped(True, "crashed"))
    assert not story.incidents
    assert story.watch.state == STOPPED


def test_a_stopped_agent_is_agent_down_after_its_dwell_and_never_more():
    story = healthy()
    story.tell(ChannelChanged(False))
    story.tell(Tick(), 59.9)
    assert not story.incidents
    story.tell(Tick(), 0.1)
    assert story.verdicts == [(AGENT_DOWN, RECORD)]
    story.tell(Tick(), 10_000)
    assert len(story.incidents) == 1
    story.tell(ChannelChanged(True))
    story.asked()
    assert not story.open


def test_an_agent_that_is_restarted_within_the_dwell_is_not_worth_a_word():
    story = healthy()
    story.tell(ChannelChanged(False))
    assert story.tell(ChannelChanged(True), 50) == [Ask()]
    story.asked()
    story.tell(Tick(), 60)
    assert not story.incidents


def test_an_agent_that_was_never_there_is_not_down_but_has_never_answered():
    story = Story(begin(guest(Channel.CLOSED), RUN, False, None, 0))
    story.tell(seen(channel=Channel.CLOSED))
    story.tell(Tick(), story.timing.boot - 1)
    assert not story.incidents
    story.tell(Tick(), 10_000)
    assert story.verdicts == [(NEVER_ANSWERED, RECORD)]


def test_an_agent_that_libvirt_cannot_reach_is_down_after_the_same_dwell():
    story = healthy()
    for _ in range(7):
        story.asked(Answer.NOT_CONNECTED)
        story.tell(Tick(), 10)
    assert story.verdicts == [(AGENT_DOWN, RECORD)]


def test_the_dwell_of_a_closed_channel_does_not_run_while_we_cannot_judge():
    story = healthy()
    story.tell(ChannelChanged(False))
    story.fitness = UNFIT
    story.tell(Tick(), 60)
    assert not story.incidents
    assert wake_at(story.watch, story.timing) > story.now, "the owner loop would spin"
    story.fitness = FIT
    story.tell(Tick(), 59)
    assert not story.incidents
    story.tell(Tick(), 1)
    assert story.verdicts == [(AGENT_DOWN, RECORD)]


def test_a_guest_whose_channel_is_unplugged_is_not_monitored_and_nothing_is_held_against_it():
    story = hung()
    story.tell(seen(channel=Channel.ABSENT))
    assert story.watch.state == UNMONITORED
    assert not story.open
    story.tell(seen(channel=Channel.CLOSED))
    story.tell(seen(channel=Channel.ABSENT))
    story.tell(Tick(), 10_000)
    assert len(story.incidents) == 1
    assert Ask() in story.tell(seen())
    assert story.watch.state == WAITING


def test_an_adopted_incident_is_neither_reported_again_nor_confirmed_before_the_guest_is_seen_again():
    story = Story(begin(guest(), RUN, True, incident(HUNG, RECOVER, number=7), 0))
    story.tell(seen())
    assert stands(story.watch, 7, FIT) == "not-now"
    story.hangs()
    assert not story.incidents
    assert stands(story.watch, 7, FIT) == "stands"
    story.asked()
    assert [it.id for it in story.closed] == [7]


def test_a_guest_that_died_while_we_were_down_is_reported():
    story = Story(begin(guest(), RUN, True, None, 0))
    story.tell(Stopped(True, "crashed", "vm"))
    assert story.verdicts == [(QEMU_DIED, RECOVER)]


def test_an_adopted_death_is_not_reported_again():
    story = Story(begin(guest(), RUN, False, incident(QEMU_DIED, RECOVER, number=7), 0))
    story.tell(Stopped(True, "crashed", "vm"))
    assert not story.incidents
    assert stands(story.watch, 7, FIT) == "stands"
