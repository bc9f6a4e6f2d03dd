"""A bounded set of threads for calls that block, each of which may be written off when its call does not return.

A thread cannot be killed. One whose call never comes back is left behind with whatever it holds and replaced, so that
one stuck guest does not cost its neighbours a worker; how many may be left behind is bounded too.
"""

from __future__ import annotations

import logging
import threading
from queue import SimpleQueue
from typing import Callable, Generic, TypeVar

log = logging.getLogger(__name__)

Job = TypeVar("Job")


class Pool(Generic[Job]):
    """Runs `perform(slot, job)` for each job given to it; results are perform's own business.

    name: of the threads. size: slots, each served by one thread, started when first needed.
    spare: how many threads may be written off and not have returned yet.
    """

    def __init__(self, name: str, size: int, perform: Callable[[int, Job], None], spare: int = 0) -> None:
        self._name, self._size, self._perform, self._spare = name, size, perform, spare
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._slots: dict[int, threading.Thread] = {}
        self._open = 0  # jobs that were handed over and have not returned, those of written-off threads aside
        self._left: set[threading.Thread] = set()

    def put(self, job: Job) -> None:
        """Hand over a job; it waits if every slot is taken. The caller bounds how many wait."""
        with self._lock:
            self._open += 1
            self._jobs.put(job)
            self._staff()

    def write_off(self, slot: int) -> bool:
        """Give up the thread of a slot whose call does not return. False if too many were given up before."""
        with self._lock:
            self._left = {thread for thread in self._left if thread.is_alive()}
            if slot not in self._slots or len(self._left) >= self._spare:
                return False
            self._left.add(self._slots.pop(slot))
            self._open -= 1
            self._staff()  # jobs may wait for the slot
            return True

    def close(self) -> None:
        """Let idle threads end. Those that are in a call end with the process."""
        for _ in range(self._size):
            self._jobs.put(None)

    def _staff(self) -> None:
        """One more thread if there are more jobs than threads, and a slot for it. The caller holds the lock."""
        free = next((slot for slot in range(self._size) if slot not in self._slots), None)
        if free is not None and self._open > len(self._slots):
            thread = threading.Thread(target=self._serve, args=(free,), name=f"{self._name}-{free}", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                log.error("no further thread can be started; raise the limits on tasks and memory of this node")
                return
            self._slots[free] = thread  # it looks only when its first call has returned, and we hold the lock

    def _serve(self, slot: int) -> None:
        me = threading.current_thread()
        while True:
            job = self._jobs.get()
            if job is None:
                return
            try:
                self._perform(slot, job)
            except Exception:
                log.exception("a call of %s failed", me.name)  # the thread serves on: its slot is not given twice
            with self._lock:
                if self._slots.get(slot) is not me:
                    return  # written off meanwhile
                self._open -= 1
