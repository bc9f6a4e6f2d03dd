"""What the results of health checks amount to: which guests have failed by them, and the incidents of that.

Only the owner loop touches this. Its incidents are of guests that answer, so they stand beside those of the guests'
watches and displace nothing there. A guest has at most one, whatever number of its checks have failed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Callable

from heartbeat.conclusion import recovery
from heartbeat.health import account, condition
from heartbeat.health.breaker import Breaker
from heartbeat.health.definition import Check
from heartbeat.health.patient import Patient
from heartbeat.health.progress import Status
from heartbeat.incident import (
    CAREFUL,
    IGNORE,
    OBSERVED,
    RECORD,
    RECOVER,
    SUSPENDED,
    UNHEALTHY,
    Change,
    Close,
    Incident,
    Open,
)
from heartbeat.ledger import AlreadyOpenError, Ledger, LedgerError, Recipients
from heartbeat.watch import Fitness, Timing, Watch

log = logging.getLogger(__name__)

RETRY = 1.0  # seconds until the ledger is tried again
# Seconds: a recovery rests on a run that ended no longer ago.
FRESH = 10.0
HEALTHY_AGAIN, REMOVED = "healthy again", "the check that it was about is not made any more"


class Diagnoses:
    """ledger, wall, recipients, opened, closed, watches: as in Discrepancies. fitness, timing: of a guest. hindrance:
    why one may not be checked now, "" if it may.

    patients: the guests that have checks. unhealthy: the uuids of guests that have failed by one, in order; replaced,
    never changed.
    """

    def __init__(
        self,
        ledger: Ledger,
        wall: Callable[[], str],
        recipients: Callable[[], Recipients],
        opened: Callable[[Incident], None],
        closed: Callable[[], None],
        watches: Mapping[str, Watch],
    ) -> None:
        self._ledger, self._wall, self._recipients = ledger, wall, recipients
        self._opened, self._closed, self._watches = opened, closed, watches
        self.fitness: Callable[[str], Fitness] = lambda _: Fitness(False)
        self.timing: Callable[[str], Timing]
        self.hindrance: Callable[[str], str] = lambda _: ""
        self.patients: dict[str, Patient] = {}
        self.breaker = Breaker(self.patients)
        self.incidents = {it.uuid: it for it in ledger.open_incidents() if it.verdict == UNHEALTHY}
        # By guest, the checks that it has failed by and no healthy run has cleared; of an earlier life, too.
        self._accused = {uuid: account.named(it.evidence) for uuid, it in self.incidents.items()}
        self._pending: dict[str, str] = {}  # wait for us to be fit, for the breaker, for the ledger: why one is closed
        self._writable_at = 0.0
        self._counted = set(self._accused)
        self.unhealthy: tuple[str, ...] = tuple(sorted(self._counted))

    # What is learned.

    def learned(self, patient: Patient, check: Check, now: float) -> None:
        """One more run of a check has ended."""
        known, uuid = patient.conditions[check.name], patient.uuid
        if condition.failed(known, check):
            self._accused.setdefault(uuid, set()).add(check.name)
        elif known.status is Status.HEALTHY and uuid in self._accused:
            self._accused[uuid].discard(check.name)
        self.breaker.suspect(patient)
        self._settle(uuid, now)

    def forget(self, uuid: str) -> None:
        """All of its checks begin anew; what they said before stays as it is until they say something."""
        self.breaker.forget(uuid)
        if uuid not in self.incidents:
            self._accused.pop(uuid, None)
            self._count(uuid)

    def keep_only(self, patient: Patient, now: float) -> None:
        """The guest's checks are others than before."""
        if patient.uuid in self._accused:
            known = patient.uuid in self.incidents
            self._accused[patient.uuid] &= {it.name for it in patient.checks if known or it.name in patient.conditions}
        self.breaker.suspect(patient)
        self._settle(patient.uuid, now, REMOVED)

    def end(self, uuid: str, why: str, now: float) -> None:
        """The guest is stopped or gone, or has no checks any more."""
        self._accused.pop(uuid, None)
        self.breaker.forget(uuid)
        self._settle(uuid, now, why)

    def step(self, now: float) -> None:
        """Once a turn."""
        self.breaker.step(now)
        for uuid, why in sorted(self._pending.items()):
            self._settle(uuid, now, why)

    def unrecovered(self, incident: Incident, why: str, now: float) -> None:
        """The recovery because of one of our incidents came to nothing: what still fails is reported anew, as long as
        the budget lasts."""
        if incident.action == RECOVER and self._failing(incident.uuid):
            self._record(incident.uuid, [Close(incident.id, why)], now)
            self._settle(incident.uuid, now)

    # What is asked.

    def holding(self, incident: int) -> Incident | None:
        return next((it for it in self.incidents.values() if it.id == incident), None)

    def of(self, action: str) -> list[str]:
        """The uuids of guests with an open incident of this action."""
        return [it.uuid for it in self.incidents.values() if it.action == action]

    def stands(self, incident: Incident, now: float, fitness: Fitness, acts: bool) -> str:
        """Whether one of our incidents is to be reported now, as watch.stands says it. acts: to one who may recover,
        which rests on a fresh run besides."""
        failing = self._failing(incident.uuid)
        if not fitness.able or not failing:
            return "not-now"
        if acts and incident.action == RECOVER:
            recovering = self.recovering(incident.uuid)
            if self._wanted(incident.uuid, failing) != RECOVER or self.breaker.waits(incident.uuid, recovering, now):
                return "not-now"
        return "stands"

    def fresh(self, uuid: str, now: float) -> bool:
        """Whether a check that may have the guest recovered has just found it bad again."""
        known = self.patients[uuid].conditions
        return any(
            condition.stands(known[check.name], check) and now - known[check.name].at <= FRESH
            for check in self.recovering(uuid)
        )

    def stale(self, uuid: str) -> list[Check]:
        """The checks to be run at once, so that it is known whether the guest is to be recovered now. Not one whose
        last run said nothing: that may last for days, and the next run comes in its interval."""
        known = self.patients[uuid].conditions
        return [check for check in self.recovering(uuid) if condition.stands(known[check.name], check)]

    def recovering(self, uuid: str) -> list[Check]:
        """The checks because of which the guest is to be recovered."""
        return [check for check in self._failing(uuid) if check.action == RECOVER]

    # What follows.

    def _failing(self, uuid: str) -> list[Check]:
        """The checks that the guest has failed by as far as is known of this life of it."""
        patient = self.patients.get(uuid)
        if patient is None:
            return []
        known = patient.conditions
        return [it for it in patient.checks if it.name in known and condition.failed(known[it.name], it)]

    def _settle(self, uuid: str, now: float, why: str = HEALTHY_AGAIN) -> None:
        """Open, change or close the guest's incident as its checks are now. why: it is closed."""
        self._pending.pop(uuid, None)
        incident, accused = self.incidents.get(uuid), self._accused.get(uuid)
        if not accused:
            self._accused.pop(uuid, None)
        self._count(uuid)
        if not accused:
            if incident:
                self._record(uuid, [Close(incident.id, why)], now, why)
            return
        failing = self._failing(uuid)
        more = failing and incident and self._wanted(uuid, failing) == RECOVER != _wish(incident.action)
        if {it.name for it in failing} < accused and not more:
            return  # of an earlier life: not all of them have been run since, but those that were may ask for more
        action = self._action(uuid, failing, now)
        if action is None:
            self._pending[uuid] = HEALTHY_AGAIN
        elif incident is None and action != IGNORE:
            self._record(uuid, [self._open(uuid, failing, action, now)], now)
        elif incident and _wish(incident.action) != _wish(action):
            changes: list[Change] = [Close(incident.id, f"what it causes is now {action}")]
            self._record(uuid, changes + [self._open(uuid, failing, action, now)] * (action != IGNORE), now)

    def _action(self, uuid: str, failing: list[Check], now: float) -> str | None:
        """What the guest's failure causes; None: it is too early to say."""
        action, incident = self._wanted(uuid, failing), self.incidents.get(uuid)
        if action != RECOVER or (incident and _wish(incident.action) == RECOVER):
            return action
        if self.hindrance(uuid) or self.breaker.waits(uuid, self.recovering(uuid), now):
            return None
        return recovery(self.fitness(uuid), self.timing(uuid))

    def _wanted(self, uuid: str, failing: list[Check]) -> str:
        """What checks, settings and terms let the failure cause, if nothing keeps us from it."""
        most = max((check.action for check in failing), key=CAREFUL.index)
        return min(self.timing(uuid).actions.get(UNHEALTHY, RECORD), most, key=CAREFUL.index)

    def _open(self, uuid: str, failing: list[Check], action: str, now: float) -> Open:
        watch, known = self._watches[uuid], self.patients[uuid].conditions
        text = account.evidence([account.Known(check, known[check.name]) for check in failing], now)
        return Open(uuid, watch.guest.name, watch.incarnation, UNHEALTHY, action, text)

    def _record(self, uuid: str, changes: list[Change], now: float, why: str = HEALTHY_AGAIN) -> None:
        """Into the ledger; if it cannot be, that is tried again."""
        self._pending[uuid] = why
        if now < self._writable_at:
            return
        try:
            opened = self._ledger.apply(changes, self._wall(), self._recipients())
        except (LedgerError, AlreadyOpenError) as error:
            log.warning("guest %s: what its health checks say cannot be recorded: %s", uuid, error)
            self._writable_at = now + RETRY
            return
        del self._pending[uuid]
        for change in changes:
            if isinstance(change, Close):
                log.info("guest %s: %s is over: %s", uuid, self.incidents.pop(uuid).verdict, change.why)
        for incident in opened:
            self.incidents[uuid] = incident
            log.warning("guest %s: %s, %s: %s", uuid, incident.verdict, incident.action, incident.evidence)
            self._opened(incident)
        if any(isinstance(change, Close) for change in changes):
            self._closed()

    def _count(self, uuid: str) -> None:
        if (uuid in self._accused) is not (uuid in self._counted):
            self._counted ^= {uuid}
            self.unhealthy = tuple(sorted(self._counted))


def _wish(action: str) -> str:
    """What was wanted of an incident, whatever kept us from it."""
    return RECOVER if action in (RECOVER, OBSERVED, SUSPENDED) else action
