"""Who is asked when. No libvirt and no clock of its own: `now` is monotonic seconds, given by the owner loop."""

from __future__ import annotations

import zlib

from heartbeat.alarm import NEVER, Alarms

# libvirtd adds workers only while free workers equal waiting calls, so calls that arrive together queue behind each
# other; apart by this many seconds they do not.
GAP = 0.01

USUAL, SOON, LEAVE = "usual", "soon", "leave"


class Schedule:
    """Spreads the guests over the interval, and never asks a guest that has not returned the last question.

    interval: seconds between two questions to one guest. slots: questions that may be out at a time.
    """

    def __init__(self, interval: float, slots: int) -> None:
        self.interval, self._slots = interval, slots
        self._waiting = Alarms()
        self._asked: dict[str, str] = {}  # question out -> what follows when it returns: usual, soon or leave
        self._free_from = 0.0

    def __contains__(self, uuid: str) -> bool:
        return uuid in self._waiting or self._asked.get(uuid, LEAVE) != LEAVE

    def add(self, uuid: str, now: float) -> None:
        """Begin to ask a guest, at its own place within the interval. One that is asked already keeps its place."""
        if uuid in self._asked:
            if self._asked[uuid] == LEAVE:
                self._asked[uuid] = USUAL
        elif uuid not in self._waiting:
            self._waiting.set(uuid, now + self._until_place(uuid, now))

    def soon(self, uuid: str, now: float) -> None:
        """Ask this guest next; if it is being asked, once more when that returns."""
        if uuid in self._asked:
            self._asked[uuid] = SOON
        else:
            self._waiting.set(uuid, now)

    def remove(self, uuid: str) -> None:
        """Ask no more. A question that is out occupies its slot until `returned`."""
        self._waiting.drop(uuid)
        if uuid in self._asked:
            self._asked[uuid] = LEAVE

    def take(self, now: float) -> str | None:
        """The guest to be asked now, if there is one and a slot is free. Its question is out until `returned`."""
        if now < self._free_from or len(self._asked) >= self._slots:
            return None
        uuid = self._waiting.take(now)
        if uuid is not None:
            self._asked[uuid] = USUAL
            self._free_from = now + GAP
        return uuid

    def returned(self, uuid: str, now: float, rounds: int = 1) -> None:
        """A question has come back; the guest is asked again at its usual place, or now if `soon` was called meanwhile.

        rounds: intervals until then. Guests that are known not to answer take more, or they would take the slots of
        those that do.
        """
        what = self._asked.pop(uuid, LEAVE)
        if what == SOON:
            self._waiting.set(uuid, now)
        elif what == USUAL:
            wait = self._until_place(uuid, now) or self.interval
            self._waiting.set(uuid, now + wait + (rounds - 1) * self.interval)

    def next_at(self) -> float:
        """When `take` is worth calling again; NEVER while every slot is taken or nobody waits."""
        head = self._waiting.next_at()
        return NEVER if len(self._asked) >= self._slots else max(head, self._free_from)

    def due(self, uuid: str) -> float:
        """When this guest is asked next, if a slot is free then; NEVER while a question to it is out, or if it is not
        asked at all."""
        return self._waiting.at(uuid)

    def _until_place(self, uuid: str, now: float) -> float:
        """Seconds until the guest's own place in the interval, the same place in every round."""
        share = zlib.crc32(uuid.encode()) / 2**32
        return (share * self.interval - now) % self.interval
