"""Steps that begin together, and end one by one or not at all: what each finds is told in order, and no longer than its
time is waited for any."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from queue import Empty, SimpleQueue
from typing import NamedTuple

from heartbeat.inspection.finding import FAILED, Finding
from heartbeat.settings import plain


class Step(NamedTuple):
    """seconds: that it may take, from the beginning of all. look: may find one thing after the other."""

    name: str
    seconds: float
    look: Callable[[], Iterable[Finding]]


def follow(steps: Sequence[Step], tell: Callable[[Finding], None]) -> None:
    """Runs all; tells each finding once. A step that does not end is told of, and its thread is left behind."""
    begun, found = time.monotonic(), []
    for step in steps:
        queue: SimpleQueue[Finding | None] = SimpleQueue()
        threading.Thread(target=_run, args=(step, queue), daemon=True).start()
        found.append(queue)
    for step, queue in zip(steps, found):
        try:
            while (finding := queue.get(timeout=max(0.0, begun + step.seconds - time.monotonic()))) is not None:
                tell(finding)
        except Empty:
            why = f"it was not over after {step.seconds:g} s"
            tell(Finding(FAILED, step.name, why, "look for what hangs on this host: ps -eo pid,stat,wchan,cmd", 1))


def within(seconds: float, look: Callable[[], str]) -> str:
    """What `look` returns, or a word about the time if it does not return; its thread is left behind."""
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(look()), daemon=True)
    thread.start()
    thread.join(seconds)
    return found[0] if found else f"no answer within {seconds:g} s"


def _run(step: Step, queue: SimpleQueue[Finding | None]) -> None:
    try:
        for finding in step.look():
            queue.put(finding)
    except Exception as error:
        why = f"a defect of this check: {plain(repr(error), 200)}"
        queue.put(Finding(FAILED, step.name, why, "report it, with the version of masakari-qga", 1))
    queue.put(None)
