"""The owner loop: the one thread that touches guests' state. Everything else sends it messages."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Any, Callable

from heartbeat.budget import Budget
from heartbeat.case import begun
from heartbeat.condition import Condition, Limits
from heartbeat.confirmation import Confirmation
from heartbeat.discrepancies import Limits as NovaLimits
from heartbeat.evidence.collection import Collection
from heartbeat.evidence.scene import scene, weighed
from heartbeat.expectation import Question
from heartbeat.guest import Channel
from heartbeat.guests import Guests
from heartbeat.health.fence import Fence
from heartbeat.health.ward import Ward
from heartbeat.hypervisor import QUESTIONS, Hypervisor
from heartbeat.incident import AGENT_SILENT, HUNG, QEMU_STUCK, Incident
from heartbeat.intentions import Intentions
from heartbeat.ledger import Ledger
from heartbeat.message import About, Heard, Inventory, LinkDown, Message, Replied, Unheard
from heartbeat.observation import Answered, Asked, ClockSet, Gap, Observation, Reviewed, Unheeded
from heartbeat.patience import answer_limit
from heartbeat.policy import Policy
from heartbeat.pressure import Pressure
from heartbeat.pressure import read as read_pressure
from heartbeat.probe import Answer
from heartbeat.reporting import Reporting
from heartbeat.schedule import Schedule
from heartbeat.tally import Tally
from heartbeat.watch import EXEMPT, SLOW, UNKNOWN, Fitness, Timing, Watch

log = logging.getLogger(__name__)

# Seconds: the loop turns at least this often, and more than LATE beyond that is our own lateness, which counts
# against no guest.
TURN, LATE = 1.0, 3.0
# Seconds by which the wall clock may leave the monotonic one between two turns; a leap second is within.
SET = 1.0
# Seconds that libvirt may be away, as when it is restarted, before an operator is told what to do.
AWAY = 5.0
# States of guests that are known not to answer, and how many intervals pass between two questions to one of them.
SILENT, ROUNDS = frozenset({HUNG, AGENT_SILENT, QEMU_STUCK}), 3
# Questions that may be out to guests which left the last one unanswered; two slots stay for all others, which give them
# back in milliseconds.
AGAIN = QUESTIONS - 2
# Messages taken in one turn, so that time is looked at in between.
BATCH = 200


class Call:
    """A function that another thread wants to have run in the owner loop, and its result."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self.done = threading.Event()
        self.result: Any = None
        self.error: Exception | None = None


class Stop:
    """Leave the loop."""


