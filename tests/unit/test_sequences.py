"""Whatever is observed of a guest, in whatever order: no promise is broken, no alarm spins, no hang is forgotten."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as some

from heartbeat.guest import Channel
from heartbeat.happenings import EVENTS
from heartbeat.holds import DUMP, PAUSE
from heartbeat.incident import ACTIONS, HUNG, RECOVER
from heartbeat.observation import (
    Answered,
    Asked,
    ChannelChanged,
    ClockSet,
    Gap,
    Happened,
    Panicked,
    Paused,
    Rebooted,
    Resumed,
    Reviewed,
    Sampled,
    Seen,
    Stopped,
    Tick,
    Unheeded,
    Vanished,
)
from heartbeat.probe import Answer
from heartbeat.verdict import begin
from heartbeat.watch import Fitness, Timing, wake_at
from tests.harness.books import Judged
from tests.harness.observations import FIT, NEXT_RUN, RUN, TIMING, guest, sample, seen

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
MANY = settings(max_examples=400, deadline=None, suppress_health_check=SLOW)

PAUSES = [Paused("paused: user", "user"), Paused("paused: ioerror", "ioerror"), Paused("crashed: panicked", "crashed"),
          Paused("paused: migration", "migration"), Paused("paused: watchdog", "watchdog")]
counters = some.fixed_dictionaries({
    "balloon": some.sampled_from([None, 0, 0, 0, 5, 20]), "disk": some.sampled_from([10, 10, 10, 11]),
    "cpu": some.sampled_from([(0, 0, 0), (0, 0, 0), (1, 0, 3), (0.1, 9, 3), (0.5, 0.1, 900)]),
    "monitor": some.sampled_from([True, True, True, False]), "threads": some.sampled_from([1, 1, 1, 0, 2]),
    "process": some.sampled_from(["S", "S", "S", "S", "T", "D", ""]), "stuck": some.sampled_from([False] * 9 + [True]),
    "job": some.sampled_from([""] * 9 + ["a backup"]),
})  # fmt: skip
crash = some.sampled_from(["preserve", "destroy", "restart"])
sights = some.builds(
    lambda run, pause, channel, on_crash: Seen(guest(channel)._replace(on_crash=on_crash), run, pause),
    some.sampled_from([RUN, RUN, RUN, NEXT_RUN]), some.sampled_from([None, None, None, *PAUSES]),
    some.sampled_from([Channel.OPEN, Channel.OPEN, Channel.OPEN, *Channel]), crash,
)  # fmt: skip
ends = [Stopped(died, why, event=f"lifecycle.stopped.{why}" * spoken)
        for died, why in ((True, "failed"), (True, "crashed"), (False, "shutdown"), (False, "destroyed"))
        for spoken in (True, False)]
facts = some.one_of(
    sights, sights, some.sampled_from(ends), some.builds(Happened, some.sampled_from([it.name for it in EVENTS])),
    some.builds(Panicked, some.booleans()),
    some.sampled_from([*PAUSES, Resumed(), Resumed(), Rebooted(), ChannelChanged(True), ChannelChanged(False),
                       Vanished(), Gap("late", False), Gap("gone", True), ClockSet(), Unheeded(), Reviewed()]),
)  # fmt: skip
fitnesses = some.builds(
    Fitness, some.sampled_from([True, True, True, False]), some.just("a word"), some.sampled_from(["", "", "by hand"]),
    some.sampled_from([False, False, True]), some.sampled_from([1.0, 1.0, 2.0, 8.0]),
)  # fmt: skip
DEFAULT = {it.name: (it.verdict, it.action) for it in EVENTS}
WILD = {name: (verdict, RECOVER) for name, (verdict, _) in DEFAULT.items()}
timings = some.builds(
    lambda events, actions, observe: TIMING._replace(events=events, actions=actions, observe=observe),
    some.sampled_from([{}, DEFAULT, DEFAULT, WILD]),
    some.sampled_from([ACTIONS, ACTIONS, dict.fromkeys(ACTIONS, RECOVER), dict.fromkeys(ACTIONS, "record")]),
    some.sampled_from([False, False, False, True]),
)  # fmt: skip
# A question is put and comes back, at once or only after other things have happened; most find nobody.
answers = some.sampled_from([Answer.SILENT] * 12 + list(Answer))
turns = some.sampled_from(["answer", "silence", "silence", "hang", "hang"])
steps = some.lists(
    some.one_of(
        some.just("ask"), some.just("ask"), answers, answers, answers, counters, counters, turns, turns, turns, turns,
        some.just(Tick()), some.just(Tick()), fitnesses, facts, facts,
    ),
    min_size=5, max_size=60,
)  # fmt: skip
waits = some.lists(some.sampled_from([0.0, 1.0, 5.0, 5.0, 5.0, 13.0, 61.0, 700.0]), min_size=60, max_size=60)


def told(armed: bool, timing: Timing, events: list, pauses: list[float]) -> Judged:
    story = Judged(armed)
    story.timing = timing
    return going_on(story, events, pauses)


def going_on(story: Judged, events: list, pauses: list[float]) -> Judged:
    for it, after in zip(events, pauses):
        if it == "ask":
            story.step(Asked(), after)
        elif it in ("answer", "silence", "hang"):
            for _ in range(4 if it == "hang" else 1):
                story.step(Asked(), after)
                story.step(Sampled(sample(story.now + 1)), 1)
                found = Answer.ALIVE if it == "answer" else Answer.SILENT
                story.step(Answered(found, story.out[-1][0]), 4)
        elif isinstance(it, Fitness):
            story.fitness = it if it.able else it._replace(why="not fit")
        elif isinstance(it, Answer):
            if story.out:
                story.step(Answered(it, story.out[-1][0]), after)
        elif isinstance(it, dict):
            story.step(Sampled(sample(story.now + after, **it)), after)
        else:
            story.step(it, after)
        if isinstance(it, Vanished):
            story.watch, story.answered_run = begin(guest(), RUN, False, None, story.now), ""
    return story


@MANY
@given(armed=some.booleans(), timing=timings, events=steps, pauses=waits)
def test_no_sequence_of_observations_breaks_a_promise(armed, timing, events, pauses):
    story = told(armed, timing, events, pauses)
    for it in story.incidents:
        event(f"{it.verdict} {it.action}")


@MANY
@given(armed=some.booleans(), timing=timings, events=steps, pauses=waits)
def test_from_wherever_it_got_a_guest_that_stays_silent_and_still_is_reported(armed, timing, events, pauses):
    """Bounded: the grace of a resume, a silence before and one after it, and a verdict that was withdrawn meanwhile."""
    story = told(armed, timing._replace(actions=ACTIONS, observe=False), events, pauses)
    story.fitness = FIT
    story.now += 1
    story.tell(Seen(guest(), story.watch.incarnation))
    if not story.watch.armed or any(hold.kind == DUMP for hold in story.watch.holds):
        story.asked()
    assert PAUSE not in [hold.kind for hold in story.watch.holds]
    before = story.watch.incident
    story.stays_silent(TIMING.grace + 6 * TIMING.silence)
    assert story.watch.state == HUNG
    assert story.watch.incident is not None
    assert story.watch.incident.verdict == HUNG
    assert story.watch.incident.action == RECOVER or story.watch.incident == before
    event("reached with an incident" if before else "reached without")


@MANY
@given(armed=some.booleans(), timing=timings, parts=some.lists(steps, min_size=3, max_size=3), pauses=waits)
def test_a_guest_is_never_judged_while_it_is_exempt_wherever_that_begins_and_ends(armed, timing, parts, pauses):
    story = told(armed, timing, parts[0], pauses)
    story.timing = timing._replace(exempt="not opted in")
    story.step(Tick(), 1)
    opened = len(story.incidents)
    going_on(story, parts[1], pauses)
    story.step(Tick(), 1)  # what came last may be a guest that has just been found
    assert (len(story.incidents), story.open, story.watch.armed) == (opened, [], False)
    assert wake_at(story.watch, story.timing) == float("inf")
    story.timing = timing
    going_on(story, parts[2], pauses)
    event("judged again" if len(story.incidents) > opened else "judged no more")


@pytest.mark.parametrize("silence", [12, 15, 60])
def test_the_books_of_these_tests_can_be_broken(silence):
    """A hang is found by them, too; or else they would prove nothing."""
    story = Judged(True)
    story.timing = TIMING._replace(silence=silence)
    for _ in range(20):
        story.step(Asked(), 0)
        story.step(Sampled(sample(story.now + 1)), 1)
        story.step(Answered(Answer.SILENT, story.out[-1][0]), 4)
    assert story.verdicts == [(HUNG, RECOVER)]


@pytest.mark.parametrize("promise", ["silents", "armed", "job"])
def test_the_books_find_a_decision_that_breaks_a_promise(promise, monkeypatch):
    story = Judged(True)
    for _ in range(3):
        story.step(Asked(), 0)
        story.step(Sampled(sample(story.now + 1)), 1)
        story.step(Answered(Answer.SILENT, story.out[-1][0]), 4)
    if promise == "silents":
        story.silents = 0
    elif promise == "armed":
        story.answered_run = ""
    else:
        monkeypatch.setattr(story, "_book", lambda *_: None)
        story.job = True
    with pytest.raises(AssertionError):
        story.step(Sampled(sample(story.now + 5)), 5)


def test_a_guest_is_reported_by_the_driver_of_these_tests():
    story = Judged(True)
    story.tell(seen())
    story.stays_silent(30)
    assert story.verdicts == [(HUNG, RECOVER)]
