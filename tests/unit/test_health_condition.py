"""What the runs of a health check come to: when a guest has failed by it, and when it has recovered."""

from __future__ import annotations

import pytest

from heartbeat.health.condition import Condition, failed, learned, stands
from heartbeat.health.course import Result, Status
from heartbeat.health.definition import EXEC, Check

CHECK = Check("web", EXEC, command=("/bin/true",), failures=3, grace=300.0)
GOOD, BAD, ASKS = Status.HEALTHY, Status.UNHEALTHY, Status.RESET
NEUTRAL = (Status.UNKNOWN, Status.CANNOT, Status.INITIALISING)


def after(*statuses: Status, check: Check = CHECK, up_since: float = 0.0) -> Condition:
    """One run a minute, the first at 1000."""
    condition = None
    for turn, status in enumerate(statuses):
        condition = learned(condition, Result(status, f"run {turn}", 0.5), check, up_since, 1000.0 + 60 * turn)
    assert condition
    return condition


def test_a_guest_has_failed_after_as_many_bad_runs_as_it_takes():
    assert not failed(after(GOOD, BAD, BAD), CHECK)
    assert failed(after(GOOD, BAD, BAD, BAD), CHECK)
    assert after(GOOD, BAD, BAD, BAD) == Condition(BAD, "run 3", 1060.0, 1180.0, 0.5, 3, 1060.0)


def test_one_healthy_run_clears_them():
    assert not failed(after(BAD, BAD, GOOD, BAD), CHECK)
    assert after(BAD, BAD, BAD, GOOD) == Condition(GOOD, "run 3", 1180.0, 1180.0, 0.5)


@pytest.mark.parametrize("neutral", NEUTRAL)
def test_a_run_that_says_nothing_neither_counts_nor_clears(neutral):
    assert not failed(after(BAD, BAD, neutral, neutral, neutral), CHECK)
    assert failed(after(BAD, neutral, BAD, neutral, BAD), CHECK)
    assert not failed(after(*[neutral] * 20), CHECK)
    condition = after(BAD, BAD, BAD, neutral)
    assert failed(condition, CHECK)
    assert not stands(condition, CHECK), "a recovery rests on what the guest says now"
    assert stands(after(BAD, BAD, BAD, neutral, BAD), CHECK)


def test_a_guest_that_has_just_begun_is_initialising():
    condition = after(BAD, BAD, BAD, BAD, up_since=900.0)
    assert (condition.status, condition.failures, condition.begun) == (Status.INITIALISING, 0, None)
    assert not failed(condition, CHECK)
    later = after(*[BAD] * 6, up_since=900.0)  # the grace ends at 1200
    assert (later.status, later.failures, later.begun) == (BAD, 2, 1240.0)
    assert after(BAD, up_since=700.0).status is BAD, "it is over when its last second is"


def test_a_guest_that_asks_for_its_recovery_has_failed_at_once_where_it_may():
    check = CHECK._replace(reset=True)
    assert failed(after(GOOD, ASKS, check=check), check)
    assert stands(after(GOOD, ASKS, check=check), check)
    assert failed(after(GOOD, ASKS, BAD, check=check), check), "it has not taken that back"
    assert not failed(after(GOOD, ASKS, GOOD, check=check), check)
    assert not failed(after(GOOD, ASKS, check=check), CHECK), "the operator has forbidden it since"


def test_what_asks_for_a_recovery_right_after_a_start_is_of_the_time_before():
    check = CHECK._replace(reset=True)
    assert not failed(after(ASKS, ASKS, check=check, up_since=990.0), check)


def test_a_threshold_that_is_set_anew_holds_at_once():
    condition = after(BAD, BAD)
    assert not failed(condition, CHECK)
    assert failed(condition, CHECK._replace(failures=2))


def test_the_time_of_a_status_is_that_of_its_first_run():
    assert after(GOOD, GOOD, GOOD).since == 1000.0
    assert after(GOOD, BAD, BAD).since == 1060.0
