"""Keeps recoveries because of health checks back while too many guests are bad at once. Owner loop only."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Callable

from heartbeat.condition import Limits
from heartbeat.health.definition import Check
from heartbeat.health.outbreak import early, lag, outbreak
from heartbeat.health.patient import Patient
from heartbeat.incident import RECOVER

log = logging.getLogger(__name__)


class Breaker:
    """patients: the guests that have checks. limits: as they are set now. why: it has tripped, or "". broken: why no
    check is made at all, or ""."""

    def __init__(self, patients: Mapping[str, Patient]) -> None:
        self._patients = patients
        self.limits: Callable[[], Limits] = Limits
        self.why = self.broken = ""
        self._suspected: dict[str, float] = {}  # since when a guest is bad by a check that may have it recovered
        self._watched = 0  # how many have such a check
        self._released = float("-inf")

    @property
    def trouble(self) -> str:
        """Why nobody is recovered because of a health check, for people; "" if nothing is against it."""
        return self.broken or (self.why if self.why and self.limits().hold else "")

    def suspect(self, patient: Patient) -> None:
        """A run of a check has ended, or its checks are others."""
        begun = [
            known.begun
            for check in patient.checks
            if check.action == RECOVER and (known := patient.conditions.get(check.name)) and known.begun is not None
        ]
        if begun:
            self._suspected[patient.uuid] = min(begun)
        else:
            self.forget(patient.uuid)

    def forget(self, uuid: str) -> None:
        self._suspected.pop(uuid, None)

    def step(self, now: float) -> None:
        """Once a turn, and whenever somebody is about to be recovered."""
        if not (self._suspected or self.why):
            return
        limits, before = self.limits(), self.why
        checks = {it for uuid in self._suspected for it in self._patients[uuid].checks if it.action == RECOVER}
        self._watched = sum(any(it.action == RECOVER for it in patient.checks) for patient in self._patients.values())
        longest = max(map(lag, checks), default=0.0)
        self.why = outbreak(self._suspected, self._watched, now, limits, longest, bool(before))
        if self.why and not before:
            word = "; recoveries because of them wait" if limits.hold else "; reported all the same, as set"
            log.warning("%s%s", self.why, word)
        elif before and not self.why:
            self._released = now
            log.info("the guests that became unhealthy together are healthy again, or judged one by one")

    def waits(self, uuid: str, recovering: Iterable[Check], now: float) -> bool:
        """Whether the recovery of a guest has to wait, or it cannot be said yet. recovering: the checks because of
        which it is to be recovered."""
        if not self.limits().hold:
            return False
        if not self.why:
            self.step(now)
        known = self._patients[uuid].conditions
        begun = [(check, known[check.name].begun) for check in recovering]
        # Those that are left when the others are well again may just not have been looked at since.
        return bool(self.why) or all(
            now < self._released + lag(check) or early(check, at, self._watched, now, self.limits())
            for check, at in begun if at is not None
        )  # fmt: skip
