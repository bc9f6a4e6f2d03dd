"""Whatever the owner loop does in whatever order, the schedule does what a list of wishes would."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from heartbeat.alarm import NEVER
from heartbeat.schedule import PATIENCE, Schedule

GUESTS = [f"25efc0bf-1659-4c83-b4e6-{number:012}" for number in range(6)]
INTERVAL, SLOTS, AGAIN = 10.0, 3, 2
guests = some.sampled_from(GUESTS)


class Wishes(RuleBasedStateMachine):
    """due: of each guest that waits. silent: those whose last question that returned was not answered.
    out: of each guest that is being asked, whether it is asked on (None: not), and whether at once.
    called: the guests to which a call is out; their questions that fall due wait in `due`."""

    def __init__(self) -> None:
        super().__init__()
        self.real, self.now = Schedule(INTERVAL, SLOTS, AGAIN), 0.0
        self.due: dict[str, float] = {}
        self.silent: set[str] = set()
        self.out: dict[str, bool | None] = {}
        self.called: set[str] = set()

    def own_place(self, uuid: str) -> float:
        """The next time at which the schedule would ask this guest in every round."""
        alone = Schedule(INTERVAL, 1, 1)
        alone.add(uuid, self.now)
        return alone.due(uuid)

    @rule(seconds=some.sampled_from([0.0, 0.01, 0.3, 1.0, 5.0, 10.0, 31.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(uuid=guests)
    def add(self, uuid: str) -> None:
        self.real.add(uuid, self.now)
        if uuid in self.out:
            self.out[uuid] = bool(self.out[uuid])
        else:
            self.due.setdefault(uuid, self.own_place(uuid))

    @rule(uuid=guests, silent=some.booleans())
    def soon(self, uuid: str, silent: bool) -> None:
        self.real.soon(uuid, self.now, silent)
        if uuid in self.out:
            self.out[uuid] = True
        else:
            self.due[uuid] = self.now
            (self.silent.add if silent else self.silent.discard)(uuid)

    @rule(uuid=guests)
    def remove(self, uuid: str) -> None:
        self.real.remove(uuid)
        self.due.pop(uuid, None)
        if uuid in self.out:
            self.out[uuid] = None
        else:
            self.silent.discard(uuid)

    @rule()
    def take(self) -> None:
        expected = self.next_now()
        assert self.real.take(self.now) == expected
        if expected:
            del self.due[expected]
            self.out[expected] = False

    @property
    def full(self) -> bool:
        return len(self.out) + len(self.called) >= SLOTS

    @property
    def room(self) -> bool:
        """For what may keep its slot for long."""
        return sum(uuid in self.silent for uuid in self.out) + len(self.called) < AGAIN

    def waiting(self) -> list[tuple[float, str]]:
        """Who can be asked as far as he is concerned, in order."""
        return sorted((at, uuid) for uuid, at in self.due.items() if uuid not in self.called)

    def next_now(self) -> str | None:
        if self.full:
            return None
        ready, room = [it for it in self.waiting() if it[0] <= self.now], self.room
        first = [uuid for _, uuid in ready if uuid not in self.silent]
        again = [(at, uuid) for at, uuid in ready if uuid in self.silent and room]
        nobody = not self.silent & self.out.keys()
        if again and (not first or (nobody and again[0][0] + PATIENCE * INTERVAL <= self.now)):
            return again[0][1]
        return first[0] if first else None

    @precondition(lambda self: self.out)
    @rule(chosen=some.integers(0, SLOTS), silent=some.booleans(), rounds=some.sampled_from([1, 3]))
    def returned(self, chosen: int, silent: bool, rounds: int) -> None:
        uuid = sorted(self.out)[chosen % len(self.out)]
        self.real.returned(uuid, self.now, silent, rounds)
        at_once = self.out.pop(uuid)
        (self.silent.add if silent and at_once is not None else self.silent.discard)(uuid)
        if at_once is not None:
            place = self.own_place(uuid)
            usual = place if place > self.now else self.now + INTERVAL
            self.due[uuid] = self.now if at_once else usual + (rounds - 1) * INTERVAL

    @rule(uuid=guests)
    def call(self, uuid: str) -> None:
        free = uuid not in self.out and uuid not in self.called
        expected = free and not self.full and self.room and self.next_now() is None
        assert self.real.call(uuid, self.now) is expected
        if expected:
            self.called.add(uuid)

    @rule(uuid=guests)
    def call_returned(self, uuid: str) -> None:
        self.real.called(uuid)
        self.called.discard(uuid)

    @invariant()
    def nobody_is_asked_and_called_at_a_time_and_slots_are_kept_for_who_may_answer(self) -> None:
        assert not self.out.keys() & self.called
        assert len(self.called) <= AGAIN
        assert all(self.real.busy(uuid) is (uuid in self.out or uuid in self.called) for uuid in GUESTS)

    @invariant()
    def it_is_as_wished(self) -> None:
        for uuid in GUESTS:
            assert (uuid in self.real) is (uuid in self.due or self.out.get(uuid) is not None)
            if uuid in self.due:
                assert abs(self.real.due(uuid) - self.due[uuid]) < 1e-6
            else:
                assert self.real.due(uuid) == NEVER
        assert not self.out.keys() & self.due.keys()
        assert len(self.out) + len(self.called) <= SLOTS
        late = {uuid for uuid, at in self.due.items() if at < self.now and uuid not in self.silent - self.called}
        assert self.real.overdue(self.now) >= late

    @invariant()
    def the_loop_wakes_when_somebody_can_be_asked_and_not_before(self) -> None:
        times = [at for at, uuid in self.waiting() if self.room or uuid not in self.silent]
        if self.full or not times:
            assert self.real.next_at() == NEVER
        else:
            assert abs(self.real.next_at() - min(times)) < 1e-6


TestWishes = Wishes.TestCase
TestWishes.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
