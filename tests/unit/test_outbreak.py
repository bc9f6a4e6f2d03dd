"""Whether so many guests became unhealthy at once that the fault is not theirs."""

from __future__ import annotations

import pytest

from heartbeat.condition import Limits
from heartbeat.health.outbreak import early, lag, outbreak
from tests.harness.wards import APP

LIMITS = Limits(share=30.0, number=3, window=60.0)
NOW = 10_000.0


def bad(count: int, every: float) -> dict[str, float]:
    """So many guests, each bad by so many seconds earlier than the one before."""
    return {f"guest-{number}": NOW - number * every for number in range(count)}


@pytest.mark.parametrize(("count", "watched", "holds"), [
    (3, 5, False), (4, 5, True), (4, 10, True), (4, 14, False), (5, 14, True), (30, 100, False), (31, 100, True),
])  # fmt: skip
def test_it_takes_more_than_the_number_and_more_than_the_share(count, watched, holds):
    assert bool(outbreak(bad(count, 1.0), watched, NOW, LIMITS, 0.0, False)) is holds


def test_what_befell_all_in_one_moment_is_noticed_over_the_time_in_which_each_is_looked_at():
    one_each_minute = bad(5, 70.0)
    assert outbreak(one_each_minute, 10, NOW, LIMITS, 0.0, False) == ""
    assert outbreak(one_each_minute, 10, NOW, LIMITS, 300.0, False) == (
        "5 of 10 guests became unhealthy within 280 s: what they depend on is likelier to blame than each of them")


def test_it_lasts_until_fewer_than_half_as_many_are_left():
    left = [bool(outbreak(bad(count, 1e6), 10, NOW, LIMITS, 0.0, True)) for count in (4, 2, 1, 0)]
    assert left == [True, True, False, False]


def test_nobody_is_judged_before_the_others_were_looked_at_unless_they_are_too_few_to_tell():
    assert lag(APP) == APP.interval + APP.timeout
    assert early(APP, NOW, 4, NOW + lag(APP) - 1, LIMITS)
    assert not early(APP, NOW, 4, NOW + lag(APP), LIMITS)
    assert not early(APP, NOW, 3, NOW, LIMITS)
    assert not early(APP, NOW, 4, NOW, LIMITS._replace(hold=False))
