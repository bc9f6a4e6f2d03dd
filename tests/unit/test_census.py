"""What is counted step by step is what a walk over all guests would find, whatever happened to them."""

from __future__ import annotations

import random

import pytest

from heartbeat.budget import Budget
from heartbeat.guest import Channel
from heartbeat.guests import Guests
from heartbeat.incident import HUNG, RECORD, RECOVER, SUSPENDED
from heartbeat.observation import (
    Answered,
    Asked,
    ChannelChanged,
    Gap,
    Paused,
    Rebooted,
    Resumed,
    Sampled,
    Seen,
    Stopped,
    Vanished,
)
from heartbeat.probe import Answer
from heartbeat.watch import SLOW, Watch
from tests.harness.memory_ledger import MemoryLedger
from tests.harness.observations import FIT, NEXT_RUN, OPENED, RUN, TIMING, UNFIT, guest, incident, sample

UUIDS = [f"25efc0bf-1659-4c83-b4e6-{number:012}" for number in range(4)]
STEPS = ("seen", "seen", "again", "absent", "alive", "alive", "silent", "hang", "hang", "dead", "stopped", "stalled",
         "resumed", "rebooted", "closed", "gap", "vanished", "list", "wake", "disk", "unfit", "asked")  # fmt: skip


class Walker:
    """The guests, and the same questions answered by looking at each of them. Some were known to an earlier life."""

    def __init__(self, recoveries: int) -> None:
        old = [incident(HUNG, RECOVER, number=1, uuid=UUIDS[0]), incident(HUNG, RECORD, number=2, uuid=UUIDS[1])]
        self.ledger, self.now, self.fitness = MemoryLedger(dict.fromkeys(UUIDS[:3], RUN), old), 0.0, FIT
        self.guests = Guests(
            self.ledger, lambda: OPENED, lambda _: None, lambda _: None, lambda _: None,  # type: ignore[arg-type]
            dict, Budget(recoveries),
        )

    def step(self, what: str, uuid: str, after: float) -> None:
        self.now += after
        guests, about, moment = self.guests, guest(uuid=uuid), (self.fitness, TIMING)
        one = {
            "seen": Seen(about, RUN), "again": Seen(about, NEXT_RUN),
            "absent": Seen(guest(Channel.ABSENT, uuid=uuid), RUN), "dead": Stopped(True, "failed"),
            "stopped": Stopped(False, "shutdown"), "stalled": Paused("paused: ioerror", "ioerror"),
            "resumed": Resumed(), "rebooted": Rebooted(), "closed": ChannelChanged(False),
            "gap": Gap("late", False), "vanished": Vanished(), "asked": Asked(),
        }.get(what)  # fmt: skip
        if one:
            guests.observe(uuid, one, self.now, *moment)
        elif what in ("alive", "silent", "hang"):
            for _ in range(4 if what == "hang" else 1):
                asked = self.now
                guests.observe(uuid, Asked(), asked, *moment)
                self.now += 5
                answer = Answer.ALIVE if what == "alive" else Answer.SILENT
                guests.observe(uuid, Answered(answer, asked), self.now, *moment)
                guests.observe(uuid, Sampled(sample(self.now)), self.now, *moment)
        elif what == "list":
            guests.inventory({uuid: Seen(about, RUN)}, self.now, *moment)
        elif what == "wake":
            guests.wake(self.now, *moment)
        elif what == "disk":
            self.ledger.broken = not self.ledger.broken
        elif what == "unfit":
            self.fitness = UNFIT if self.fitness is FIT else FIT

    def check(self) -> None:
        guests, watches = self.guests, self.guests.watches
        assert guests.watched() == sum(it.armed and (it.running or it.stalled is not None) for it in watches.values())
        late = {uuid: since for uuid, it in watches.items() if (since := self._since(it)) is not None}
        assert guests.suspected(self.now) == late
        unseen = [it for uuid, it in guests._incidents.items() if uuid not in watches]
        found = [*unseen, *(it.incident for it in watches.values() if it.incident)]
        for action, said in ((RECOVER, guests.failed()), (SUSPENDED, guests.suspended())):
            assert said == sorted(it.uuid for it in found if it.action == action)
        for number in (1, 2, *(it.id for it in self.ledger.opened)):
            holder = [it for it in watches.values() if it.incident and it.incident.id == number]
            assert guests.holding(number) is (holder[0] if holder else None)
        assert guests.next_at() == min(
            [guests._wakes.next_at(), *(at for at, _, _ in guests._postponed.values())]
        ), "whatever the ledger did not take is tried again in time"

    def _since(self, it: Watch) -> float | None:
        late = it.asked if it.armed and it.asked is not None and self.now - it.asked > 2 * SLOW else None
        return next((at for at in (it.silent_from, it.stalled, late) if at is not None), None)


@pytest.mark.parametrize("seed", range(12))
def test_what_is_counted_step_by_step_is_what_a_walk_over_all_guests_finds(seed):
    chance = random.Random(seed)
    walker = Walker(recoveries=seed % 3)
    walker.check()
    for _ in range(400):
        walker.step(chance.choice(STEPS), chance.choice(UUIDS), chance.choice((0, 0.3, 1, 20, 70)))
        walker.check()


def test_who_has_failed_is_put_in_order_once_and_not_in_each_turn():
    walker = Walker(3)
    walker.step("seen", UUIDS[2], 0)
    walker.step("dead", UUIDS[2], 1)
    failed = walker.guests.failed()
    assert failed == [UUIDS[0], UUIDS[2]]
    walker.step("seen", UUIDS[3], 1)
    walker.step("alive", UUIDS[3], 1)
    walker.step("alive", UUIDS[3], 1)
    assert walker.guests.failed() is walker.guests.failed()
    assert failed == [UUIDS[0], UUIDS[2]], "what was handed out does not change any more"
