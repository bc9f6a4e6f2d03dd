"""What is counted, and that counting costs nothing worth naming."""

from __future__ import annotations

import pytest

from heartbeat.probe import Answer
from heartbeat.tally import ANSWERS, RESULTS, Histogram, Tally


def test_a_value_falls_into_the_first_bucket_that_is_large_enough():
    histogram = Histogram((1.0, 2.0))
    for value in (0.0, 1.0, 1.5, 2.0, 7.0):
        histogram.put(value)
    assert histogram.read() == ((1.0, 2.0), (2, 2, 1), 11.5)


def test_the_time_of_a_silence_is_no_time_of_an_answer():
    tally = Tally()
    for answer in Answer:
        tally.answered(answer, 0.003)
    assert all(number == 1 for number in tally.answers.values())
    found = tally.seconds.read()
    assert sum(found.counts) == 2  # alive and garbled
    assert found.total == pytest.approx(0.006)


def test_what_was_read_does_not_change_any_more():
    tally = Tally()
    before = tally.seconds.read()
    tally.answered(Answer.ALIVE, 100.0)
    assert sum(before.counts) == 0
    assert tally.seconds.read().counts == (*([0] * len(ANSWERS)), 1)


def test_each_verdict_and_each_result_is_counted_for_itself():
    tally = Tally()
    tally.opened("hung", "recover")
    tally.opened("hung", "recover")
    tally.opened("hung", "observed")
    for result in (*RESULTS, "failed"):
        tally.delivery("masakari", result)
    assert tally.verdicts == {("hung", "recover"): 2, ("hung", "observed"): 1}
    assert tally.deliveries == {("masakari", it): 2 if it == "failed" else 1 for it in RESULTS}
