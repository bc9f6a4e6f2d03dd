"""What the operator, a guest's owner and Nova want of guests, brought to their watches. Owner loop only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Callable

from heartbeat import expectation
from heartbeat.discrepancies import Limits
from heartbeat.expectation import Answer
from heartbeat.guests import Guests
from heartbeat.health.definition import Check
from heartbeat.holds import TASK
from heartbeat.observation import Tasked
from heartbeat.policy import Policy
from heartbeat.terms import Instance, Terms
from heartbeat.watch import Fitness, Timing


class Intentions:
    """plan: called with a guest that may have to be asked from now on, or no more. fitness: of a guest; with "", of
    this node. usual: the timing of guests of which nothing is known."""

    def __init__(
        self, guests: Guests, plan: Callable[[str, float], None], fitness: Callable[[str], Fitness], usual: Timing
    ) -> None:
        self._guests, self._plan, self._fitness, self._usual = guests, plan, fitness, usual
        self._policy: Policy | None = None

    def govern(self, policy: Policy, nova: Limits | None, now: float) -> None:
        """On which terms each guest is watched from now on, and how Nova's word is taken; None: it is not asked."""
        self._policy, self._usual = policy, policy.timing
        self._guests.choices.choose = self._terms
        self._guests.discrepancies.configure(nova)
        self._reconsider(list(self._guests.watches), now)
        self._tell_tasks(now)

    def heard(self, answer: Answer, now: float) -> list[str]:
        """Of which guests Nova says something that it did not say before."""
        found = self._guests.discrepancies.heard(answer)
        self._reconsider(found, now)
        self._tell_tasks(now)
        return found

    def unheard(self, why: str, now: float) -> None:
        self._guests.discrepancies.unheard(why)
        self._tell_tasks(now)

    def compare(self, now: float, link: str) -> None:
        """Nova's word with libvirt's. link: why libvirt cannot be reached, or ""."""
        self._guests.discrepancies.step(now, self._fitness, self._timing, link)

    def checks(self, uuid: str) -> tuple[Check, ...]:
        """The health checks of a guest that is here."""
        watch = self._guests.watches.get(uuid)
        if watch is None or self._policy is None or self._guests.timing(uuid, self._usual).exempt:
            return ()
        server = self._guests.discrepancies.server(uuid)
        return self._policy.checks_of(watch.guest, server.consent if server else None)

    def _timing(self, uuid: str) -> Timing:
        if uuid in self._guests.watches or self._policy is None:
            return self._guests.timing(uuid, self._usual)
        return self._terms(uuid, self._guests.discrepancies.attendance.instance(uuid), False)[1]  # one that is missing

    def _terms(self, uuid: str, instance: Instance, before: bool) -> tuple[Terms, Timing]:
        assert self._policy is not None
        server = self._guests.discrepancies.server(uuid)
        return self._policy.of(instance, server.consent if server else None, before)

    def _reconsider(self, uuids: Iterable[str], now: float) -> None:
        for uuid in self._guests.reconsider(uuids, now, self._fitness(""), self._usual):
            self._plan(uuid, now)

    def _tell_tasks(self, now: float) -> None:
        """What Nova is doing with guests, or that its word on it is too old to be a reason to wait."""
        watches = self._guests.watches
        for uuid, task in expectation.tasks(self._guests.discrepancies.known, list(watches), now).items():
            if task or any(hold.kind == TASK for hold in watches[uuid].holds):
                self._guests.observe(uuid, Tasked(task), now, self._fitness(""), self._usual)
