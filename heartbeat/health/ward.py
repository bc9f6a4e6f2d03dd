"""The guests that have health checks: who has which, when their state is forgotten, and what an operator asks by hand.

Only the owner loop touches this. A guest without checks costs nothing here but a look at each inventory.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Callable

from heartbeat import holds, manual
from heartbeat.guest import Channel, Guest
from heartbeat.guests import Guests
from heartbeat.health import condition
from heartbeat.health.account import Account, Known
from heartbeat.health.course import Course, Result, reconnected
from heartbeat.health.definition import Check
from heartbeat.health.diagnoses import FRESH, REMOVED
from heartbeat.health.patient import Job, Patient, Tell
from heartbeat.health.rounds import Command, Rounds
from heartbeat.incident import RECOVER, Incident
from heartbeat.observation import ChannelChanged, Observation, Rebooted, Sampled, Seen, Stopped, Vanished
from heartbeat.schedule import Schedule
from heartbeat.watch import HEALTHY, Fitness, Timing, Watch

log = logging.getLogger(__name__)

NOT_RUN = "not run yet"


class Ward:
    """guests: with their diagnoses. schedule, command: of calls to agents. fitness, timing: of a guest; with "",
    fitness is this node's. ask: called with a guest that left a call unanswered, which is asked at once. wall: UTC in
    ISO 8601.

    checks: which ones a guest has; replaced when that may have changed, see `govern`. review: has a guest looked at.
    """

    def __init__(
        self,
        guests: Guests,
        schedule: Schedule,
        command: Command,
        fitness: Callable[[str], Fitness],
        timing: Callable[[str], Timing],
        ask: Callable[[str], None],
        wall: Callable[[], str],
    ) -> None:
        self._guests, self._fitness, self._wall = guests, fitness, wall
        self.diagnoses = guests.diagnoses
        self.diagnoses.fitness = fitness
        self.diagnoses.timing, self.diagnoses.hindrance = timing, self.hindrance
        self.rounds = Rounds(schedule, command, self.hindrance, lambda uuid: timing(uuid).timeout, ask, self._ended)
        self.defined: Mapping[str, Check] = {}
        self.checks: Callable[[str], Sequence[Check]] = lambda _: ()
        self.review: Callable[[str], None] = lambda _: None
        self._known: dict[str, Guest] = {}  # of guests that are here, as they were when their checks were looked up

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do, nor will be."""
        return not (self.defined or self._known or self.diagnoses.incidents)

    # What is observed.

    def govern(self, defined: Sequence[Check], now: float) -> None:
        """Other checks are defined, or other guests may have them."""
        self.defined = {check.name: check for check in defined}
        self.reconsider(list(self._guests.watches), now)
        if not defined:
            self._known.clear()

    def reconsider(self, uuids: Sequence[str], now: float) -> None:
        """These guests may have other checks than before."""
        for uuid in () if self.idle else uuids:
            self._known.pop(uuid, None)
            self._admit(uuid, now)

    def inventory(self, found: Mapping[str, Observation], now: float) -> None:
        if self.idle:
            return
        for uuid in {*self._known, *self.diagnoses.incidents} - found.keys():
            self._discharge(uuid, "the guest is not on this node any more", now)
        for uuid, observation in found.items():
            self.observe(uuid, observation, now)

    def observe(self, uuid: str, observation: Observation, now: float) -> None:
        """Whatever is no answer to a question, after the guest's watch has taken it."""
        if self.idle:
            return
        if isinstance(observation, Seen):
            self._admit(uuid, now)
        elif isinstance(observation, (Rebooted, ChannelChanged)):
            self._begin_anew(uuid, now)
        elif isinstance(observation, Sampled):
            patient = self.diagnoses.patients.get(uuid)
            if patient:
                patient.looked = observation.sample
        elif isinstance(observation, Stopped):
            self._discharge(uuid, f"the guest was stopped: {observation.why}", now)
        elif isinstance(observation, Vanished):
            self._discharge(uuid, "the guest is not on this node any more", now)

    def _admit(self, uuid: str, now: float) -> None:
        """The guest is there: which checks has it, and is it still the same?"""
        watch = self._guests.watches.get(uuid)
        if watch is None:
            return
        patient, incident = self.diagnoses.patients.get(uuid), self.diagnoses.incidents.get(uuid)
        if incident and incident.incarnation != watch.incarnation:
            self.diagnoses.end(uuid, "the guest was started again", now)
        if self._known.get(uuid) == watch.guest and (patient is None or patient.incarnation == watch.incarnation):
            return
        self._known[uuid] = watch.guest
        checks = tuple(self.checks(uuid))
        if patient and patient.incarnation == watch.incarnation:
            self._change(patient, checks, now)
        else:
            self._leave(uuid)
            if checks:
                self._enter(watch, checks, now)
        if not checks:
            self.diagnoses.patients.pop(uuid, None)
            self.diagnoses.end(uuid, REMOVED, now)

    def _enter(
        self, watch: Watch, checks: tuple[Check, ...], now: float, before: Mapping[str, Course] | None = None
    ) -> None:
        patient = self.diagnoses.patients[watch.guest.uuid] = Patient(watch.guest.uuid, watch.incarnation, checks)
        for check in checks:
            self.rounds.add(patient, check, now, (before or {}).get(check.name))
        if patient.uuid in self.diagnoses.incidents:
            self.diagnoses.keep_only(patient, now)  # of an earlier life, it may be about a check that is gone

    def _change(self, patient: Patient, checks: tuple[Check, ...], now: float) -> None:
        """Other checks of the same guest: what is as it was goes on."""
        before, patient.checks = patient.checks, checks
        last: dict[str, Course | None] = {}
        for check in before:
            if check not in checks:
                last[check.name] = self.rounds.drop(patient.uuid, check.name)
                patient.conditions.pop(check.name, None)
        for check in checks:
            if check not in before:
                # A process of it that still runs is not joined by another because it was changed.
                self.rounds.add(patient, check, now, last.get(check.name))
        if before != checks:
            self.diagnoses.keep_only(patient, now)

    def _begin_anew(self, uuid: str, now: float) -> None:
        """Nothing that its checks, or its agent, have said holds any more. What a run may not do to its agent again
        does."""
        watch, patient = self._guests.watches.get(uuid), self.diagnoses.patients.get(uuid)
        if watch and patient:
            self._enter(watch, patient.checks, now, self._leave(uuid))

    def _leave(self, uuid: str) -> dict[str, Course]:
        """Returns the last run of each of its checks, without what that has left in the guest."""
        patient = self.diagnoses.patients.pop(uuid, None)
        last = {check.name: self.rounds.drop(uuid, check.name) for check in (patient.checks if patient else ())}
        self.diagnoses.forget(uuid)
        return {name: reconnected(it) for name, it in last.items() if it}

    def _discharge(self, uuid: str, why: str, now: float) -> None:
        if self._known.pop(uuid, None) or uuid in self.diagnoses.incidents:
            self._leave(uuid)
            self.diagnoses.end(uuid, why, now)

    # What follows.

    def step(self, now: float) -> None:
        """Once a turn: what time alone changes, beside the runs."""
        self.diagnoses.step(now)

    def hindrance(self, uuid: str) -> str:
        """Why a guest may not be checked now, "" if it may."""
        watch, fitness = self._guests.watches.get(uuid), self._fitness("")
        if watch is None:
            return "it is not on this node"
        if watch.state != HEALTHY:
            return f"the guest is {watch.state}"
        if watch.closed_from is not None or watch.guest.channel not in (Channel.OPEN, Channel.UNKNOWN):
            return "its agent cannot be reached"
        if watch.holds:
            return holds.told(watch.holds)
        if not fitness.able:
            return fitness.why
        by_hand = manual.held(self._guests.manual, uuid, self._wall()) if self._guests.manual else ""
        return fitness.held or by_hand

    def _ended(self, job: Job, result: Result, now: float) -> None:
        patient, check = job.patient, job.check
        watch = self._guests.watches.get(patient.uuid)
        if check is None or watch is None:
            return
        before = patient.conditions.get(check.name)
        known = condition.learned(before, result, check, watch.begun, now)
        patient.conditions[check.name] = known
        if before is None or before.status is not known.status:
            said = f": {known.text}" if known.text else ""
            log.info("guest %s, check %s: %s%s", patient.uuid, check.name, known.status.value, said)
        self.diagnoses.learned(patient, check, now)

    # What is asked.

    def known(self, uuid: str) -> list[Known]:
        """The guest's checks, and how it is by each."""
        patient = self.diagnoses.patients.get(uuid)
        return [Known(it, patient.conditions.get(it.name)) for it in patient.checks] if patient else []

    def statuses(self) -> Mapping[str, int] | None:
        """How many guests' checks have which status; None while no check is defined."""
        if not self.defined:
            return None
        known = (it.conditions.get(check.name) for it in self.diagnoses.patients.values() for check in it.checks)
        return Counter(it.status.value if it else NOT_RUN for it in known)

    def account(self, uuid: str) -> Account:
        """All of this for people; without the fates of its reports."""
        incident = self.diagnoses.incidents.get(uuid)
        return Account(self.known(uuid), self.hindrance(uuid), self.diagnoses.breaker.trouble, incident)

    def stands(self, incident: Incident, now: float, fitness: Fitness, acts: bool) -> str:
        """Whether an incident of ours is to be reported now; see Diagnoses. What a recovery would rest on is run anew,
        and the guest is looked at, if that was too long ago."""
        word, uuid = self.diagnoses.stands(incident, now, fitness, acts), incident.uuid
        if not acts or word != "stands" or incident.action != RECOVER:
            return word
        if self.hindrance(uuid):
            return "not-now"
        fresh, stale = self.diagnoses.fresh(uuid, now), self.diagnoses.stale(uuid)
        for check in () if fresh else stale:
            self.rounds.hurry(uuid, check.name, now)
        looked = self.diagnoses.patients[uuid].looked
        if stale and (looked is None or now - looked.at > FRESH):
            self.review(uuid)
            return "not-now"
        # A migration or a backup slows a guest down, and libvirt tells of neither before it ends.
        return word if fresh and looked and looked.monitor and not looked.job else "not-now"

    def by_hand(self, uuid: str, name: str, tell: Tell, now: float) -> str:
        """Run a check, or with "" ask a question, and tell what came of it. Returns why not, or ""."""
        watch = self._guests.watches.get(uuid)
        if watch is None:
            return "it is not on this node"
        if name and name not in self.defined:
            return f"no check is called so; defined are: {', '.join(sorted(self.defined)) or 'none'}"
        patient = self.diagnoses.patients.get(uuid)
        if patient is None or patient.incarnation != watch.incarnation:
            patient = Patient(uuid, watch.incarnation, ())
        self.rounds.by_hand(patient, self.defined.get(name), tell, now)
        return ""
