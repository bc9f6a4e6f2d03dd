"""A question put by a process of its own, which may become somebody else, hang or die, and nothing of it stays."""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import time
from typing import Callable, NoReturn

LONGEST = 2048  # bytes of an answer; a pipe takes that many at once, so that nobody has to wait for its reader
OPEN_FILES = 4096  # as many as the helper allows itself
REAPING, PAUSE = 1.0, 0.005  # seconds for a killed process to end, and between two looks


def answer(question: Callable[[], str], seconds: float) -> str:
    """What the question returned to a forked process, "" if it failed or took longer than that.

    To be called before any thread is started: of several threads only one would be in the child, with the locks of all.
    Raises OSError.
    """
    reading, writing = os.pipe()
    try:
        child = os.fork()
        if child == 0:
            _put(question, writing, seconds)
    except OSError:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    try:
        heard = os.read(reading, LONGEST) if select.select([reading], [], [], seconds)[0] else b""
    finally:
        os.close(reading)
        _end(child)
    return heard.decode("ascii", "replace")


def _put(question: Callable[[], str], writing: int, seconds: float) -> NoReturn:
    try:
        signal.alarm(math.ceil(seconds) + 1)  # should there be nobody left to kill it
        # Above all the lock, which this process would otherwise keep for a helper that was killed.
        os.closerange(3, writing)
        os.closerange(writing + 1, OPEN_FILES)
        os.write(writing, question().encode("ascii", "replace")[:LONGEST])
    finally:
        os._exit(0)


def _end(child: int) -> None:
    with contextlib.suppress(OSError):  # reaped by the kernel, where a caller had us ignore SIGCHLD
        os.kill(child, signal.SIGKILL)
        end = time.monotonic() + REAPING
        # One that hangs in the kernel dies as soon as it is let.
        while os.waitpid(child, os.WNOHANG)[0] == 0 and time.monotonic() < end:
            time.sleep(PAUSE)
