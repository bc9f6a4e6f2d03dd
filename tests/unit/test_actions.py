"""What a verdict or an event causes: the operator's word on both, the mode, the budget, and what was open before."""

from __future__ import annotations

import pytest

from heartbeat.conclusion import action_of, opened
from heartbeat.happenings import EVENTS
from heartbeat.incident import (
    ACTIONS,
    AGENT_DOWN,
    HUNG,
    IGNORE,
    OBSERVED,
    PANICKED,
    QEMU_DIED,
    RECORD,
    RECOVER,
    SUSPENDED,
    UNPROVEN,
    Close,
)
from heartbeat.observation import ChannelChanged, Happened, Panicked, Paused, Rebooted, Seen, Stopped, Tick
from heartbeat.probe import Answer
from heartbeat.verdict import begin
from heartbeat.watch import HEALTHY, PAUSED, STOPPED, stands
from tests.harness.observations import FIT, NEXT_RUN, RUN, Story, guest, healthy, incident, seen
from tests.harness.scenario import DEFAULT, unanswered, well

SPENT = FIT._replace(spent=True)
DIED = Stopped(True, "failed", event="lifecycle.stopped.failed")
CRASHED = Stopped(True, "crashed", event="lifecycle.stopped.crashed")
WATCHDOG = Happened("watchdog.none")


def set_to(verdicts: dict[str, str] | None = None, **events: str) -> Story:
    """A guest that is well, and an operator's settings. events: with _ for . and - as in watchdog_none."""
    story = well()
    names = {it.name.replace(".", "_").replace("-", "_"): it for it in EVENTS}
    rows = {names[name].name: (names[name].verdict, action) for name, action in events.items()}
    story.timing = DEFAULT._replace(actions={**ACTIONS, **(verdicts or {})}, events={**DEFAULT.events, **rows})
    return story


@pytest.mark.parametrize(("armed", "observe", "spent", "action"), [
    (True, False, False, RECOVER), (True, False, True, SUSPENDED), (True, True, False, OBSERVED),
    (True, True, True, OBSERVED), (False, False, False, RECORD), (False, True, True, RECORD),
])  # fmt: skip
def test_a_wish_to_recover_becomes_what_it_may(armed, observe, spent, action):
    watch = begin(guest(), RUN, armed, None, 0.0)
    fitness, timing = FIT._replace(spent=spent), DEFAULT._replace(observe=observe)
    assert action_of(watch, RECOVER, fitness, timing) == action
    assert action_of(watch, RECORD, fitness, timing) == RECORD


@pytest.mark.parametrize("verdict", sorted(UNPROVEN))
def test_what_speaks_against_no_guest_is_recorded_at_most_whatever_is_set(verdict):
    watch, timing = begin(guest(), RUN, True, None, 0.0), DEFAULT._replace(actions=dict.fromkeys(ACTIONS, RECOVER))
    assert [it.action for it in opened(watch, verdict, "so", {}, FIT, timing)[1]] == [RECORD]


def test_an_agent_down_for_which_somebody_set_recover_does_not_make_the_loop_spin():
    story = set_to(dict.fromkeys(ACTIONS, RECOVER))
    story.tell(ChannelChanged(False))
    story.tell(Tick(), 60)
    assert story.verdicts == [(AGENT_DOWN, RECORD)]


def test_a_verdict_that_is_ignored_is_a_state_and_nothing_else():
    story = set_to({HUNG: IGNORE})
    story.hangs()
    assert (story.watch.state, story.incidents) == (HUNG, [])


@pytest.mark.parametrize(("verdict", "event", "action"), [
    (RECOVER, RECOVER, [RECOVER]), (RECOVER, RECORD, [RECORD]), (RECORD, RECOVER, [RECORD]), (RECORD, RECORD, [RECORD]),
    (RECOVER, IGNORE, []), (IGNORE, RECOVER, []),
])  # fmt: skip
@pytest.mark.parametrize("spoken", [True, False], ids=["event", "list"])
def test_of_event_and_verdict_the_more_careful_one_wins_whoever_tells_of_it(verdict, event, action, spoken):
    story = set_to({QEMU_DIED: verdict}, lifecycle_stopped_failed=event)
    story.tell(DIED if spoken else Stopped(True, "failed"))
    assert [it.action for it in story.incidents] == action
    story = set_to({PANICKED: verdict}, lifecycle_crashed_panicked=event)
    if spoken:
        story.tell(Panicked(False))
        story.tell(CRASHED)
    else:
        story.tell(Seen(guest()._replace(on_crash="preserve"), RUN, Paused("crashed: panicked", "crashed")))
    assert [it.action for it in story.incidents] == action


def test_a_death_that_libvirtd_does_not_explain_is_one_all_the_same():
    story = well()
    story.tell(Stopped(True, "daemon"))
    assert story.verdicts == [(QEMU_DIED, RECOVER)]


@pytest.mark.parametrize(("action", "expected"), [(RECORD, ("watchdog", RECORD)), (RECOVER, ("watchdog", RECOVER))])
def test_an_event_causes_what_its_row_says_until_the_agent_answers(action, expected):
    story = set_to(watchdog_none=action)
    story.tell(WATCHDOG)
    story.tell(WATCHDOG, 1)
    assert story.verdicts == [expected]
    assert stands(story.watch, story.incidents[0].id, FIT) == "stands"
    assert [type(it) for it in story.asked()] == [Close]
    assert story.watch.state == HEALTHY


