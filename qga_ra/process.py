"""Other processes: each one and the same for as long as we look at it, though pids come back."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterable

from qga_ra import holder

PAUSE = 0.02  # s between two looks at what cannot be waited for
GONE = ("?", "Z", "X")


class Process:
    """Use as a context manager. Raises ProcessLookupError if there is none.

    Where the kernel gives no handle, for want of descriptors, memory or the call itself, the pid and the time of its
    start say who it is; between a look and a signal it might then change hands, in some microseconds.
    """

    def __init__(self, pid: int) -> None:
        self.pid, self.handle = pid, -1
        try:
            self.handle = os.pidfd_open(pid)
        except ProcessLookupError:
            raise
        except OSError:
            pass
        now = holder.status(pid)
        self._started = now.started if now else -1

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        if self.handle >= 0:
            os.close(self.handle)

    @property
    def state(self) -> str:
        """A letter, as in ps; "?" if it is gone."""
        now = holder.status(self.pid)
        return now.state if now and now.started == self._started else "?"

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self.handle >= 0:
                with contextlib.suppress(PermissionError):  # the call is forbidden, not the signal: we are root
                    return signal.pidfd_send_signal(self.handle, number)
            if self.state not in GONE:
                os.kill(self.pid, number)


def note(path: str, pid: int) -> None:
    """Writes down who has been started, for a stop after we were killed: the helper takes a while to get to its lock.

    It is no failure if that cannot be: a helper whose starter is gone ends by itself before it is ready.
    """
    now = holder.status(pid)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with contextlib.suppress(OSError):
        file = os.open(path, flags, 0o600)
        try:
            os.write(file, f"{pid} {now.started if now else 0}\n".encode())
        finally:
            os.close(file)


def noted(path: str) -> list[int]:
    """The process that was written down there, if it is still the same one and alive."""
    found = holder.record(path)
    now = holder.status(found[0]) if found else None
    return [found[0]] if found and now and now.started == found[1] and now.state not in GONE else []


def session(pid: int) -> int:
    """The session of a process, -1 if that cannot be known."""
    try:
        return os.getsid(pid)
    except OSError:
        return -1


def alive(processes: Iterable[Process], until: float) -> list[Process]:
    """Those that have not ended at that moment (monotonic); returns at once when all have."""
    left = list(processes)
    while left and time.monotonic() < until:
        over = _ended(left, until)
        left = [process for process in left if process.handle not in over]
        if not over or -1 in over:
            left = [process for process in left if process.state not in GONE]
    return left


def _ended(processes: list[Process], until: float) -> set[int]:
    """The handles of some that have ended, sooner or later; -1 if there are others, which have to be looked at."""
    poll = select.poll()
    for process in processes:
        if process.handle >= 0:
            poll.register(process.handle, select.POLLIN)
    blind = any(process.handle < 0 for process in processes)
    try:
        milliseconds = PAUSE * 1000 if blind else max(1.0, (until - time.monotonic()) * 1000)
        return {handle for handle, _ in poll.poll(milliseconds)} | ({-1} if blind else set())
    except OSError:  # no memory
        time.sleep(PAUSE)
        return {-1}


def sweep(sessions: set[int], until: float) -> None:
    """Ends what helpers that were killed have left in their sessions: commands that hang, a sender amid a report.

    sessions: of helpers that have ended. No other process can lead one of these as long as somebody is in it.
    """
    # A leader that lives is another's: its number was free, so nobody was left in the session that had it.
    ended = ((pid, holder.status(pid)) for pid in sessions)
    sessions = {pid for pid, now in ended if now is None or now.state in GONE}
    if not sessions:
        return
    with contextlib.ExitStack() as stack:
        left: list[Process] = []
        for pid in [int(name) for name in os.listdir(holder.PROC) if name.isdigit()]:
            if pid not in sessions and session(pid) in sessions:
                with contextlib.suppress(ProcessLookupError):
                    process = stack.enter_context(Process(pid))
                    if session(pid) in sessions:  # it is still the one that was seen
                        left.append(process)
        for process in left:
            process.signal(signal.SIGKILL)
        alive(left, until)
