"""A guest that is not watched: nobody asks it, nothing is concluded of it, and it can be watched at any moment."""

from __future__ import annotations

import pytest

from heartbeat.guest import Channel
from heartbeat.happenings import EVENTS
from heartbeat.incident import HUNG, Forget
from heartbeat.observation import (
    Answered,
    Ask,
    ChannelChanged,
    Gap,
    Happened,
    Panicked,
    Paused,
    Rebooted,
    Resumed,
    Sampled,
    Stopped,
    Tasked,
    Tick,
    Vanished,
)
from heartbeat.probe import Answer
from heartbeat.watch import EXEMPT, HEALTHY, UNKNOWN, UNMONITORED, WAITING, wake_at
from tests.harness.observations import Story, sample, seen
from tests.harness.scenario import DEFAULT, HOUR, passes, unanswered, unknown, well

ALONE = DEFAULT._replace(exempt="not opted in")
WORST = [
    Stopped(True, "failed"), Stopped(True, "crashed", event="lifecycle.stopped.crashed"), Panicked(False),
    Paused("io error", "ioerror"), Paused("crashed", "crashed"), ChannelChanged(False), Rebooted(), Resumed(),
    Answered(Answer.SILENT, 0.0), Sampled(sample(1.0)), Gap("late", False), Gap("gone", True), Tick(), Vanished(),
    Tasked("deleting"), seen(), seen(pause=Paused("x")), *(Happened(it.name) for it in EVENTS),
]  # fmt: skip


def alone(**about: object) -> Story:
    story = unknown(**about)
    story.timing = ALONE
    story.tell(seen(**about))
    return story


@pytest.mark.parametrize("worst", WORST, ids=str)
def test_whatever_happens_to_it_nothing_is_concluded_asked_or_looked_at(worst):
    story = alone()
    assert story.tell(worst, 1) == []
    passes(story, 2 * HOUR)
    assert story.verdicts == []
    assert wake_at(story.watch, ALONE) == float("inf")


def test_a_silent_guest_without_agent_or_channel_is_exempt_all_the_same():
    for channel in Channel:
        story = alone(channel=channel)
        assert (story.watch.state, story.watch.detail) == (EXEMPT, "not opted in")


def test_a_guest_that_is_exempted_while_it_hangs_is_forgotten_and_its_incident_ends():
    story = well()
    story.hangs()
    assert story.verdicts[0][0] == HUNG
    story.timing = ALONE
    effects = story.tell(Tick(), 1)
    assert story.open == []
    assert story.closed[0].why == "not watched any more: not opted in"
    assert Forget(story.watch.guest.uuid) in effects
    unanswered(story, 10)
    assert (story.watch.state, len(story.verdicts)) == (EXEMPT, 1)


def test_one_that_opts_in_is_asked_at_once_and_has_its_time_to_answer_from_then_on():
    story = alone()
    passes(story, 3 * HOUR)
    story.timing = DEFAULT
    assert story.tell(Tick(), 1) == [Ask()]
    assert story.watch.state == WAITING
    passes(story, DEFAULT.boot - 1)
    assert story.verdicts == []
    story.asked()
    assert (story.watch.state, story.watch.armed) == (HEALTHY, True)


def test_its_silence_means_nothing_until_it_has_answered_once_more():
    story = well()
    for timing in (ALONE, DEFAULT):
        story.timing = timing
        story.tell(Tick(), 1)
    unanswered(story, 10)
    assert story.verdicts == []


def test_one_without_a_channel_that_opts_in_is_unmonitored():
    story = alone(channel=Channel.ABSENT)
    story.timing = DEFAULT
    assert story.tell(Tick(), 1) == []
    assert story.watch.state == UNMONITORED


def test_libvirt_gone_is_shown_as_such_until_it_is_back():
    story = alone()
    story.tell(Gap("libvirt: gone", True), 1)
    assert story.watch.state == UNKNOWN
    story.tell(seen(), 1)
    assert story.watch.state == EXEMPT
