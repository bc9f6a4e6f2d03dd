"""The guests of one host over a real ledger, without libvirt and without the owner loop."""

from __future__ import annotations

from heartbeat.budget import Budget
from heartbeat.guests import Guests
from heartbeat.incident import RECORD, RECOVER, Incident
from heartbeat.ledger import Ledger
from heartbeat.observation import Answered, Asked, Observation, Sampled
from heartbeat.probe import Answer
from tests.harness.observations import FIT, OPENED, OTHER, TIMING, UUID, sample


class Host:
    """The guests with a real ledger, and what they asked for."""

    def __init__(self, directory: str) -> None:
        self.directory, self.now = directory, 0.0
        self.begin()

    def begin(self) -> None:
        """As after a kill: the old ledger is just left."""
        self.ledger = Ledger(self.directory)
        self.asks: list[str] = []
        self.looks: list[str] = []
        self.opened: list[Incident] = []
        self.guests = Guests(
            self.ledger, lambda: OPENED, self.asks.append, self.looks.append, self.opened.append,
            lambda: {RECOVER: ["masakari"], RECORD: []}, Budget(),
        )

    def tell(self, *observations: Observation, uuid: str = UUID, after: float = 0.0) -> None:
        self.now += after
        for observation in observations:
            self.guests.observe(uuid, observation, self.now, FIT, TIMING)

    def wake(self, after: float) -> set[str]:
        self.now += after
        return self.guests.wake(self.now, FIT, TIMING)

    def inventory(self, **found: Observation) -> None:
        uuids = {"one": UUID, "two": OTHER}
        self.guests.inventory({uuids[name]: it for name, it in found.items()}, self.now, FIT, TIMING)

    def answers(self, answer: Answer = Answer.ALIVE, takes: float = 0.0, uuid: str = UUID) -> None:
        asked = self.now
        self.tell(Asked(), uuid=uuid)
        self.tell(Answered(answer, asked), uuid=uuid, after=takes)

    def hangs(self) -> None:
        for _ in range(4):
            self.answers(Answer.SILENT, 5)
            self.tell(Sampled(sample(self.now)))

    def states(self) -> list[str]:
        return [watch.state for watch in self.guests.watches.values()]
