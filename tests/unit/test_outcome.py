"""What becomes of a recovery that was asked for, as a decision: what the guest says, what Masakari says, and time."""

from __future__ import annotations

import itertools

import pytest

from heartbeat.incident import HUNG, MISSING, UNHEALTHY
from heartbeat.outcome import (
    ANSWERED,
    CONFIRMED,
    DEEDS,
    IGNORED,
    LEFT_IT,
    LONGEST,
    LOST,
    NOT_RECOVERED,
    RECOVERED,
    SETTLED,
    SKIPPED,
    STATUSES,
    STOPPED_IT,
    Decided,
    Followed,
    Retry,
    Word,
    judge,
    told,
)

GUEST, START, DEADLINE = "25efc0bf-1659-4c83-b4e6-4e0e6d0f0b01", 1000.0, 600.0
OPEN = Followed(7, GUEST, HUNG, "boot-1", START, "2026-11-20T05:00:00+00:00", "number", changed=START)
CLOSED = OPEN._replace(closed=True)
NEW, RUNNING, ERROR, FAILED = (Word(status) for status in ("new", "running", "error", "failed"))
DONE = Word("finished", CONFIRMED, "Confirmed instance vm_state is ACTIVE")


def after(it, seconds, word=None, here=True, moved=START):
    return judge(it, word, here, moved, START + seconds, DEADLINE)


def words(effects):
    return [effect.outcome if isinstance(effect, Decided) else "retry" for effect in effects]


def test_a_guest_that_was_started_anew_and_answers_is_recovered_whatever_masakari_says():
    for word in (None, NEW, RUNNING, ERROR, FAILED, DONE, Word(LOST)):
        it, effects = after(CLOSED._replace(answered="boot-2"), 20, word)
        assert (it.outcome, it.done, it.human) == (RECOVERED, True, False)
        assert words(effects) == [RECOVERED]


def test_one_that_answers_again_by_itself_is_told_from_one_that_was_started_anew():
    assert after(CLOSED._replace(armed="boot-1"), 20)[0].outcome == ANSWERED
    assert after(CLOSED._replace(answered="boot-1"), 20)[0].outcome == ANSWERED, "it was reset from inside"
    assert after(CLOSED._replace(armed="boot-1", newer=True), 20)[0].outcome == "", "it is failing otherwise"


def test_of_a_guest_that_is_unhealthy_an_answer_says_nothing_unless_it_was_started_anew():
    sick = OPEN._replace(verdict=UNHEALTHY)
    assert after(sick._replace(answered="boot-1"), 20)[0].outcome == "", "it has answered all along"
    assert after(sick._replace(answered="boot-2"), 20)[0].outcome == RECOVERED
    it, _ = after(sick._replace(closed=True, armed="boot-1"), 20)
    assert (it.outcome, it.why) == (ANSWERED, "it is unhealthy no longer, and was not started anew")


def test_a_guest_that_is_unhealthy_still_after_its_recovery_failed_is_reported_again():
    it, _ = after(OPEN._replace(verdict=UNHEALTHY), 150, FAILED)
    assert words(after(it, DEADLINE)[1]) == ["retry"]


def test_finished_alone_is_no_recovery():
    it, effects = after(OPEN, 20, DONE)
    assert (it.outcome, it.done, effects) == ("", False, [])
    it, effects = after(it, 20 + DEADLINE)
    assert it.outcome == NOT_RECOVERED
    assert words(effects) == [NOT_RECOVERED, "retry"]


def test_one_that_has_left_this_node_is_recovered_if_masakari_says_so():
    it, _ = after(CLOSED, 20, DONE, here=False)
    assert it.outcome == "", "libvirt's news of its start may be on its way"
    assert after(it, 20 + SETTLED, here=None)[0].outcome == "", "libvirt is away: who knows whether it left"
    it, _ = after(it, 20 + SETTLED, here=False)
    assert (it.outcome, it.done) == (RECOVERED, True)


def test_one_that_has_left_is_not_called_lost_as_long_as_masakari_may_tell():
    assert after(CLOSED, 10 * DEADLINE, RUNNING, here=False)[0].outcome == ""
    assert after(CLOSED, LONGEST, RUNNING, here=False)[0].done


def test_a_guest_that_masakari_leaves_alone_is_skipped_and_not_reported_again():
    it, effects = after(OPEN, 20, Word("finished", LEFT_IT, "Skipping recovery for instance"))
    assert (it.outcome, it.done, words(effects)) == (SKIPPED, True, [SKIPPED])


def test_what_the_engine_ignores_is_ignored_with_its_reason():
    it, effects = after(OPEN, 20, Word(IGNORED, "", "in 'paused' state"))
    assert (it.outcome, it.done, words(effects)) == (IGNORED, True, [IGNORED])
    assert "paused" in it.why


def test_error_is_not_the_end():
    it, effects = after(OPEN, 20, ERROR)
    assert (it.outcome, effects) == ("", [])


def test_failed_is_the_end_at_once_and_reported_again_at_the_deadline():
    it, effects = after(OPEN, 150, Word("failed", "", "Failed to stop instance"))
    assert words(effects) == [NOT_RECOVERED]
    assert (it.done, it.human) == (False, False)
    assert "Failed to stop" in it.why
    assert after(it, DEADLINE - 1)[1] == []
    again, effects = after(it, DEADLINE)
    assert effects == [Retry(it.why)]
    assert after(again, DEADLINE + 60)[1] == [Retry(it.why)], "until that has been done"


