"""Who is asked when. No libvirt and no clock of its own: `now` is monotonic seconds, given by the owner loop."""

from __future__ import annotations

import zlib

from heartbeat.alarm import NEVER, Alarms

# Seconds. Guests whose turns fall together are asked together: to wake for each would cost more than the question.
TICK = 1.0
# Intervals for which a guest that was silent gives way to those that may answer.
PATIENCE = 3

USUAL, SOON, LEAVE = "usual", "soon", "leave"


class Schedule:
    """Spreads the guests over the interval, and never asks a guest that has not returned the last question.

    A question to a guest that left the last one unanswered will keep its slot for seconds. It waits for those to guests
    that may answer, though not for ever, and never takes all slots, so that whoever hangs next is noticed as soon as
    the first.

    A call of another kind takes a slot as well, and only what no question wants: see `call`.

    interval: seconds between two questions to one guest. slots: questions and calls that may be out at a time. again:
    how many of them may be calls, or questions to guests that were silent before: all that may keep a slot for long.
    """

    def __init__(self, interval: float, slots: int, again: int) -> None:
        self.interval, self._slots, self._again = interval, slots, again
        self._waiting, self._waiting_again = Alarms(), Alarms()
        self._silent: set[str] = set()  # the last question that returned was not answered
        self._asked: dict[str, str] = {}  # question out -> what follows when it returns: usual, soon or leave
        self._called: dict[str, float] = {}  # call out -> when the guest is to be asked; NEVER: it is not
        self._paces: dict[str, float] = {}  # of guests whose interval is not the usual one
        self.starved = False  # calls have waited for too long: one at a time goes before guests that were silent

    def __contains__(self, uuid: str) -> bool:
        waits = uuid in self._queue(uuid) or self._called.get(uuid, NEVER) != NEVER
        return waits or self._asked.get(uuid, LEAVE) != LEAVE

    def pace(self, uuid: str, interval: float) -> None:
        """Seconds between two questions to this guest, from the next one on."""
        if interval != self.interval:
            self._paces[uuid] = interval
        elif self._paces:
            self._paces.pop(uuid, None)

    def add(self, uuid: str, now: float) -> None:
        """Begin to ask a guest, at its own place within the interval. One that is asked already keeps its place."""
        if uuid in self._asked:
            if self._asked[uuid] == LEAVE:
                self._asked[uuid] = USUAL
        elif uuid in self._called:
            if self._called[uuid] == NEVER:
                self._called[uuid] = now + self._until_place(uuid, now)
        elif uuid not in self._queue(uuid):
            self._queue(uuid).set(uuid, now + self._until_place(uuid, now))

    def soon(self, uuid: str, now: float, silent: bool = False) -> None:
        """Ask this guest next; if it is being asked, once more when that returns. silent: it was, and may be still."""
        if uuid in self._asked:
            self._asked[uuid] = SOON
            return
        self._mark(uuid, silent)
        if uuid in self._called:
            self._called[uuid] = now
        else:
            self._queue(uuid).set(uuid, now)

    def remove(self, uuid: str) -> None:
        """Ask no more. A question that is out occupies its slot until `returned`."""
        self._queue(uuid).drop(uuid)
        self._paces.pop(uuid, None)
        if uuid in self._asked:
            self._asked[uuid] = LEAVE
            return
        self._silent.discard(uuid)
        if uuid in self._called:
            self._called[uuid] = NEVER

    def take(self, now: float) -> str | None:
        """The guest to be asked now, if there is one and a slot is free. Its question is out until `returned`."""
        if self.full:
            return None
        patience = self._waiting_again.next_at() + PATIENCE * self.interval
        room = self._room_again()
        # One slot of all is enough for them.
        passed_over = room and patience <= now and self._silent.isdisjoint(self._asked)
        uuid = None if passed_over else self._waiting.take(now)
        if uuid is None and room:
            uuid = self._waiting_again.take(now)
        if uuid is not None:
            self._asked[uuid] = USUAL
        return uuid

    def returned(self, uuid: str, now: float, silent: bool = False, rounds: int = 1) -> None:
        """A question has come back; the guest is asked again at its usual place, or now if `soon` was called meanwhile.

        silent: it was not answered. rounds: intervals until then.
        """
        what = self._asked.pop(uuid, LEAVE)
        self._mark(uuid, silent and what != LEAVE)
        if what == SOON:
            self._queue(uuid).set(uuid, now)
        elif what == USUAL:
            interval = self._paces.get(uuid, self.interval)
            wait = self._until_place(uuid, now) or interval
            self._queue(uuid).set(uuid, now + wait + (rounds - 1) * interval)

    def roomy(self, now: float) -> bool:
        """Whether there is a slot for a call: one that no question wants now, and none of those that are kept for
        guests that may answer."""
        if self.starved and not self._called:
            return not self.full and self._out_again() < self._again and self._waiting.next_at() > now
        return not self.full and self._room_again() and self.next_at() > now

    def call(self, uuid: str, now: float) -> bool:
        """Take a slot for a call to this guest until `called`. False: there is none, or something is out to it already.
        A question to it that falls due meanwhile waits for the call, and is put as soon as that is back."""
        if uuid in self._asked or uuid in self._called or not self.roomy(now):
            return False
        queue = self._queue(uuid)
        self._called[uuid] = queue.at(uuid)
        queue.drop(uuid)
        return True

    def called(self, uuid: str) -> None:
        """A call has come back."""
        if uuid in self._called:
            self._queue(uuid).set(uuid, self._called.pop(uuid))

    def busy(self, uuid: str) -> bool:
        """Whether a question or a call is out to this guest."""
        return uuid in self._asked or uuid in self._called

    @property
    def full(self) -> bool:
        """Whether every slot is taken."""
        return len(self._asked) + len(self._called) >= self._slots

    @property
    def out(self) -> int:
        """Questions that have not returned."""
        return len(self._asked)

    def next_at(self) -> float:
        """When `take` is worth calling again; NEVER while every slot is taken or nobody waits."""
        head = self._waiting.next_at()
        if self._room_again():
            head = min(head, self._waiting_again.next_at())
        return NEVER if self.full else head

    def overdue(self, since: float) -> frozenset[str]:
        """The guests that may answer and should have been asked before `since`, but found no slot."""
        waiting = self._waiting.before(since)
        return waiting | {uuid for uuid, due in self._called.items() if due < since} if self._called else waiting

    def due(self, uuid: str) -> float:
        """When this guest is asked next, if a slot is free then; NEVER while a question to it is out, or if it is not
        asked at all."""
        return self._called[uuid] if uuid in self._called else self._queue(uuid).at(uuid)

    def _queue(self, uuid: str) -> Alarms:
        return self._waiting_again if uuid in self._silent else self._waiting

    def _mark(self, uuid: str, silent: bool) -> None:
        if silent != (uuid in self._silent):
            self._queue(uuid).drop(uuid)
            self._silent ^= {uuid}

    def _room_again(self) -> bool:
        return self._out_again() + max(len(self._called), self.starved) < self._again

    def _out_again(self) -> int:
        return sum(uuid in self._silent for uuid in self._asked) if self._silent else 0

    def _until_place(self, uuid: str, now: float) -> float:
        """Seconds until the guest's own place in the interval, the same tick in every round."""
        share, interval = zlib.crc32(uuid.encode()) / 2**32, self._paces.get(uuid, self.interval)
        return (share * interval // TICK * TICK - now) % interval
