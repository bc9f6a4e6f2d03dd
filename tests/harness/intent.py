"""A node in logical time with a configuration and a Nova: what is wanted of its guests, and by whom."""

from __future__ import annotations

from pathlib import Path

from heartbeat.configuration import load
from heartbeat.discrepancies import Limits
from heartbeat.expectation import Answer, Question, Server
from heartbeat.message import Heard, Inventory, Unheard
from heartbeat.observation import Observation, Vanished
from heartbeat.policy import Policy
from heartbeat.terms import NO_INSTANCE, Consent, Instance
from tests.harness.memory_ledger import MemoryLedger
from tests.harness.observations import UUID
from tests.harness.simulation import Machine, Node

HOST = "compute-1"
ROUND = 60.0  # seconds between two rounds with Nova, and between two complete lists of libvirt's


def governed(folder: Path, text: str) -> tuple[Policy, Limits | None]:
    """What the owner is given of a configuration file with this text."""
    path = folder / "ours.conf"
    path.write_text(f"[masakari]\ncredentials = {folder}/none\n{text}")
    config = load(str(path))
    limits = Limits(HOST, config.number("nova.dwell"), config.number("breaker.share"), 3)
    return Policy(config), limits if config["nova.enabled"] else None


class Cloud:
    """A node, and the Nova that has its guests.

    servers: Nova's word, by uuid; a test changes it. answers: whether it answers. instances: what stands in domains.
    shut: domains that are shut off, and why.
    """

    def __init__(self, folder: Path, text: str, *machines: Machine, ledger: MemoryLedger | None = None) -> None:
        policy, self._limits = governed(folder, text)
        self.node = Node(*machines, timing=policy.timing, ledger=ledger)
        self.node.owner.govern(policy, self._limits)
        self._folder = folder
        self.servers: dict[str, Server] = {}
        self.instances: dict[str, Instance] = {}
        self.shut: dict[str, Observation] = {}
        self.answers = True
        self.questions: list[Question] = []

    def server(self, uuid: str = UUID, host: str = HOST, state: str = "active", task: str = "", up: bool | None = True,
               consent: Consent = Consent()) -> None:  # noqa: B008
        self.servers[uuid] = Server(uuid, host, state, task, up, consent, 0.0)

    def reload(self, text: str) -> None:
        policy, self._limits = governed(self._folder, text)
        self.node.owner.govern(policy, self._limits)

    def list(self) -> None:
        """libvirt's complete list."""
        found = {}
        for uuid, machine in self.node.machines.items():
            seen = machine.seen()
            found[uuid] = seen._replace(guest=seen.guest._replace(instance=self.instances.get(uuid, NO_INSTANCE)))
        self.node.post(Inventory({**found, **self.shut}))

    def ask(self) -> None:
        """A round with Nova: its word arrives a moment after it was asked."""
        question = self.node.owner.question()
        if question is None:
            return
        self.questions.append(question)
        if not self.answers:
            self.node.post(Unheard("Nova answers 503"))
            return
        asked = self.node.now
        whole = not question.since
        mine = tuple(it._replace(asked=asked) for it in self.servers.values() if it.host == HOST)
        unknown = Server("", "", "deleted", "", None, Consent(), asked)
        singles = tuple(
            self.servers.get(uuid, unknown)._replace(uuid=uuid, asked=asked) for uuid in question.singles
        )
        self.node.post(Heard(Answer(asked, whole, mine, singles, "2026-11-20T05:00:00Z")), 0.3)

    def run(self, seconds: float) -> Cloud:
        """Time, with a list of libvirt's and a round with Nova in each minute."""
        end = self.node.now + seconds
        while self.node.now < end:
            self.list()
            self.node.run(1)
            self.ask()
            self.node.run(min(ROUND - 1, max(end - self.node.now, 0.01)))
        return self

    def vanish(self, uuid: str = UUID) -> None:
        """The domain is gone from libvirt; nobody says why."""
        del self.node.machines[uuid]
        self.node.about(Vanished(), uuid=uuid)

    @property
    def recorded(self) -> list[tuple[str, str]]:
        return [(it.verdict, it.action) for it in self.node.ledger.opened]