@pytest.mark.parametrize("word", [None, NEW, ERROR, RUNNING], ids=lambda it: it.status if it else "no word")
def test_nothing_is_reported_again_that_somebody_may_still_act_upon(word):
    it, _ = after(OPEN, 0, word)
    it, effects = after(it, DEADLINE)
    assert words(effects) == [NOT_RECOVERED]
    assert it.human, "that nobody gets to it is for people"
    assert not it.done, "it may still come to something"
    it, _ = after(it._replace(closed=True, answered="boot-2"), DEADLINE + 100)
    assert (it.outcome, it.human, it.done) == (RECOVERED, False, True)


def test_running_for_ever_is_what_an_engine_left_that_died():
    it, _ = after(OPEN, 0, RUNNING)
    assert words(after(it, 2 * DEADLINE - 1)[1]) == [NOT_RECOVERED]
    it, effects = after(it, 2 * DEADLINE)
    assert words(effects) == [NOT_RECOVERED, "retry"]
    assert not it.human


def test_a_notification_that_masakari_does_not_know_is_reported_again():
    it, effects = after(OPEN, 20, Word(LOST))
    assert effects == []
    assert words(after(it, DEADLINE)[1]) == [NOT_RECOVERED, "retry"]


def test_a_guest_that_waits_for_its_turn_is_not_late_while_others_are_being_recovered():
    it, _ = after(OPEN, 5, NEW)
    assert after(it, 2000, moved=START + 1500)[0].outcome == ""
    assert after(it, 2200, moved=START + 1500)[0].outcome == NOT_RECOVERED


def test_its_own_time_begins_when_its_turn_comes():
    it, _ = after(OPEN, 5, NEW)
    it, _ = after(it, 1000, RUNNING, moved=START + 900)
    assert after(it, 1000 + DEADLINE - 1)[0].outcome == ""
    assert after(it, 1000 + DEADLINE)[0].outcome == NOT_RECOVERED


def test_a_guest_that_was_stopped_and_not_started_needs_a_human_and_no_further_report():
    it, effects = after(CLOSED, 300, Word("failed", STOPPED_IT, "Failed to start instance"))
    assert (it.outcome, it.human, it.done) == (NOT_RECOVERED, True, False)
    it, effects = after(it, 3 * DEADLINE)
    assert effects == [], "somebody may have stopped it on purpose since"
    it, _ = after(it._replace(answered="boot-2"), 4 * DEADLINE)
    assert (it.outcome, it.human) == (RECOVERED, False), "until it answers"
    it, _ = after(CLOSED._replace(outcome=NOT_RECOVERED, human=True), LONGEST)
    assert (it.human, it.done) == (False, True), "or a day has gone"


def test_one_that_was_taken_away_is_nobodys_trouble_but_one_that_the_engine_stopped_is():
    it, _ = after(CLOSED, 300, Word("failed", "", "No instance"), here=False)
    assert (it.outcome, it.human, it.done) == (NOT_RECOVERED, False, True)
    it, _ = after(CLOSED, 300, Word("failed", STOPPED_IT, ""), here=False)
    assert (it.human, it.done) == (True, False)


def test_what_has_been_reported_again_is_followed_no_more():
    it, effects = after(CLOSED._replace(newer=True, outcome=NOT_RECOVERED, word=FAILED), DEADLINE)
    assert (it.done, it.human, effects) == (True, False, [])


def test_where_masakari_is_not_told_the_guest_alone_decides():
    it, _ = after(OPEN._replace(generated_time="", reference=""), DEADLINE)
    assert (it.outcome, it.human) == (NOT_RECOVERED, True)
    assert "Masakari" not in it.why


def test_a_missing_guest_is_not_reported_again_by_us_but_needs_a_human():
    it, effects = after(OPEN._replace(verdict=MISSING), 150, FAILED, here=False)
    it, more = after(it, DEADLINE, here=False)
    assert (words(effects + more), it.human) == ([NOT_RECOVERED], True)


def test_an_outcome_is_told_once():
    it, effects = after(OPEN, 150, FAILED)
    for seconds in range(151, 500):
        it, effects = after(it, seconds, FAILED)
        assert effects == []


def test_in_every_order_of_what_can_be_learned_it_is_never_both_over_and_reported_again():
    """Masakari's words in any order, with the guest's coming at any point: no retry once it is well, none before the
    deadline, none of what may be acted upon, and it ends."""
    said = [Word(status, deed) for status in sorted(STATUSES) for deed in sorted(DEEDS)]
    for first, second, well in itertools.product(said, said, range(4)):
        it, retries = OPEN, []
        for step, (seconds, word) in enumerate([(5, first), (300, second), (DEADLINE, None), (4 * DEADLINE, None)]):
            if step == well:
                it = it._replace(closed=True, answered="boot-2")
            it, effects = after(it, seconds, word)
            assert not (it.done and it.human)
            retries += [(seconds, it) for effect in effects if isinstance(effect, Retry)]
            if it.done:
                break
        for seconds, at in retries:
            assert not at.closed
            assert seconds >= DEADLINE
            assert at.word.ended or at.word.status == "running"
            assert at.outcome == NOT_RECOVERED


@pytest.mark.parametrize(("it", "text"), [
    (("", "", False), "awaited"), (("", "running", False), "awaited, Masakari says running"),
    ((RECOVERED, "finished", False), "recovered"), ((NOT_RECOVERED, "failed", True), "not recovered, needs a human"),
])  # fmt: skip
def test_how_things_stand_in_words(it, text):
    assert told(*it) == text
