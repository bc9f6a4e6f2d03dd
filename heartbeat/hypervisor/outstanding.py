"""The calls to agents that are out, and those that libvirt does not give back.

libvirt's deadlines are of the wall clock: when that is set back, a call that is out to a silent guest returns later by
as much, be it hours. That says nothing about the guest. Such a call is given up: it is answered for, its thread and its
connection are left to it, and the guest is not asked again before it is back, since a second call would wait for it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from heartbeat.hypervisor.link import Asker

log = logging.getLogger(__name__)

# Seconds that libvirt itself may take beside our timeout: 30 for another client's call to the same agent, and 5 for its
# own synchronisation, which it tries twice; and what a slow host may add to that.
OWN_WAIT, MARGIN = 40.0, 10.0
# Calls that may be given up at a time. Each keeps one of libvirtd's twenty workers from Nova.
LOST = 3


class Call:
    """One that is out. late: monotonic seconds, from when on it should have come back. asker: whose connection it is
    in, None before it is. abandon: answers for it."""

    def __init__(self, slot: int, uuid: str, late: float, abandon: Callable[[], None]) -> None:
        self.slot, self.uuid, self.late, self.abandon = slot, uuid, late, abandon
        self.asker: Asker | None = None


class Outstanding:
    """For any thread. clock: monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._out: dict[int, Call] = {}  # by slot
        self._lost: dict[str, Call] = {}  # given up, and not returned yet; by guest

    def begin(self, slot: int, uuid: str, timeout: float, abandon: Callable[[], None]) -> Call | None:
        """A call is about to be put. None: it must not be, since an earlier one to this guest is not back yet."""
        with self._lock:
            if uuid in self._lost:
                return None
            call = self._out[slot] = Call(slot, uuid, self._clock() + timeout + OWN_WAIT + MARGIN, abandon)
            return call

    def end(self, call: Call) -> bool:
        """A call is back. False: it was answered for already."""
        with self._lock:
            if self._out.get(call.slot) is call:
                del self._out[call.slot]
                return True
            self._lost.pop(call.uuid, None)
            return False

    def occupies(self, asker: Asker) -> bool:
        """Whether a call that was given up is still in this connection."""
        with self._lock:
            return any(call.asker is asker for call in self._lost.values())

    def expire(self, write_off: Callable[[int], bool]) -> None:
        """Give up what should have come back. write_off: leaves a slot's thread to its call, unless too many were."""
        now, given_up = self._clock(), []
        with self._lock:
            for slot, call in list(self._out.items()):
                if now > call.late and write_off(slot):
                    del self._out[slot]
                    self._lost[call.uuid] = call
                    given_up.append(call)
        for call in given_up:
            why = "if the wall clock was set back, it waits for as long; nothing is concluded from that"
            log.warning("guest %s: libvirt does not give back a question to its agent; %s", call.uuid, why)
            call.abandon()
