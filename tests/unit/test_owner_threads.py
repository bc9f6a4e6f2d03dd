"""What other threads get from the owner loop. In real time: the loop itself runs in a thread."""

from __future__ import annotations

import threading
import time

import pytest

from heartbeat.message import About
from heartbeat.observation import Answered, Asked, Stopped
from heartbeat.probe import Answer
from heartbeat.watch import PAUSED
from tests.harness.observations import UUID, healthy
from tests.harness.simulation import Machine, Node


@pytest.fixture
def live():
    """A loop that turns in a thread, before a hypervisor on which nothing happens."""

    class Real(Node):
        def take(self, wait: float):
            return super(type(self.owner), self.owner)._take(wait)

    node = Real()
    node.owner._clock = time.monotonic
    node.owner.progress = time.monotonic()
    thread = threading.Thread(target=node.owner.run, args=(lambda: None,))
    thread.start()
    yield node.owner
    node.owner.stop()
    thread.join(30)
    assert not thread.is_alive()


def test_another_thread_has_a_function_run_in_the_loop(live):
    assert live.call(threading.get_ident, 30) != threading.get_ident()
    assert live.confirm(12345) == "gone"


def test_a_function_that_fails_fails_for_its_caller_and_the_loop_goes_on(live):
    with pytest.raises(ZeroDivisionError):
        live.call(lambda: 1 / 0, 30)
    assert live.call(lambda: 5, 30) == 5


def test_a_loop_that_does_not_answer_is_an_error_and_not_a_wait_for_ever(live):
    go = threading.Event()
    blocker = threading.Thread(target=live.call, args=(lambda: go.wait(30), 30))
    blocker.start()
    try:
        with pytest.raises(TimeoutError, match="owner loop does not answer"):
            live.call(lambda: None, timeout=0.05)
    finally:
        go.set()
        blocker.join()
    assert live.call(lambda: PAUSED, 30) == PAUSED


class Still(Node):
    """A loop that does not turn: what would wake it is in its queue."""

    def take(self, wait: float):
        return super(type(self.owner), self.owner)._take(wait)


def said(answer: Answer) -> About:
    return About(UUID, Answered(answer, 1.0, 0.002))


def test_a_healthy_answer_wakes_nobody_and_is_heard_before_whatever_does():
    owner = Still(Machine()).owner
    owner._post(said(Answer.ALIVE))
    owner._post(said(Answer.ALIVE))
    assert owner._queue.empty()
    owner._post(About(UUID, Stopped(True, "failed")))
    assert not owner._queue.empty()
    assert [type(message.observation) for message in owner._take(30)] == [Answered, Answered, Stopped]
    assert owner._take(0) == []


@pytest.mark.parametrize("answer", [answer for answer in Answer if answer is not Answer.ALIVE])
def test_any_other_answer_wakes_the_loop(answer):
    owner = Still(Machine()).owner
    owner._post(said(answer))
    assert not owner._queue.empty()


def test_an_answer_that_gives_back_a_slot_that_is_wanted_wakes_the_loop():
    owner = Still(Machine()).owner
    owner._eager = True
    owner._post(said(Answer.ALIVE))
    assert not owner._queue.empty()
    assert owner._take(30) == [said(Answer.ALIVE)]


def test_an_answer_that_came_before_the_loop_slept_keeps_it_awake():
    owner = Still(Machine()).owner
    owner._post(said(Answer.ALIVE))
    began = time.monotonic()
    assert owner._take(30) == [said(Answer.ALIVE)]
    assert time.monotonic() - began < 15


def test_an_answer_that_waited_to_be_heard_is_no_slow_one():
    story = healthy()
    asked = story.now
    story.tell(Asked())
    story.tell(Answered(Answer.ALIVE, asked, 0.004), 0.9)
    assert story.watch.answers.mean < 0.01