class Owner:
    """Feeds what happens to the decision, and does what it asks for.

    reporting: who is told. hypervisor: makes it from our `post`. wall: UTC now in ISO 8601. limits, budget: as set.
    pressure: reads the host's. clock: monotonic seconds.
    suspended: seconds that the host has slept since its boot, which the monotonic clock leaves out.
    ahead: seconds by which the wall clock is ahead of the monotonic one. tally: is told what is counted.
    """

    def __init__(
        self,
        timing: Timing,
        ledger: Ledger,
        reporting: Reporting,
        hypervisor: Callable[[Callable[[Message], None]], Hypervisor],
        wall: Callable[[], str],
        limits: Limits,
        budget: Budget,
        pressure: Callable[[], Pressure] = read_pressure,
        clock: Callable[[], float] = time.monotonic,
        suspended: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic(),
        ahead: Callable[[], float] = lambda: time.time() - time.monotonic(),
        tally: Tally | None = None,
    ) -> None:
        self.timing, self._reporting, self._clock, self._suspended = timing, reporting, clock, suspended
        self._asleep, self._ahead_now, self._ahead = suspended(), ahead, ahead()
        self._queue: SimpleQueue[Message | Call | Stop | None] = SimpleQueue()
        self._quiet: deque[About] = deque()
        self._eager = False  # no slot is free, so that every answer gives one back
        self.hypervisor = hypervisor(self.post)
        self.schedule = Schedule(timing.interval, QUESTIONS, AGAIN)
        self.guests = Guests(
            ledger, wall, self._ask_soon, self.hypervisor.look,
            self._opened, reporting.recipients, budget, reporting.wake, reporting.look_again, self._failed,
        )
        self.evidence: Collection | None = None  # where that of incidents is taken, if it is
        self._tally = tally or Tally()
        self.condition = Condition(limits, pressure)
        self.held = ""  # why the cluster wants no recovery on this node, or ""
        self._late = 0.0
        self._wall, self._confirmation = wall, Confirmation(self, ledger, wall)
        self.link = "not connected yet"  # why libvirt cannot be reached, or ""
        self.link_since = clock()
        self._advised = -1.0  # link_since of the last time that the log said what to do about it
        self.progress = clock()
        self.intentions = Intentions(self.guests, self._plan, self.fitness_of, timing)
        self.ward = Ward(
            self.guests, self.schedule, self.hypervisor.command, self.fitness_of, self._timing, self._ask_again, wall
        )
        self.ward.checks, self.ward.review = self.intentions.checks, self.review
        self.fence = Fence(self.ward, self.schedule)
        self.ward.diagnoses.breaker.limits = lambda: self.condition.limits

    @property
    def fitness(self) -> Fitness:
        return self.condition.fitness(self.link, self.held)

    def post(self, message: Message) -> None:
        """From any thread: something to be handled in the loop.

        A healthy guest's answer changes nothing, so it waits for whatever wakes the loop next: half of what a question
        costs would be the waking. Whoever decides sees it first, see _take.
        """
        if not (isinstance(message, About) and _usual(message.observation)):
            self._queue.put(message)
            return
        self._quiet.append(message)
        if self._eager:
            self._queue.put(None)

    def question(self) -> Question | None:
        """What Nova is to be asked now, None for nothing. In the loop only."""
        return self.guests.discrepancies.question(self._clock())

    def fitness_of(self, uuid: str) -> Fitness:
        """Whether this guest can be judged and recovered now; with "", any guest of this node. In the loop only."""
        return self.guests.fitness_of(uuid, self.fitness) if uuid else self.fitness

    def call(self, function: Callable[[], Any], timeout: float = 5.0) -> Any:
        """From another thread: the function's result, computed in the loop. Raises TimeoutError, or what it raises."""
        call = Call(function)
        self._queue.put(call)
        if not call.done.wait(timeout):
            raise TimeoutError("the owner loop does not answer; if that lasts, the cluster restarts the helper")
        if call.error:
            raise call.error
        return call.result

    def confirm(self, incident: int, acts: bool = True) -> str:
        """From a courier, right before a report: "stands", "not-now", "gone", or "soon": its evidence is being taken,
        which a recovery would destroy. acts: whoever is told may recover the guest, so what keeps a recovery back keeps
        the report back."""
        return str(self.call(lambda: self._confirmation.word(incident, acts, self._clock())))

    def here(self, uuids: Sequence[str]) -> dict[str, bool | None]:
        """From the follower: which guests this node has, running or not; None where libvirt cannot say."""
        return dict(self.call(lambda: self._confirmation.here(uuids)))

    def again(self, uuid: str, incident: int, why: str) -> None:
        """From the follower: the recovery because of this incident came to nothing."""
        self.call(lambda: self._confirmation.unrecovered(uuid, incident, why, self._clock()))

    def _failed(self, incident: Incident, before: Watch, after: Watch) -> None:
        """It has just been opened: from now on each second takes something away of what there is to see."""
        if self.evidence is None:
            return
        try:
            fitness, budget = self.fitness_of(incident.uuid), self.guests.budget
            case = begun(self, weighed(before, after), self._clock(), self._wall(), fitness, budget)
            history = self.guests.histories.get(incident.uuid, "")
            self.evidence.begin(scene(incident, case, history, self.evidence.rules.screenshot))
        except Exception:
            log.exception("incident %d: no evidence because of a bug in masakari-qga", incident.id)

    def stop(self) -> None:
        """From any thread, or a signal handler."""
        self._queue.put(Stop())

    def run(self, every_turn: Callable[[], None]) -> None:
        """The loop, until `stop`. every_turn: called about once a second."""
        self.hypervisor.start()
        turned = self._clock()
        while True:
            due = min(self.guests.next_at(), self.schedule.next_at(), self.fence.next_at(), turned + TURN)
            self._eager = self.schedule.full or self.fence.waiting
            messages = self._take(max(due - self._clock(), 0.0))
            self._late = max(self._late, self._clock() - max(due, self.progress))
            self._look_at_ourselves()
            for message in messages:
                if isinstance(message, Stop):
                    return
                self._handle(message)
            now = self._clock()
            if self.guests.next_at() <= now:
                for uuid in self.guests.wake(now, self.fitness, self.timing):
                    self._plan(uuid, now)
            self._put_questions(now)
            self.fence(self.ward.rounds.step, now)
            self.progress = now
            if now >= turned + TURN:
                turned = now // TURN * TURN  # with the questions, which are put then: one waking, not two
                self.hypervisor.expire()
                self._look_at_the_node(now)
                self.intentions.compare(now, self.link)
                self.fence(self.ward.step, now)
                if self.evidence:
                    self.evidence.turn(now)
                every_turn()
            self._reporting.show(self.guests, self.link, self.condition, self.held)

    def apply(self, resync: float, limits: Limits, budget: Budget) -> None:
        """New settings of this node. In the loop only."""
        self.condition.limits, self.guests.budget = limits, budget
        self.hypervisor.resync(resync)

    def govern(self, policy: Policy, nova: NovaLimits | None) -> None:
        """New settings of guests, their times among them; see Intentions. In the loop, or before it runs."""
        self.timing, self.schedule.interval = policy.timing, policy.timing.interval
        self.intentions.govern(policy, nova, self._clock())
        self.fence(self.ward.govern, policy.checks, self._clock())

    def _look_at_ourselves(self) -> None:
        """If we, or the whole host, did not run for a while, what guests did meanwhile counts against nobody."""
        now, asleep, ahead = self._clock(), self._suspended(), self._ahead_now()
        late, step = now - self.progress + asleep - self._asleep, ahead - self._ahead
        self._asleep, self._ahead = asleep, ahead
        if late > TURN + LATE:
            log.warning("this loop was held up for %.1f s; what guests did meanwhile counts against nobody", late)
            self.guests.all(Gap("we were held up ourselves", False), now, self.fitness, self.timing)
            self.fence(self.ward.rounds.doubt, "we were held up ourselves")
        elif abs(step) > SET:
            log.warning("the wall clock was set by %+.1f s: no balloon's age counts until its guest has answered", step)
            self.guests.all(ClockSet(), now, self.fitness, self.timing)

    def _look_at_the_node(self, now: float) -> None:
        late, self._late = self._late, 0.0
        self._tally.late(late)
        watched = self.guests.watched(self.schedule.overdue(now - 2 * SLOW))
        self.condition.step(now, late, self.hypervisor.canary(), self.guests.suspected(now), watched)

    def _take(self, wait: float) -> list[Message | Call | Stop]:
        """What has come, after at most so many seconds; answers first, so that nobody is judged who has answered."""
        came: list[Message | Call | Stop] = []
        try:
            wanted = self._queue.get(timeout=wait) if wait and not self._quiet else self._queue.get_nowait()
            while True:
                if wanted is not None:
                    came.append(wanted)
                if len(came) >= BATCH:
                    break
                wanted = self._queue.get_nowait()
        except Empty:
            pass
        return [*(self._quiet.popleft() for _ in range(len(self._quiet))), *came]

    def _handle(self, message: Message | Call) -> None:
        now = self._clock()
        if isinstance(message, About):
            if isinstance(message.observation, Answered):
                watch = self.guests.watches.get(message.uuid)
                said = message.observation
                silent = said.answer is Answer.SILENT
                self._tally.answered(said.answer, now - said.asked if said.took is None else said.took)
                self.schedule.returned(message.uuid, now, silent, ROUNDS if watch and watch.state in SILENT else 1)
            self.guests.observe(message.uuid, message.observation, now, self.fitness, self.timing)
            self.guests.discrepancies.attendance.observe(message.uuid, message.observation)
            self._plan(message.uuid, now)
            if not isinstance(message.observation, Answered):
                self.fence(self.ward.observe, message.uuid, message.observation, now)
        elif isinstance(message, Replied):
            self.fence.replied(message, now)
        elif isinstance(message, Inventory):
            self._linked("", now)
            known = set(self.guests.watches)
            self.guests.inventory(message.guests, now, self.fitness, self.timing)
            self.guests.discrepancies.inventory(message.guests, now)
            for uuid in known | message.guests.keys():
                self._plan(uuid, now)
            self.fence(self.ward.inventory, message.guests, now)
        elif isinstance(message, LinkDown):
            self._linked(message.why, now)
            self._advise(message, now)
        elif isinstance(message, Heard):
            self.fence(self.ward.reconsider, self.intentions.heard(message.answer, now), now)
        elif isinstance(message, Unheard):
            self.intentions.unheard(message.why, now)
        elif isinstance(message, Call):
            try:
                message.result = message.function()
            except Exception as error:
                message.error = error
            message.done.set()

    def _linked(self, why: str, now: float) -> None:
        if bool(why) != bool(self.link):
            self.link_since = now
            if not why:
                log.info("libvirt is connected")
            else:
                log.warning("libvirt cannot be reached, so no guest is judged: %s", why)
                self.guests.all(Gap(f"libvirt: {why}", True), now, Fitness(False, why), self.timing)
                self.guests.discrepancies.blind()
                for uuid in self.guests.watches:
                    self._plan(uuid, now)
        self.link = why

    def _opened(self, incident: Incident) -> None:
        self._tally.opened(incident.verdict, incident.action)
        self._reporting.wake()

    def _advise(self, down: LinkDown, now: float) -> None:
        """What to do about it, once: the reason comes with the first attempts to connect again."""
        if down.remedy and now - self.link_since >= AWAY and self._advised != self.link_since:
            log.warning("libvirt still cannot be reached, no guest is judged: %s; %s", down.why, down.remedy)
            self._advised = self.link_since

    def _plan(self, uuid: str, now: float) -> None:
        watch = self.guests.watches.get(uuid)
        if watch and _askable(watch):
            self.schedule.pace(uuid, self.guests.timing(uuid, self.timing).interval)
            self.schedule.add(uuid, now)
        else:
            self.schedule.remove(uuid)

    def _put_questions(self, now: float) -> None:
        while True:
            uuid = self.schedule.take(now)
            if uuid is None:
                return
            self.guests.observe(uuid, Asked(), now, self.fitness, self.timing)
            watch = self.guests.watches[uuid]
            most = self.guests.timing(uuid, self.timing).timeout
            limit = answer_limit(watch.answers, watch.silences > 0, most, self.fitness.stretch)
            self.hypervisor.ask(uuid, now, limit)

    def _timing(self, uuid: str) -> Timing:
        return self.guests.timing(uuid, self.timing)

    def review(self, uuid: str) -> None:
        """Look at a guest, since a recovery rests on how it is now."""
        self.guests.observe(uuid, Reviewed(), self._clock(), self.fitness, self.timing)

    def _ask_again(self, uuid: str) -> None:
        """A guest has left another call than a question unanswered: if it hangs, that is to be known soon."""
        if uuid in self.schedule and uuid in self.guests.watches:
            self.guests.observe(uuid, Unheeded(), self._clock(), self.fitness, self.timing)
            self._ask_soon(uuid)

    def _ask_soon(self, uuid: str) -> None:
        self.schedule.soon(uuid, self._clock(), self.guests.watches[uuid].silences > 0)


def _usual(observation: Observation) -> bool:
    return isinstance(observation, Answered) and observation.answer is Answer.ALIVE


def _askable(watch: Watch) -> bool:
    """A guest whose channel is known to be closed is not asked: each such question is an error line in libvirt's
    log."""
    reachable = watch.guest.channel in (Channel.OPEN, Channel.UNKNOWN)
    return reachable and watch.running and watch.state not in (UNKNOWN, EXEMPT)
