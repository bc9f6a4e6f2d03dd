"""What other threads get from the owner loop. In real time: the loop itself runs in a thread."""

from __future__ import annotations

import threading
import time

import pytest

from heartbeat.watch import PAUSED
from tests.harness.simulation import Node


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
