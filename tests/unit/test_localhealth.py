"""A busy host is well, a sick one is told from it, and many guests that fall silent at once are held against the
host."""
from __future__ import annotations

import random

import pytest

from heartbeat.localhealth import FALL, MOST, Health, Reading, score, step, tripped, unfit
from heartbeat.settings import BY_KEY

WELL = Reading(late=0.0, canary=0.0002, cpu=0.0, memory=0.0, io=0.0)


def reading(**changes) -> Reading:
    return WELL._replace(**changes)


# How bad it is


@pytest.mark.parametrize("usual", [
    WELL,
    reading(canary=None),                                                   # libvirt is away: the link's affair
    reading(cpu=100.0),                                                     # four guests that spin on two cores
    Reading(late=0.4, canary=0.05, cpu=98.0, memory=1.0, io=40.0),          # guests boot, in software
    reading(io=75.0),                                                       # one guest writes, on an idle host
])  # fmt: skip
def test_a_host_that_is_merely_busy_is_well(usual):
    assert score(usual) == (0, "")


@pytest.mark.parametrize(("sick", "least", "says"), [
    (reading(late=3.0), 4, "our own loop came 3.0 s late"),
    (reading(late=30.0), MOST, "our own loop came 30.0 s late"),
    (reading(canary=2.5), 3, "libvirt takes 2.5 s to answer"),
    (reading(canary=60.0), MOST, "libvirt takes 60.0 s to answer"),
    (reading(memory=35.0), 5, "the host waits 35 % of the time for memory"),
    (reading(memory=20.0, io=90.0), 5, "for memory; the host waits 90 % of the time for disks"),
])  # fmt: skip
def test_a_host_that_swaps_a_libvirt_that_takes_seconds_and_a_late_loop_are_told(sick, least, says):
    points, why = score(sick)
    assert points >= least
    assert says in why


def test_disks_alone_never_forbid_a_recovery():
    health = step(Health(), reading(io=100.0), 0.0)
    assert unfit(health, BY_KEY["fitness.limit"].default) == ""


def test_above_the_limit_nobody_is_judged_and_the_reason_is_given():
    health = step(Health(), reading(late=4.0), 0.0)
    assert unfit(health, 4) == "our own loop came 4.0 s late (5 points of 7)"
    assert unfit(health, 5) == ""
    assert unfit(Health(), 0) == ""


def test_processors_that_are_never_free_count_only_beside_another_trouble():
    alone, beside = score(reading(late=1.2)), score(reading(late=1.2, cpu=99.5))
    assert beside.points == alone.points + 1
    assert beside.why.endswith("its processors are never free")


def test_more_trouble_never_makes_a_better_score():
    chance = random.Random(3)
    for _ in range(2000):
        low = Reading(*(chance.uniform(0, most) for most in (12, 15, 100, 80, 100)))
        high = Reading(*(value + chance.choice((0, 1, 5)) for value in low))
        assert score(low).points <= score(high).points <= MOST


def test_times_are_stretched_eight_times_at_most():
    worst = score(Reading(1e6, 1e6, 100, 100, 100))
    assert Health(worst.points).stretch == 8
    assert Health().stretch == 1


# How it goes on


def test_points_rise_at_once_and_fall_one_by_one():
    health = step(Health(), reading(late=5.0), 100.0)
    assert health.points == 5
    times = [100.0 + second for second in range(1, 61)]
    points = []
    for now in times:
        health = step(health, WELL, now)
        points.append(health.points)
    assert points == [5] * 9 + [4] * 10 + [3] * 10 + [2] * 10 + [1] * 10 + [0] * 11
    assert health.why == ""


def test_while_it_recovers_the_cause_is_still_named():
    health = step(Health(), reading(late=5.0), 0.0)
    for now in (10.0, 20.0):
        health = step(health, WELL, now)
    assert health == (3, 20.0, "recovering: our own loop came 5.0 s late")


def test_a_trouble_that_comes_and_goes_does_not_recover():
    health = Health()
    for second in range(0, 300, 5):
        health = step(health, reading(late=3.0) if second % 10 == 0 else WELL, float(second))
        assert health.points == 4


def test_a_lesser_trouble_stays_and_is_named_when_the_greater_one_is_over():
    health = step(Health(), reading(canary=20.0), 0.0)
    for second in range(1, 200):
        health = step(health, reading(memory=12.0), float(second))
    assert health.points == 2
    assert health.why == "the host waits 12 % of the time for memory"


def test_in_any_ten_seconds_at_most_one_point_is_lost():
    chance = random.Random(4)
    health, now, falls = Health(), 0.0, []
    for _ in range(3000):
        now += chance.uniform(0.1, 4)
        bad = chance.random() < 0.05
        after = step(health, reading(late=chance.uniform(0, 12)) if bad else WELL, now)
        if after.points < health.points:
            assert after.points == health.points - 1
            falls.append(now)
        health = after
    assert all(later - earlier >= FALL for earlier, later in zip(falls, falls[1:]))
    assert len(falls) > 50


# The breaker


def silent(count: int, first: float = 1000.0, every: float = 1.0) -> dict[str, float]:
    return {f"guest-{number}": first + number * every for number in range(count)}


def trip(suspected, watched=20, now=2000.0, share=30, number=3, window=60, was=False) -> str:
    return tripped(suspected, watched, now, share, number, window, was)


def test_many_guests_that_fall_silent_at_once_are_held_against_the_host():
    assert trip(silent(12)) == ("12 of 20 guests fell silent within 11 s: a fault of the host, its storage or libvirt"
                                " is likelier than one of theirs")


@pytest.mark.parametrize(("count", "watched", "trips"), [
    (6, 20, False), (7, 20, True),          # 30 % of 20, and more
    (3, 4, False), (3, 3, False),           # not more than three
    (4, 4, True), (4, 13, True), (4, 14, False),
    (0, 0, False), (0, 20, False),
])  # fmt: skip
def test_it_takes_more_than_the_share_and_more_than_the_number(count, watched, trips):
    assert bool(trip(silent(count), watched)) is trips


def test_guests_that_fall_silent_one_after_the_other_are_their_own_fault():
    assert trip(silent(12, every=30)) == ""
    assert trip(silent(12, every=10)) != ""         # seven within a minute


def test_those_that_are_silent_for_long_do_not_count_with_the_new_ones():
    assert trip({**silent(3), **{f"new-{n}": 1900.0 + n for n in range(6)}}) == ""
    assert trip({**silent(3), **{f"new-{n}": 1900.0 + n for n in range(7)}}).startswith("7 of 20 guests fell silent")


def test_the_ends_of_a_window_belong_to_it():
    assert trip({"a": 1000.0, "b": 1060.0}, watched=2, number=1) != ""
    assert trip({"a": 1000.0, "b": 1060.1}, watched=2, number=1) == ""


def test_it_releases_by_itself_when_fewer_than_half_are_silent():
    assert [bool(trip(silent(count), was=True)) for count in range(8)] == [False] * 4 + [True] * 4
    assert trip(silent(6), was=False) == ""         # and is not tripped anew by what did not release it
    assert trip(silent(6), was=True).startswith("6 of 20 guests are still silent")
