"""One time for each name, taken in the order in which they are due."""

from __future__ import annotations

from heartbeat.alarm import NEVER, Alarms


def taken(alarms: Alarms, now: float) -> list[str]:
    names = []
    while (name := alarms.take(now)) is not None:
        names.append(name)
    return names


def test_nothing_is_due_before_its_time():
    alarms = Alarms()
    alarms.set("a", 5.0)
    assert alarms.take(4.999) is None
    assert alarms.next_at() == 5.0
    assert alarms.take(5.0) == "a"
    assert alarms.next_at() == NEVER


def test_what_has_been_due_for_longest_comes_first():
    alarms = Alarms()
    for name, at in (("c", 3.0), ("a", 1.0), ("b", 2.0)):
        alarms.set(name, at)
    assert taken(alarms, 10) == ["a", "b", "c"]


def test_a_name_has_one_time_and_the_latest_wish_counts():
    alarms = Alarms()
    alarms.set("a", 1.0)
    alarms.set("a", 9.0)
    assert alarms.take(5.0) is None
    alarms.set("a", 2.0)
    assert taken(alarms, 10.0) == ["a"]


def test_a_dropped_one_never_comes_and_may_be_set_again_to_the_same_time():
    alarms = Alarms()
    alarms.set("a", 1.0)
    alarms.drop("a")
    alarms.set("b", 1.0)
    alarms.set("b", NEVER)
    assert "a" not in alarms
    assert alarms.next_at() == NEVER
    alarms.set("a", 1.0)
    assert taken(alarms, 1.0) == ["a"]
    alarms.drop("never set")


def test_a_name_that_is_set_again_at_once_after_it_was_taken_is_taken_once_more_only():
    alarms = Alarms()
    alarms.set("a", 1.0)
    alarms.set("a", 2.0)
    alarms.set("a", 1.0)
    assert alarms.take(1.0) == "a"
    alarms.set("a", 1.0)
    assert taken(alarms, 3.0) == ["a"]


def test_a_wish_that_moves_a_million_times_leaves_nothing_behind_once_its_times_have_passed():
    alarms = Alarms()
    for turn in range(10_000):
        alarms.set("a", turn + 1.0)
        alarms.set("a", NEVER)
        assert alarms.take(float(turn)) is None
    alarms.next_at()
    assert not alarms._heap
