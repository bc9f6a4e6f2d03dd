"""Reasons not to judge a guest: what begins them, what ends them, and what they keep from happening."""

from __future__ import annotations

import pytest

from heartbeat import holds
from heartbeat.holds import BUSY, CEILINGS, DUMP, GRACE, JOB, PAUSE
from heartbeat.incident import HUNG, RECOVER
from heartbeat.observation import Gap, Panicked, Paused, Rebooted, Resumed, Stopped, Tick, Warn
from heartbeat.probe import Answer
from heartbeat.watch import stands, wake_at
from tests.harness.observations import FIT, NEXT_RUN, Story, healthy, seen
from tests.harness.scenario import unanswered

NEVER = float("inf")


def kinds(story: Story) -> list[str]:
    return [hold.kind for hold in story.watch.holds]


# The holds themselves


def test_a_hold_that_begins_again_keeps_its_beginning_and_takes_the_newer_reason():
    held = holds.begin(holds.begin((), JOB, "a backup", 10), JOB, "a dump", 500)
    assert [(it.since, it.until, it.why) for it in held] == [(10, 10 + CEILINGS[JOB], "a dump")]


def test_a_grace_begins_anew_and_ends_by_itself():
    held = holds.begin(holds.begin((), GRACE, "resumed", 10, 30), GRACE, "resumed", 35, 30)
    assert holds.expired(held, 64.9) == held
    assert holds.expired(held, 65) == ()
    assert holds.overdue(held, 1e9) == [], "its end is no reason to warn"


@pytest.mark.parametrize("kind", [JOB, BUSY, DUMP, PAUSE])
def test_any_other_hold_lasts_beyond_its_ceiling_and_warns_once(kind):
    held = holds.begin((), kind, "so", 0)
    at = holds.next_at(held)
    assert at == CEILINGS[kind]
    assert holds.overdue(held, at - 0.1) == []
    assert [it.kind for it in holds.overdue(held, at)] == [kind]
    held = holds.warned(held, at)
    assert (holds.overdue(held, 1e9), holds.next_at(held)) == ([], NEVER)
    assert holds.expired(held, 1e9) == held
    assert holds.begin(held, kind, "still so", 1e9)[0].warned


def test_holds_of_several_kinds_are_told_together_and_end_one_by_one():
    held = holds.begin(holds.begin((), JOB, "a backup", 0), BUSY, "another client", 1)
    assert holds.told(held) == "a backup, another client"
    assert holds.told(holds.end(held, JOB, DUMP)) == "another client"
    assert holds.end(held, JOB, BUSY) == ()
    assert holds.next_at(held) == 1 + CEILINGS[BUSY]


# What begins and ends them


def test_a_job_holds_from_the_look_that_sees_it_to_the_look_that_does_not():
    story = healthy()
    unanswered(story, 3, job="a backup")
    assert kinds(story) == [JOB]
    assert not story.incidents
    unanswered(story, 1)
    assert kinds(story) == []
    unanswered(story, 4)
    assert story.verdicts == [(HUNG, RECOVER)], "the job is over, the guest is not"


def test_another_clients_call_holds_until_the_next_answer_of_another_kind():
    story = healthy()
    story.asked(Answer.BUSY)
    assert kinds(story) == [BUSY]
    story.silent()
    assert kinds(story) == []
    story.asked(Answer.BUSY)
    story.asked()
    assert kinds(story) == []


@pytest.mark.parametrize("end", [Rebooted(), Stopped(False, "destroyed"), seen(run=NEXT_RUN)],
                         ids=lambda it: type(it).__name__)
def test_a_dump_holds_until_the_guest_is_reset_or_another(end):
    story = healthy()
    story.tell(Panicked(True))
    unanswered(story, 20)
    assert kinds(story) == [DUMP]
    assert not story.incidents
    story.tell(end)
    assert kinds(story) == []


@pytest.mark.parametrize(("away", "back"), [
    (Paused("paused: user", "user"), Resumed()), (Paused("paused: migration", "migration"), seen()),
    (Gap("libvirt: gone", True), seen()),
], ids=["resumed", "migrated", "libvirt is back"])  # fmt: skip
def test_a_guest_that_runs_again_has_a_grace_and_is_judged_after_it(away, back):
    story = healthy()
    story.tell(away)
    story.tell(back, 100)
    begun = story.now
    assert kinds(story) == [GRACE]
    while story.now < begun + story.timing.grace:
        unanswered(story, 1)
        if story.now < begun + story.timing.grace:
            assert not story.incidents
    unanswered(story, 4)
    assert story.verdicts == [(HUNG, RECOVER)]
    assert kinds(story) == []


def test_a_grace_that_is_over_holds_no_verdict_though_no_alarm_has_gone_off_yet():
    story = healthy()
    story.tell(Paused("paused: user", "user"))
    story.tell(Resumed(), 1)
    story.now += story.timing.grace
    story.hangs()
    assert story.verdicts == [(HUNG, RECOVER)]


def test_a_verdict_waits_while_a_job_begins_after_it():
    story = healthy()
    story.hangs()
    number = story.incidents[0].id
    story.looked(job="a dump")
    assert stands(story.watch, number, FIT) == "not-now"
    unanswered(story, 5)
    assert stands(story.watch, number, FIT) == "stands"
    assert len(story.incidents) == 1


def test_a_hold_that_never_ends_warns_once_and_lets_the_loop_rest():
    story = healthy()
    story.looked(job="a backup")
    unanswered(story, 1, job="a backup")
    warnings = [it for _ in range(10) for it in story.tell(Tick(), CEILINGS[JOB]) if isinstance(it, Warn)]
    assert len(warnings) == 1
    assert "a backup" in warnings[0].text
    unanswered(story, 50, job="a backup")
    assert not story.incidents
    assert wake_at(story.watch, story.timing) > story.now
