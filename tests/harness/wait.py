"""One way to wait: for a condition, with a deadline, and with a name for what was waited for."""
from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


class Overdue(AssertionError):
    """A condition did not come true in time. `last` is what it said last, or the exception that meant "not yet"."""

    def __init__(self, for_what: str, seconds: float, last: object) -> None:
        super().__init__(f"waited {seconds:g} s for {for_what}; last seen: {last!r}")
        self.for_what, self.seconds, self.last = for_what, seconds, last


def until(condition: Callable[[], Value], for_what: str, seconds: float = 30.0, every: float = 0.05,
          despite: tuple[type[BaseException], ...] = ()) -> Value:
    """Ask `condition` every `every` seconds until it is true, and return what it returned.

    despite: exceptions that mean "not yet"; any other one ends the waiting at once.
    Raises Overdue after `seconds`; the condition is asked once more after the deadline, so that a machine that
    stood still for a while is not taken for a condition that never came.
    """
    deadline = time.monotonic() + seconds
    while True:
        late = time.monotonic() >= deadline
        try:
            last: object = condition()
            if last:
                return last  # type: ignore[return-value]
        except despite as error:
            last = error
        if late:
            raise Overdue(for_what, seconds, last)
        time.sleep(every)
