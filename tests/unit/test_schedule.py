"""Whom we ask when: everybody once in each interval, nobody twice at a time, the rest waits for a slot."""

from __future__ import annotations

import uuid as uuids

import pytest

from heartbeat.alarm import NEVER
from heartbeat.schedule import TICK, Schedule

GUESTS = [str(uuids.UUID(int=number * 7919)) for number in range(1, 101)]


def run(schedule: Schedule, start: float, end: float, takes: float = 0.002) -> list[tuple[float, str]]:
    """Every question in this time, each of which comes back after `takes` seconds. As the owner loop does it."""
    now, asked, out = start, [], []
    while now < end:
        for back, guest in [it for it in out if it[0] <= now]:
            out.remove((back, guest))
            schedule.returned(guest, now)
        while (guest := schedule.take(now)) is not None:
            asked.append((now, guest))
            out.append((now + takes, guest))
        soonest = min([schedule.next_at(), *(back for back, _ in out)])
        assert soonest > now, "the loop would spin"
        now = soonest
    return asked


@pytest.fixture
def schedule() -> Schedule:
    schedule = Schedule(10.0, 6, 6)
    for guest in GUESTS:
        schedule.add(guest, 0.0)
    return schedule


def test_every_guest_is_asked_once_in_each_interval_at_its_own_place(schedule):
    asked = run(schedule, 0.0, 30.0)
    for guest in GUESTS:
        times = [at for at, name in asked if name == guest]
        assert len(times) == 3
        assert all(later - earlier == pytest.approx(10.0, abs=0.5) for earlier, later in zip(times, times[1:]))


def test_the_questions_are_spread_over_the_interval_and_put_together_within_a_tick(schedule):
    times = [at for at, _ in run(schedule, 0.0, 10.0)]
    for second in range(10):
        assert 1 <= sum(second <= at < second + 1 for at in times) <= 30
    assert all(at % TICK < 0.1 for at in times)     # but for those that wait for a slot


def test_a_guest_whose_question_is_out_is_not_asked_again(schedule):
    first = schedule.take(20.0)
    assert first is not None
    schedule.soon(first, 20.1)
    schedule.add(first, 20.1)
    others = []
    for turn in range(1, 2000):
        other = schedule.take(20.1 + turn * 0.01)
        if other:
            others.append(other)
            schedule.returned(other, 20.1 + turn * 0.01)
    assert first not in others
    assert set(others) == set(GUESTS) - {first}


def test_one_that_shall_be_asked_soon_is_asked_once_more_as_soon_as_its_question_returns(schedule):
    first = schedule.take(20.0)
    run(schedule, 20.5, 24.9)
    schedule.soon(first, 24.9)
    schedule.returned(first, 25.0)
    asked = run(schedule, 25.0, 25.5, takes=0.0001)
    assert [name for _, name in asked].count(first) == 1
    schedule.soon(GUESTS[0], 26.0)
    assert schedule.next_at() <= 26.0


def test_no_more_questions_are_out_than_there_are_slots(schedule):
    taken = [schedule.take(50.0 + turn * 0.01) for turn in range(20)]
    assert [guest is not None for guest in taken] == [True] * 6 + [False] * 14
    assert schedule.next_at() == NEVER
    schedule.returned(taken[2], 60.0)
    assert schedule.next_at() <= 60.0
    assert schedule.take(60.0) not in (None, *taken)


def test_healthy_guests_are_asked_on_though_some_never_return():
    schedule = Schedule(10.0, 6, 6)
    for guest in GUESTS[:20]:
        schedule.add(guest, 0.0)
    stuck = [schedule.take(100.0 + turn * 0.01) for turn in range(5)]
    asked = {name for _, name in run(schedule, 101.0, 112.0)}
    assert asked == set(GUESTS[:20]) - set(stuck)


def test_those_who_were_silent_wait_for_those_who_may_answer_and_never_take_all_slots():
    schedule = Schedule(10.0, 6, 4)
    for guest in GUESTS[:12]:
        schedule.soon(guest, 50.0, silent=True)
    for guest in GUESTS[12:14]:
        schedule.soon(guest, 51.0)
    taken = [schedule.take(60.0 + turn * 0.01) for turn in range(8)]
    assert taken == [*GUESTS[12:14], *GUESTS[:4], None, None]
    for guest in GUESTS[12:14]:
        schedule.remove(guest)
        schedule.returned(guest, 61.0)
    assert schedule.take(61.0) is None
    assert schedule.next_at() > 61.0
    schedule.returned(GUESTS[0], 62.0, silent=True)
    assert schedule.next_at() <= 62.0
    assert schedule.take(62.0) == GUESTS[4]


def test_those_who_were_silent_are_asked_though_there_are_more_guests_than_can_be_asked_in_an_interval():
    """Else nobody would ever know that one of them has recovered, or ask the second question of one that has not."""
    guests = [str(uuids.UUID(int=number * 7919)) for number in range(1, 401)]     # 200 a second, and 120 can be put
    schedule = Schedule(2.0, 6, 4)
    for guest in guests:
        schedule.add(guest, 0.0)
    for guest in guests[:5]:
        schedule.soon(guest, 10.0, silent=True)
    first = {}
    for at, guest in run(schedule, 10.0, 40.0, takes=0.05):
        first.setdefault(guest, at)
    assert first.keys() == set(guests)
    assert max(first[guest] for guest in guests[:5]) <= 10 + 4 * 2.0


