"""This node's condition: whether we are fit to judge its guests. Keeps what localhealth decides from one turn to the
next; only the owner loop touches it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import NamedTuple

from heartbeat import localhealth
from heartbeat.localhealth import Health, Reading
from heartbeat.pressure import Pressure
from heartbeat.watch import Fitness

log = logging.getLogger(__name__)


class Limits(NamedTuple):
    """fit: points up to which we judge. share: per cent of the guests, and number of them, above which their silence
    within `window` seconds is held against the host. hold: whether verdicts wait for that to pass, or are reported."""

    fit: int = 4
    share: float = 30.0
    number: int = 3
    window: float = 60.0
    hold: bool = True


class Condition:
    """limits: as they are set now. pressure: reads the host's."""

    def __init__(self, limits: Limits, pressure: Callable[[], Pressure]) -> None:
        self.limits = limits
        self.breaker = ""  # why it has tripped, or ""
        self.health = Health()
        self._pressure = pressure

    def step(self, now: float, late: float, canary: float | None, silent: Mapping[str, float], watched: int) -> None:
        """Once a turn. late: seconds that our loop was late since the last one. canary: see the hypervisor's.
        silent: since when each guest that does not answer has been silent. watched: how many guests should answer."""
        before, tripped = self.health, self.breaker
        self.health = localhealth.step(before, Reading(late, canary, *self._pressure()), now)
        limits = self.limits
        self.breaker = localhealth.tripped(
            silent, watched, now, limits.share, limits.number, limits.window, bool(tripped)
        )
        if self.health.points > before.points:
            log.warning("this host is unwell, so silence has to last %d times as long to count: %s",
                        self.health.stretch, self.health.why)  # fmt: skip
        elif before.points and not self.health.points:
            log.info("this host is well again; silence counts as it is set")
        if self.breaker and not tripped:
            log.warning("%s%s", self.breaker, "; verdicts wait" if limits.hold else "; reported all the same, as set")
        elif tripped and not self.breaker:
            log.info("the guests that fell silent together are heard again, or judged one by one")

    @property
    def trouble(self) -> str:
        """Why no verdict that causes a recovery is reached on silence, for people; "" if we are fit."""
        if self.health.points > self.limits.fit:
            return f"not fit to judge: {self.health.why}"
        return self.breaker if self.limits.hold else ""

    def fitness(self, link: str, held: str) -> Fitness:
        """link: why libvirt cannot be reached, or "". held: why the cluster wants no recovery, or ""."""
        why = f"libvirt: {link}" if link else self.trouble
        return Fitness(not why, why, held, stretch=float(self.health.stretch))
