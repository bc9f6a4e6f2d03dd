"""The guests of this node: each one's watch, the times at which it wants attention, and the ledger's word on every
step.

Only the owner loop touches this. A step whose change the ledger cannot take is not made: it is tried again, so what is
believed here is never more than what is on disk.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence, Set
from itertools import takewhile
from typing import Callable

from heartbeat import history, transitions
from heartbeat.alarm import NEVER, Alarms
from heartbeat.budget import Budget
from heartbeat.census import Census
from heartbeat.choices import Choices
from heartbeat.discrepancies import Discrepancies
from heartbeat.guest import Channel, Guest
from heartbeat.health.diagnoses import Diagnoses
from heartbeat.incident import BESIDE, RECOVER, SUSPENDED, Arm, Change, Close, Incident, Open
from heartbeat.ledger import AlreadyOpenError, Ledger, LedgerError, Recipients
from heartbeat.manual import ManualHold, held
from heartbeat.observation import (
    Ask,
    ClockSet,
    Effect,
    Gap,
    Look,
    Observation,
    Recorded,
    Sampled,
    Seen,
    Stopped,
    Tick,
    Vanished,
    Warn,
)
from heartbeat.settings import plain, printable
from heartbeat.verdict import Broken, begin, judge
from heartbeat.watch import LOOK, SLOW, Fitness, Timing, Watch, calm, rest, wake_at

log = logging.getLogger(__name__)

# Seconds until the ledger is tried again after it failed, by all guests together: a failure may take it seconds.
LEDGER_RETRY = 1.0
# What libvirt says of a guest's whole state: it stands for what was said before.
WHOLE = (Seen, Stopped, Vanished)


class Guests:
    """Every watch, by uuid.

    wall: gives UTC now in ISO 8601. ask, look: called with a uuid when the decision wants it. opened: called with each
    new incident; closed: when one is over; answers: when a guest has first answered; failed: with an incident of a
    watch, and that watch before and after the step. recipients: action -> backends, read at every step. budget: how
    often a guest may be recovered.
    """

    def __init__(
        self,
        ledger: Ledger,
        wall: Callable[[], str],
        ask: Callable[[str], None],
        look: Callable[[str], None],
        opened: Callable[[Incident], None],
        recipients: Callable[[], Recipients],
        budget: Budget,
        closed: Callable[[], None] = lambda: None,
        answers: Callable[[], None] = lambda: None,
        failed: Callable[[Incident, Watch, Watch], None] = lambda *_: None,
    ) -> None:
        self._ledger, self._wall, self._ask, self._look, self._opened = ledger, wall, ask, look, opened
        self._recipients, self._closed, self._answers, self._failed = recipients, closed, answers, failed
        self.watches: dict[str, Watch] = {}
        self.histories: dict[str, str] = {}  # of heartbeat.history
        self.trouble = ""  # why the ledger cannot be written, or ""
        self.broken = False  # and only a restart of the helper can help
        self.budget = budget
        self.manual: Sequence[ManualHold] = ()
        self.choices = Choices()
        self._wakes = Alarms()
        self._writable_at = 0.0
        # The latest step of each kind that the ledger did not take: when to try it again, and of which incarnation.
        self._postponed: dict[tuple[str, type], tuple[float, str, Observation]] = {}
        # What an earlier life of ours knew of guests that have not been seen in this one yet.
        self._armed = ledger.armed()
        self._incidents = {it.uuid: it for it in ledger.open_incidents() if it.verdict not in BESIDE}
        self._census = Census(self._incidents.values())
        self.discrepancies = Discrepancies(ledger, wall, recipients, opened, closed, self.watches)
        self.diagnoses = Diagnoses(ledger, wall, recipients, self._ill, closed, self.watches)

    def inventory(self, found: Mapping[str, Observation], now: float, fitness: Fitness, timing: Timing) -> None:
        """A complete list of libvirt's: whatever is not in it is gone."""
        for uuid in (self.watches.keys() | self._armed.keys() | self._incidents.keys()) - found.keys():
            self.observe(uuid, Vanished(), now, fitness, timing)
        for uuid, observation in found.items():
            self.observe(uuid, observation, now, fitness, timing)

    def observe(self, uuid: str, observation: Observation, now: float, fitness: Fitness, timing: Timing) -> None:
        """One step of one guest. An observation of a guest that we do not know and need not know is passed over."""
        known = self.watches.get(uuid)
        watch = known or self._first(uuid, observation, now)
        if watch is None:
            return
        described = observation.guest if isinstance(observation, Seen) else watch.guest
        timing = self.choices.timing(uuid, described.instance, watch.armed, timing)
        try:
            after, effects = judge(watch, observation, now, fitness, timing)
            if effects and any(isinstance(effect, Open) for effect in effects):
                # Only what an incident causes depends on the guest's own budget and holds: they are not asked before.
                fitness = self.fitness_of(uuid, fitness)
                after, effects = judge(watch, observation, now, fitness, timing)
        except Broken:
            log.exception("guest %s: a step was not made; its silence so far is forgotten", uuid)
            watch = watch._replace(looking=False)
            self._keep(uuid, known, calm(watch, rest(watch), "see the log: a step was not made"), fitness, timing)
            self._wakes.set(uuid, max(self._wakes.at(uuid), now + LOOK))  # or the same step would fail without pause
            return
        if known and not effects and uuid not in self._incidents and not isinstance(observation, WHOLE):
            # Nearly every step, as a question and its answer: there is nothing to record, or to take back.
            self._note(uuid, observation, watch, after, (), now)
            self._keep(uuid, known, after, fitness, timing)
            return
        changes: list[Change] = [effect for effect in effects if not isinstance(effect, (Ask, Look, Warn))]
        if changes and now < self._writable_at:
            self._postpone(uuid, watch, observation)
            return
        try:
            incidents = self._ledger.apply(changes, self._wall(), self._recipients()) if changes else []
        except (LedgerError, AlreadyOpenError) as error:
            if not self.trouble:
                log.error("nothing can be recorded, so nothing new can be reported: %s", error)
            self.trouble = plain(str(error), 120)
            # A file that was damaged or removed under us does not heal; our next start sets it aside and begins anew.
            self.broken = self.broken or getattr(error, "restart", False)
            self._writable_at = now + LEDGER_RETRY
            self._postpone(uuid, watch, observation)
            return
        if changes and self.trouble:
            log.warning("the ledger can be written again")
            self.trouble = ""
        self._armed.pop(uuid, None)
        self._incidents.pop(uuid, None)
        self._supersede(uuid, observation)
        self._note(uuid, observation, watch, after, changes, now)
        for incident in incidents:
            after = judge(after, Recorded(incident), now, fitness, timing)[0]
            self._failed(incident, watch, after)
            self._opened(incident)
        self._spread(changes)
        self._keep(uuid, known, after, fitness, timing)
        self._carry_out(after, effects)
        if isinstance(observation, Vanished):
            self._census.put(uuid, self.watches.pop(uuid), None)
            self.choices.forget(uuid)
            self.histories.pop(uuid, None)
            self._wakes.drop(uuid)

    def _note(
        self, uuid: str, observation: Observation, before: Watch, after: Watch, changes: Sequence[Change], now: float
    ) -> None:
        transitions.note(before, after, changes)
        if history.worth(observation, before, after):
            self.histories[uuid] = history.noted(self.histories.get(uuid, ""), observation, before, after, now)

    def _spread(self, changes: Sequence[Change]) -> None:
        if any(isinstance(change, Close) for change in changes):
            self._closed()
        if any(isinstance(change, Arm) for change in changes):
            self._answers()

    def _carry_out(self, watch: Watch, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Ask):
                self._ask(watch.guest.uuid)
            elif isinstance(effect, Look):
                self._look(watch.guest.uuid)
            elif isinstance(effect, Warn):
                log.warning("guest %s %s: %s", watch.guest.uuid, printable(watch.guest.name), effect.text)

    def all(self, observation: Gap | ClockSet, now: float, fitness: Fitness, timing: Timing) -> None:
        for uuid in list(self.watches):
            self.observe(uuid, observation, now, fitness, timing)

    def wake(self, now: float, fitness: Fitness, timing: Timing) -> set[str]:
        """Steps that are due by time alone, and those that the ledger did not take: of which guests."""
        due = [key for key, _ in takewhile(lambda it: it[1][0] <= now, self._postponed.items())]
        for key in due:
            if key not in self._postponed:
                continue  # superseded by one before it
            _, run, observation = self._postponed.pop(key)
            watch = self.watches.get(key[0])
            # What happened to one incarnation must not be put down to the next. A look is always waited for.
            if watch is None or watch.incarnation == run or isinstance(observation, Sampled):
                self.observe(key[0], observation, now, fitness, timing)
        # A bounded number: a step may set its own alarm again at once.
        for _ in range(len(self.watches)):
            name = self._wakes.take(now)
            if name is None:
                break
            self.observe(name, Tick(), now, fitness, timing)
        return {uuid for uuid, _ in due}

    def next_at(self) -> float:
        return min(self._wakes.next_at(), next(iter(self._postponed.values()))[0] if self._postponed else NEVER)

    def holding(self, incident: int) -> Watch | None:
        """The guest that has this incident open."""
        return self.watches.get(self._census.holder(incident))

    def _ill(self, incident: Incident) -> None:
        """A health check has found a guest unhealthy, whose watch has nothing to say about that."""
        watch = self.watches.get(incident.uuid)
        if watch:
            self._failed(incident, watch, watch)
        self._opened(incident)

    def awaited(self, incident: int) -> bool:
        """Whether the incident is of an earlier life, and its guest has not been seen yet."""
        return any(it.id == incident for it in self._incidents.values())

    def failed(self) -> list[str]:
        """The uuids of guests with an open incident that asks for recovery, whether seen yet or not."""
        return self._with_incident(RECOVER)

    def _first(self, uuid: str, observation: Observation, now: float) -> Watch | None:
        """The watch of a guest that was not watched so far, with what the ledger remembers of this incarnation."""
        armed, incident = self._armed.get(uuid, ""), self._incidents.get(uuid)
        if isinstance(observation, Seen):
            if incident and incident.incarnation != observation.incarnation:
                # Let the step see the change of incarnation, so that it closes the incident.
                return begin(observation.guest, incident.incarnation, False, incident, now)
            return begin(observation.guest, observation.incarnation, armed == observation.incarnation, incident, now)
        if isinstance(observation, (Stopped, Vanished)) and (armed or incident):
            name = incident.name if incident else getattr(observation, "name", "")
            incarnation = incident.incarnation if incident else armed
            return begin(Guest(uuid, name, Channel.UNKNOWN, 0, 1), incarnation, armed == incarnation, incident, now)
        return None

    def fitness_of(self, uuid: str, whole: Fitness) -> Fitness:
        """whole: this node's fitness, to which the guest's own budget and holds are added."""
        try:
            recovered = self._ledger.recoveries(uuid, self.budget.since(self._wall()))
        except LedgerError:
            recovered = 0  # then nothing can be recorded either
        by_hand = held(self.manual, uuid, self._wall())
        return whole._replace(held=whole.held or by_hand, spent=recovered >= self.budget.recoveries)

    def suspected(self, now: float) -> dict[str, float]:
        """Since when each guest that does not answer, or that an I/O error stopped, has been so. A question that is out
        for long counts: else those asked first would be judged before anybody knows how many are silent."""
        since = {}
        for uuid in self._census.doubted:
            it = self.watches[uuid]
            late = it.asked if it.armed and it.asked is not None and now - it.asked > 2 * SLOW else None
            at = next((at for at in (it.silent_from, it.stalled, late) if at is not None), None)
            if at is not None:
                since[uuid] = at
        return since

    def watched(self, unheard: Set[str] = frozenset()) -> int:
        """How many guests we would miss; without those of which nothing can be known, since they wait to be asked."""
        return len(self._census.missed - unheard) if unheard else len(self._census.missed)

    @property
    def suspicions(self) -> int:
        """How often a guest has become suspect since our start."""
        return self._census.suspicions

    def suspended(self) -> list[str]:
        """The uuids of guests that failed again after too many recoveries: they need a human."""
        return self._with_incident(SUSPENDED)

    def _with_incident(self, action: str) -> list[str]:
        found, beside = self._census.with_incident(action), self.discrepancies.of(action) + self.diagnoses.of(action)
        return sorted({*found, *beside}) if beside else found

    def reconsider(self, uuids: Iterable[str], now: float, fitness: Fitness, timing: Timing) -> list[str]:
        """Choose their terms anew, since the settings or Nova's word are not what they were. Whose have changed."""
        changed = []
        for uuid in [uuid for uuid in uuids if uuid in self.watches]:
            before = self.choices.forget(uuid)
            if self.timing(uuid, timing) != before:
                changed.append(uuid)
                self.observe(uuid, Tick(), now, fitness, timing)
        return changed

    def timing(self, uuid: str, usual: Timing) -> Timing:
        """What holds for one guest. usual: for those that are not known."""
        watch = self.watches.get(uuid)
        return self.choices.timing(uuid, watch.guest.instance, watch.armed, usual) if watch else usual

    def _keep(self, uuid: str, before: Watch | None, watch: Watch, fitness: Fitness, timing: Timing) -> None:
        self._census.put(uuid, before, watch)
        self.watches[uuid] = watch
        self._wakes.set(uuid, wake_at(watch, timing, fitness.stretch))

    def _postpone(self, uuid: str, watch: Watch, observation: Observation) -> None:
        self._postponed.pop((uuid, type(observation)), None)  # so that they stay in the order of their times
        self._postponed[uuid, type(observation)] = (self._writable_at, watch.incarnation, observation)
        if uuid in self.watches:
            self._wakes.drop(uuid)  # set again when the step is made

    def _supersede(self, uuid: str, observation: Observation) -> None:
        """What libvirt says of a guest stands for what it said before and the ledger did not take. Only its death is
        not undone by a list that may be older."""
        if self._postponed and isinstance(observation, WHOLE):
            for kind in (Seen, Vanished) if isinstance(observation, Seen) else (Seen, Stopped, Vanished):
                self._postponed.pop((uuid, kind), None)