def test_one_that_answers_again_is_asked_as_all_others():
    schedule = Schedule(10.0, 2, 1)
    schedule.soon(GUESTS[0], 50.0, silent=True)
    schedule.soon(GUESTS[1], 50.0, silent=True)
    assert schedule.take(50.0) == GUESTS[0]
    assert schedule.take(51.0) is None
    schedule.soon(GUESTS[1], 51.0)     # it has opened its channel again
    assert schedule.take(51.0) == GUESTS[1]
    schedule.returned(GUESTS[1], 51.1)
    schedule.returned(GUESTS[0], 55.0, silent=True)
    schedule.remove(GUESTS[0])
    assert GUESTS[0] not in schedule
    assert {name for _, name in run(schedule, 55.1, 75.1)} == {GUESTS[1]}


def test_a_removed_guest_is_not_asked_and_its_question_that_is_out_keeps_the_slot():
    schedule = Schedule(10.0, 1, 1)
    schedule.add(GUESTS[0], 0.0)
    schedule.add(GUESTS[1], 0.0)
    out = schedule.take(20.0)
    other = next(guest for guest in GUESTS[:2] if guest != out)
    schedule.remove(out)
    schedule.remove("never added")
    assert out not in schedule
    assert other in schedule
    assert schedule.take(30.0) is None
    schedule.returned(out, 31.0)
    assert schedule.take(40.0) == other
    schedule.returned(other, 40.0)
    assert [name for _, name in run(schedule, 40.1, 70.0)] == [other] * 3


def test_one_that_is_removed_and_added_again_while_it_is_asked_goes_on_as_usual():
    schedule = Schedule(10.0, 2, 2)
    schedule.add(GUESTS[0], 0.0)
    schedule.take(20.0)
    schedule.remove(GUESTS[0])
    schedule.add(GUESTS[0], 21.0)
    assert GUESTS[0] in schedule
    assert schedule.take(29.0) is None
    schedule.returned(GUESTS[0], 29.5)
    assert [name for _, name in run(schedule, 29.6, 49.6)] == [GUESTS[0]] * 2


def test_a_removed_guest_whose_question_returns_leaves_nothing_behind():
    schedule = Schedule(10.0, 2, 2)
    for guest in GUESTS:
        schedule.add(guest, 0.0)
        schedule.remove(guest)
    assert schedule.next_at() == NEVER
    assert not schedule._asked
    schedule.returned("never asked", 5.0)
    assert schedule.next_at() == NEVER


def test_a_shorter_interval_holds_from_the_next_round_on(schedule):
    run(schedule, 0.0, 10.0)
    schedule.interval = 2.0
    asked = run(schedule, 10.0, 40.0)
    assert len([1 for at, _ in asked if at > 20.0]) == pytest.approx(10 * len(GUESTS), rel=0.02)


def test_a_call_waits_for_every_question_that_is_due_and_leaves_two_slots_to_guests_that_may_answer():
    schedule = Schedule(10.0, 6, 4)
    schedule.add(GUESTS[0], 0.0)
    assert not schedule.call(GUESTS[1], 20.0), "a question is due"
    assert schedule.take(20.0) == GUESTS[0]
    assert not schedule.call(GUESTS[0], 20.0), "its question is out"
    taken = [schedule.call(guest, 20.0) for guest in GUESTS[1:8]]
    assert taken == [True] * 4 + [False] * 3
    assert not schedule.call(GUESTS[1], 20.0), "never two in one guest"
    schedule.soon(GUESTS[20], 20.0)
    assert schedule.take(20.0) == GUESTS[20], "a guest that may answer finds its slot"


def test_calls_that_hang_and_guests_that_hang_share_what_is_not_kept_for_the_others():
    schedule = Schedule(10.0, 6, 4)
    assert [schedule.call(guest, 20.0) for guest in GUESTS[:3]] == [True] * 3
    for guest in GUESTS[10:13]:
        schedule.soon(guest, 20.0, silent=True)
    assert [schedule.take(20.0), schedule.take(20.0)] == [GUESTS[10], None]
    schedule.soon(GUESTS[20], 20.0)
    schedule.soon(GUESTS[21], 20.0)
    assert {schedule.take(20.0), schedule.take(20.0)} == set(GUESTS[20:22])
    assert schedule.full


def test_a_question_that_falls_due_while_a_call_is_out_follows_at_once():
    schedule = Schedule(10.0, 6, 4)
    schedule.soon(GUESTS[0], 25.0)
    assert schedule.call(GUESTS[0], 20.0)
    assert schedule.take(30.0) is None
    assert GUESTS[0] in schedule
    assert schedule.due(GUESTS[0]) == 25.0
    assert GUESTS[0] in schedule.overdue(26.0), "it is not missed meanwhile"
    schedule.called(GUESTS[0])
    assert not schedule.call(GUESTS[0], 30.0), "the question comes first"
    assert schedule.take(30.0) == GUESTS[0]


def test_a_guest_is_asked_at_once_after_a_call_that_it_left_unanswered():
    schedule = Schedule(10.0, 6, 4)
    schedule.add(GUESTS[0], 0.0)
    schedule.take(20.0)
    schedule.returned(GUESTS[0], 20.0)
    assert schedule.call(GUESTS[0], 21.0)
    schedule.called(GUESTS[0])
    schedule.soon(GUESTS[0], 26.0)
    assert schedule.take(26.0) == GUESTS[0]


def test_a_guest_that_is_removed_while_a_call_is_out_is_asked_no_more():
    schedule = Schedule(10.0, 6, 4)
    schedule.add(GUESTS[0], 0.0)
    assert schedule.call(GUESTS[0], 0.0) or schedule.due(GUESTS[0]) == 0.0
    schedule.remove(GUESTS[0])
    schedule.called(GUESTS[0])
    assert schedule.next_at() == NEVER
    schedule.called("never called")
    schedule.add(GUESTS[1], 50.0)
    due = schedule.due(GUESTS[1])
    schedule.called(GUESTS[1])
    assert schedule.due(GUESTS[1]) == due
