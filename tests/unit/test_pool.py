"""Threads for calls that block: as many as are needed, at most as many as there are slots, and stuck ones replaced."""

from __future__ import annotations

import threading

import pytest

from heartbeat.pool import Pool

DEADLINE = 30.0  # generous: nothing here waits for time


class Calls:
    """Calls that block until they are let go; counts who is in them."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.inside: dict[str, int] = {}  # job -> slot
        self.done: list[str] = []
        self.go: set[str] = set()

    def __call__(self, slot: int, job: str) -> None:
        with self.changed:
            self.inside[job] = slot
            self.changed.notify_all()
            assert self.changed.wait_for(lambda: job in self.go, DEADLINE)
            del self.inside[job]
            self.done.append(job)
            self.changed.notify_all()
        if job.startswith("raises"):
            raise RuntimeError(job)

    def release(self, *jobs: str) -> None:
        with self.changed:
            self.go.update(jobs)
            self.changed.notify_all()
            assert self.changed.wait_for(lambda: set(jobs) <= set(self.done), DEADLINE)

    def await_inside(self, *jobs: str) -> dict[str, int]:
        with self.changed:
            assert self.changed.wait_for(lambda: set(jobs) <= self.inside.keys(), DEADLINE), self.inside
            return dict(self.inside)


@pytest.fixture
def calls():
    calls = Calls()
    yield calls
    with calls.changed:
        calls.go = type("All", (), {"__contains__": lambda *_: True})()
        calls.changed.notify_all()


def threads(pool: Pool) -> int:
    return len(pool._slots)


def test_each_of_several_jobs_has_a_thread_and_a_slot_of_its_own(calls):
    pool = Pool("question", 3, calls)
    for job in "abc":
        pool.put(job)
    assert sorted(calls.await_inside("a", "b", "c").values()) == [0, 1, 2]


def test_no_more_jobs_run_than_there_are_slots_and_the_rest_come_later(calls):
    pool = Pool("question", 2, calls)
    for job in "abcd":
        pool.put(job)
    assert len(calls.await_inside("a", "b")) == 2
    calls.release("a")
    calls.await_inside("b", "c")
    calls.release("b", "c", "d")
    assert threads(pool) == 2


def test_a_thread_that_is_free_takes_the_next_job(calls):
    pool = Pool("question", 6, calls)
    for number in range(50):
        pool.put(f"job {number}")
        calls.release(f"job {number}")
        with pool._lock:
            pass
    assert threads(pool) <= 2  # the second only where a job came before the first thread was back


def test_a_job_that_comes_while_another_is_being_taken_does_not_wait_behind_it(calls):
    """The thread that has just taken a job is free no more, however early in its call it is."""
    pool = Pool("look", 2, calls)
    pool.put("first")
    calls.release("first")
    for number in range(100):
        pool.put(f"a {number}")
        pool.put(f"b {number}")
        calls.await_inside(f"a {number}", f"b {number}")
        calls.release(f"a {number}", f"b {number}")


def test_a_thread_that_is_written_off_is_replaced_also_for_a_job_that_waits_already(calls):
    pool = Pool("look", 1, calls, spare=1)
    pool.put("stuck")
    slot = calls.await_inside("stuck")["stuck"]
    pool.put("waits")
    assert pool.write_off(slot)
    assert calls.await_inside("waits")["waits"] == slot
    calls.release("waits")


def test_a_written_off_thread_that_comes_back_ends_and_takes_no_job_and_no_slot(calls):
    pool = Pool("look", 1, calls, spare=1)
    pool.put("stuck")
    calls.await_inside("stuck")
    stuck = pool._slots[0]
    assert pool.write_off(0)
    pool.put("next")
    calls.await_inside("next")
    calls.release("stuck")
    stuck.join(DEADLINE)
    assert not stuck.is_alive()
    pool.put("third")
    calls.release("next")
    calls.await_inside("third")
    assert threads(pool) == 1


def test_no_more_threads_are_left_behind_than_may_be(calls):
    pool = Pool("look", 2, calls, spare=2)
    for number in range(4):
        pool.put(f"stuck {number}")
    first = calls.await_inside("stuck 0", "stuck 1")
    assert all(pool.write_off(slot) for slot in set(first.values()))
    second = calls.await_inside("stuck 2", "stuck 3")
    assert not pool.write_off(second["stuck 2"])
    assert not pool.write_off(17)
    left = next(iter(pool._left))
    job = next(job for job in ("stuck 0", "stuck 1") if left.name == f"look-{first[job]}")
    calls.release(job)
    left.join(DEADLINE)
    assert pool.write_off(second["stuck 2"]), "one came back, so another may be left"


def test_a_call_that_raises_costs_no_thread(calls, caplog):
    pool = Pool("look", 1, calls)
    pool.put("raises")
    calls.release("raises")
    pool.put("next")
    calls.release("next")
    assert "a call of look-0 failed" in caplog.text
    assert threads(pool) == 1


def test_where_no_thread_is_to_be_had_the_job_waits_for_one(calls, monkeypatch, caplog):
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    pool = Pool("look", 2, calls)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        pool.put("a")
    assert "no further thread" in caplog.text
    pool.put("b")
    calls.release("a", "b")


def test_threads_that_are_free_end_when_the_pool_closes(calls):
    pool = Pool("look", 2, calls)
    pool.put("a")
    calls.release("a")
    thread = pool._slots[0]
    pool.close()
    thread.join(DEADLINE)
    assert not thread.is_alive()


def test_quick_calls_are_made_one_after_the_other_by_one_thread():
    served: list[int] = []
    over = threading.Event()

    def perform(slot: int, job: str) -> None:
        served.append(slot)
        if job == "last":
            over.set()

    pool = Pool("question", 6, perform, patience=DEADLINE)
    with pool._lock:    # as a whole batch comes before any thread has woken
        for number in range(20):
            pool.put(f"job {number}")
        pool.put("last")
    assert over.wait(DEADLINE)
    assert served == [0] * 21
    assert threads(pool) <= 2


def test_a_call_that_is_not_quick_holds_up_those_behind_it_for_no_longer_than_a_moment(calls):
    pool = Pool("question", 3, calls, patience=0.02)
    for job in ("silent", "silent too", "third", "fourth"):
        pool.put(job)
    assert sorted(calls.await_inside("silent", "silent too", "third").values()) == [0, 1, 2]
    calls.release("silent too")
    calls.await_inside("fourth")
    calls.release("silent", "third", "fourth")


def test_many_jobs_from_several_sides_are_each_done_once():
    done: list[int] = []
    lock, over = threading.Lock(), threading.Event()

    def perform(_: int, job: int) -> None:
        if job % 50 == 0:
            threading.Event().wait(0.01)
        with lock:
            done.append(job)
            if len(done) == 2000:
                over.set()

    pool = Pool("question", 4, perform, patience=0.002)

    def feed(first: int) -> None:
        for job in range(first, 2000, 4):
            pool.put(job)

    feeders = [threading.Thread(target=feed, args=(first,)) for first in range(4)]
    for feeder in feeders:
        feeder.start()
    assert over.wait(DEADLINE)
    assert sorted(done) == list(range(2000))
    pool.close()
