"""Nodes on paper whose guests have health checks, and an operator's ways to ask about them."""

from __future__ import annotations

from collections.abc import Sequence

from heartbeat.health.definition import EXEC, Check
from heartbeat.incident import RECOVER
from tests.harness.observations import UUID
from tests.harness.simulation import Machine, Node

INTERVAL = 60.0
APP = Check("app", EXEC, ("/usr/bin/app-health",), interval=INTERVAL, failures=3, grace=0.0, action=RECOVER)
WELL, BAD = (0, "fine"), (1, "no answer from the database")


class Ward(Node):
    """A node on which every guest has these checks. begun: it has been watching for a while, and all is well."""

    woken = 0

    def __init__(self, *machines: Machine, checks: Sequence[Check] = (APP,), begun: bool = True, **about) -> None:
        super().__init__(*(machines or (Machine(),)), **about)
        self.has: dict[str, Sequence[Check]] = {}
        self.checks = checks
        self.owner.ward.checks = lambda uuid: self.has.get(uuid, self.checks)
        self.define(*checks)
        self.inventory()
        if begun:
            self.run(3 * INTERVAL)

    def define(self, *checks: Check) -> None:
        self.checks = checks
        self.owner.ward.govern(checks, self.now)

    def wake(self) -> None:
        self.woken += 1

    def machine(self, uuid: str = UUID) -> Machine:
        return self.machines[uuid]

    def says(self, code: int, text: str = "", uuid: str = UUID, after: float = 0.0) -> None:
        """From now on, the application says this."""
        at, before = self.now + after, self.machine(uuid).commands.application
        self.machine(uuid).commands.application = lambda when: (code, text) if when >= at else before(when)

    def status(self, name: str = "app", uuid: str = UUID) -> str:
        """How the guest is by a check; "" if that is not known."""
        known = {it.check.name: it.condition for it in self.owner.ward.known(uuid)}[name]
        return known.status.value if known else ""

    def text(self, name: str = "app", uuid: str = UUID) -> str:
        known = {it.check.name: it.condition for it in self.owner.ward.known(uuid)}[name]
        return known.text if known else ""

    def runs(self, uuid: str = UUID) -> list[float]:
        """When programs were begun in the guest."""
        return [at for name, at in self.machine(uuid).commands.said if name == "guest-exec"]

    def given(self, uuid: str = UUID) -> list[str]:
        return [name for name, _ in self.machine(uuid).commands.said]

    def confirmed(self, incident: int, acts: bool = True) -> str:
        """What a courier is answered right before it reports."""
        self.owner.call = lambda function: function()
        return self.owner.confirm(incident, acts)
