"""A bounded set of threads for calls that block, each of which may be written off when its call does not return.

A thread cannot be killed. One whose call never comes back is left behind with whatever it holds and replaced, so that
one stuck guest does not cost its neighbours a worker; how many may be left behind is bounded too.

Calls that return quickly are made one after the other by one thread: to wake another costs more than the call, and
libvirtd serves those that arrive together later than those that do not. A second thread stands by meanwhile, and goes
on where the first one is kept.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import Callable, Generic, TypeVar

log = logging.getLogger(__name__)

Job = TypeVar("Job")


class Pool(Generic[Job]):
    """Runs `perform(slot, job)` for each job given to it; results are perform's own business.

    name: of the threads. size: slots, each served by one thread, started when first needed.
    spare: how many threads may be written off and not have returned yet.
    patience: seconds that a job waits for the one before it, if a slot is free.
    """

    def __init__(
        self, name: str, size: int, perform: Callable[[int, Job], None], spare: int = 0, patience: float = 0.0
    ) -> None:
        self._name, self._size, self._perform, self._spare, self._patience = name, size, perform, spare, patience
        self._jobs: deque[Job] = deque()
        self._lock = threading.Condition()
        self._slots: dict[int, threading.Thread] = {}
        self._idle = 0
        self._next: threading.Thread | bool = False  # who takes the next job; True: somebody was called, and will see
        self._serving: threading.Thread | None = None  # who took the last one, and has not come back
        self._until = 0.0  # monotonic seconds: when the next job waits no longer for that
        self._closed = False
        self._left: set[threading.Thread] = set()

    def put(self, job: Job) -> None:
        """Hand over a job; it waits if every slot is taken. The caller bounds how many wait."""
        with self._lock:
            self._jobs.append(job)
            self._call()

    def write_off(self, slot: int) -> bool:
        """Give up the thread of a slot whose call does not return. False if too many were given up before."""
        with self._lock:
            self._left = {thread for thread in self._left if thread.is_alive()}
            if slot not in self._slots or len(self._left) >= self._spare:
                return False
            thread = self._slots.pop(slot)
            self._left.add(thread)
            if self._serving is thread:
                self._serving = None
            self._call()  # jobs may wait for the slot
            return True

    def close(self) -> None:
        """Let idle threads end. Those that are in a call end with the process."""
        with self._lock:
            self._closed = True
            self._lock.notify_all()

    def _call(self) -> None:
        """See to it that somebody takes the next job, if there is one. The caller holds the lock."""
        if not self._jobs or self._next:
            return
        free = next((slot for slot in range(self._size) if slot not in self._slots), None)
        if self._idle:
            self._next = True
            self._lock.notify()
        elif free is not None:
            thread = threading.Thread(target=self._serve, args=(free,), name=f"{self._name}-{free}", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                log.error("no further thread can be started; raise the limits on tasks and memory of this node")
                return
            self._slots[free] = thread  # it looks only when it has the lock, which is ours
            self._next = True

    def _serve(self, slot: int) -> None:
        me = threading.current_thread()
        with self._lock:
            while self._slots.get(slot) is me:  # else it was written off meanwhile
                if not (self._serving is me and self._jobs) and not self._await(me):
                    break
                job = self._jobs.popleft()
                self._serving, self._until = me, time.monotonic() + self._patience
                self._call()
                self._lock.release()
                try:
                    self._perform(slot, job)
                except Exception:
                    log.exception("a call of %s failed", me.name)  # the thread serves on: its slot is not given twice
                finally:
                    self._lock.acquire()

    def _await(self, me: threading.Thread) -> bool:
        """Until the next job is for this thread. False: the pool is closed."""
        if self._serving is me:
            self._serving = None
        while not self._closed:
            if not self._jobs or self._next not in (me, True, False):
                if self._next in (me, True):
                    self._next = False
                self._idle += 1
                self._lock.wait()
                self._idle -= 1
                continue
            self._next = me
            left = self._until - time.monotonic()
            if self._serving is None or left <= 0:
                self._next = False
                return True
            self._lock.wait(left)
        return False