@pytest.mark.parametrize("event", ["watchdog.none", "lifecycle.crashed.crashloaded"])
def test_a_guest_that_hangs_after_an_event_was_recorded_is_reported(event):
    story = well()
    story.tell(Happened(event))
    story.hangs()
    assert [action for _, action in story.verdicts] == [RECORD, RECOVER]
    assert story.watch.state == HUNG
    assert stands(story.watch, story.watch.incident.id, FIT) == "stands"


def test_an_event_that_asks_for_recovery_is_not_lost_behind_a_lesser_incident():
    story = set_to(watchdog_none=RECOVER)
    story.tell(ChannelChanged(False))
    story.tell(Tick(), 60)
    story.tell(WATCHDOG)
    assert story.verdicts == [(AGENT_DOWN, RECORD), ("watchdog", RECOVER)]
    assert len(story.open) == 1
    story.tell(WATCHDOG)
    assert len(story.incidents) == 2


def test_an_event_beside_a_recovery_that_is_asked_for_changes_nothing():
    story = set_to(watchdog_none=RECOVER)
    story.hangs()
    before = story.watch
    story.tell(WATCHDOG)
    assert story.watch == before


@pytest.mark.parametrize("event", ["lifecycle.suspended.watchdog", "lifecycle.suspended.api-error"])
def test_a_pause_for_which_recovery_was_set_stands_however_often_it_is_seen(event):
    word = event.rpartition(".")[2]
    pause = Paused(f"paused: {word}", word)
    story = set_to(**{event.replace(".", "_").replace("-", "_"): RECOVER})
    story.tell(pause)
    story.tell(Happened(event))
    for _ in range(3):
        story.tell(seen(pause=pause), 60)
        assert stands(story.watch, story.incidents[0].id, FIT) == "stands"
    story.tell(seen())
    assert stands(story.watch, story.incidents[0].id, FIT) == "not-now"
    assert len(story.incidents) == 1


def test_an_event_of_a_pause_that_somebody_else_ends_is_over():
    story = well()
    story.tell(Happened("lifecycle.suspended.watchdog"))
    story.tell(Paused("paused: watchdog", "watchdog"))
    story.tell(Paused("paused: user", "user"))
    assert story.watch.state == PAUSED


@pytest.mark.parametrize("action", [RECORD, RECOVER])
def test_an_end_for_which_an_action_was_set_is_kept_when_the_list_tells_of_it_again(action):
    story = set_to(lifecycle_stopped_shutdown=action)
    story.tell(Stopped(False, "shutdown", event="lifecycle.stopped.shutdown"))
    story.tell(Stopped(False, "shutdown"))
    assert story.verdicts == [("shutdown", action)]
    assert stands(story.watch, story.incidents[0].id, FIT) == "stands"
    story.tell(seen(run=NEXT_RUN))
    assert not story.open


def test_late_events_of_a_guest_that_has_stopped_say_nothing():
    story = well()
    story.tell(Stopped(False, "shutdown"))
    story.tell(Happened("memory-failure.fatal"))
    assert (story.watch.state, story.incidents) == (STOPPED, [])


def test_a_late_word_of_a_reset_does_not_undo_a_death():
    story = well()
    story.tell(Stopped(True, "failed"))
    story.tell(Rebooted())
    story.tell(DIED)
    assert story.verdicts == [(QEMU_DIED, RECOVER)]
    assert stands(story.watch, story.incidents[0].id, FIT) == "stands"


@pytest.mark.parametrize("before", [well(), Story(begin(guest(), RUN, True, None, 0.0))], ids=["well", "taken over"])
def test_a_death_of_a_guest_that_ran_for_long_survives_an_older_word_that_it_runs(before):
    story = Story(before.watch, 100_000)
    story.tell(DIED)
    story.tell(seen())
    story.tell(Tick(), 1)
    story.tell(Stopped(True, "failed"), 1)
    assert story.verdicts == [(QEMU_DIED, RECOVER)]
    assert stands(story.watch, story.incidents[0].id, FIT) == "stands"


def test_a_guest_that_panics_again_after_it_was_started_again_is_another_incident():
    crashed = Paused("crashed: panicked", "crashed")
    kept = guest()._replace(on_crash="preserve")
    story = Story(begin(guest(), RUN, True, incident(PANICKED, RECOVER, number=7), 0.0))
    story.tell(Seen(kept, NEXT_RUN, crashed))
    assert [it.id for it in story.closed] == [7]
    assert story.verdicts == [(PANICKED, RECORD)]


def test_a_guest_that_answers_with_garbage_only_is_neither_expected_nor_said_to_be_mute():
    story = Story()
    for _ in range(1000):
        story.tell(Tick(), 10)
        story.asked(Answer.GARBLED)
    assert not story.incidents


def test_a_suspended_guest_stays_so_and_a_new_incident_after_its_window_is_recovered():
    story = healthy()
    story.fitness = SPENT
    story.hangs()
    story.fitness = FIT
    unanswered(story, 20)
    assert story.verdicts == [(HUNG, SUSPENDED)]
    story.asked()
    story.hangs()
    assert story.verdicts[1:] == [(HUNG, RECOVER)]
