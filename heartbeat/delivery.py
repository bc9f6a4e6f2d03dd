"""Couriers: each brings to one backend what the ledger says is still owed to it, until it has arrived or is void."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable

from heartbeat.backends import Backend, Delivered, Later
from heartbeat.backoff import AT_ONCE, Wait, delay, held
from heartbeat.incident import BESIDE
from heartbeat.ledger import CLEARED, DELIVERED, PENDING, Delivery, Ledger, LedgerError
from heartbeat.owed import hopeless, outdated, report
from heartbeat.tally import EXPIRED, FAILED, REFUSED

log = logging.getLogger(__name__)

# What the owner answers when asked, right before an attempt, whether an incident is still so.
STANDS, NOT_NOW, GONE, SOON = "stands", "not-now", "gone", "soon"

# Seconds.
AFTER_SOON = 0.1  # evidence of it is being taken, which never takes long; its end wakes us as well
AFTER_GONE = 5.0  # by then the owner has closed the incident, and it is not owed any more
AFTER_LEDGER_ERROR = 5.0
AFTER_BUG = 30.0
IDLE = 120.0  # then the backend gives back what it holds
LOOK_AGAIN = 60.0  # in case a wake-up was forgotten


class Courier:
    """The thread of one backend. wake(), stop() and status() are for any thread.

    hostname: this node's name for the receiver, now. confirm: asks the owner whether an incident still stands; answers
    STANDS, NOT_NOW, GONE or SOON, and may raise TimeoutError, which means NOT_NOW. wall: UTC in ISO 8601, as in the
    ledger. clock, chance: monotonic seconds, and a number from 0 to 1. accepted: called when the ledger knows of a
    delivery. count: is told what came of each attempt: DELIVERED, FAILED (it is made again), REFUSED or EXPIRED.
    """

    def __init__(
        self,
        backend: Backend,
        ledger: Ledger,
        hostname: Callable[[], str],
        confirm: Callable[[int], str],
        wall: Callable[[], str],
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        accepted: Callable[[], None] = lambda: None,
        count: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._backend, self._ledger, self._hostname, self._confirm = backend, ledger, hostname, confirm
        self._wall, self._clock, self._chance, self._told = wall, clock, chance, accepted
        self._count = count
        self._waits: dict[int, Wait] = {}
        self._soon: set[int] = set()  # of these, those that wait for evidence
        self._accepted: dict[int, tuple[str, str]] = {}  # what the ledger could not be told yet
        self._failures, self._resume_at = 0, clock()  # of the backend as a whole
        self._error: str | None = None
        self._ours: str | None = None  # trouble on our side: the ledger, a bug
        self._used_at: float | None = None
        self._pending = self._delivered = 0
        self._wake, self._stopping, self._afresh, self._woken = threading.Event(), False, False, False
        self._thread: threading.Thread | None = None

    @property
    def name(self) -> str:
        return self._backend.name

    def start(self) -> None:
        self._thread = threading.Thread(target=self._work, name=f"courier-{self.name}", daemon=True)
        self._thread.start()

    def wake(self, afresh: bool = False) -> None:
        """There is something new in the ledger. afresh: settings too are new, so earlier failures mean nothing."""
        self._afresh, self._woken = self._afresh or afresh, True
        self._wake.set()

    def leave(self) -> None:
        """Begins what stop() ends."""
        self._stopping = True
        self._wake.set()

    def stop(self, seconds: float = 2.0) -> None:
        """Ends the thread. A report that has not been answered within `seconds` is cut off, and sent again some day."""
        self.leave()
        if self._thread is not None:
            self._thread.join(seconds)
            if self._thread.is_alive():
                self._backend.interrupt()
                self._thread.join(seconds)

    @property
    def trouble(self) -> str | None:
        """Why something that is owed has not been delivered; None if nothing keeps it."""
        reasons = [wait.reason for wait in list(self._waits.values()) if wait.reason]
        return self._ours or self._error or (reasons[0] if reasons else None)

    def status(self) -> dict[str, object]:
        try:
            counts = self._ledger.counts(self.name)
            self._pending, self._delivered = counts.get(PENDING, 0), counts.get(DELIVERED, 0)
        except LedgerError:
            pass  # our own thread has noticed as well
        return {"name": self.name, "pending": self._pending, "delivered": self._delivered, "error": self.trouble}

    def _work(self) -> None:
        while not self._stopping:
            self._wake.clear()
            self._wake.wait(self._guarded_step())
        self._backend.close()

    def _guarded_step(self) -> float:
        try:
            seconds = self.step()
        except LedgerError as error:
            if str(error) != self._ours:
                log.error("%s: nothing can be reported: %s", self.name, error)
            self._ours = str(error)
            return AFTER_LEDGER_ERROR
        except Exception as error:
            if repr(error) != self._ours:
                log.exception("%s: nothing can be reported because of a bug in masakari-qga", self.name)
            self._ours = repr(error)
            return AFTER_BUG
        if self._ours is not None:
            log.info("%s: the trouble on our side is over.", self.name)
        self._ours = None
        return seconds

    def step(self) -> float:
        """Attempts all that is due. Returns the seconds until something will be, unless woken. Raises LedgerError."""
        self._record()
        owed = self._relevant(self._ledger.pending(self.name))
        self._waits = {delivery.id: self._waits[delivery.id] for delivery in owed if delivery.id in self._waits}
        if self._afresh or not owed:
            self._afresh, self._error, self._failures, self._resume_at = False, None, 0, self._clock()
            # A new time has to be really new: that wait is no consequence of a failure.
            self._waits = {number: wait for number, wait in self._waits.items() if wait.renew}
        if self._woken:
            self._woken = False
            for number in self._soon & self._waits.keys():
                self._waits[number] = self._waits[number]._replace(until=AT_ONCE.until)
            self._soon.clear()
        for delivery in self._first_of_each_guest(owed):
            if self._stopping or self._clock() < self._resume_at:
                break
            if self._clock() >= self._wait_of(delivery).until and self._attempt(delivery):
                return 0.0  # the guest's next report, and those that waited for the backend, can go now
        return self._rest(owed)

    def _relevant(self, owed: list[Delivery]) -> list[Delivery]:
        """What is owed, less what does not matter any more."""
        old = outdated(owed, self._wall())
        for delivery in old:
            log.warning("%s: %s is not told any more: it is too old", self.name, delivery.called)
            self._ledger.expired(delivery.id, self._wall())
            self._count(EXPIRED)
        return [it for it in owed if it not in old]

    def _first_of_each_guest(self, owed: Iterable[Delivery]) -> list[Delivery]:
        """A guest's reports go in their order. Among guests, whoever failed least goes first, then the oldest.

        What was found beside a guest's watch may have to wait for as long as the guest hangs: it goes in an order of
        its own, and keeps no report of the hang back.
        """
        first: dict[tuple[str, str], Delivery] = {}
        for delivery in owed:
            it = delivery.incident
            first.setdefault((it.uuid, it.verdict if it.verdict in BESIDE else ""), delivery)
        return sorted(first.values(), key=lambda delivery: self._wait_of(delivery).failures)

    def _wait_of(self, delivery: Delivery) -> Wait:
        return self._waits.get(delivery.id, AT_ONCE)

    def _attempt(self, delivery: Delivery) -> bool:
        """Whether it was delivered."""
        wait = self._wait_of(delivery)
        if wait is AT_ONCE:
            # It loads while the cluster is asked. One that is held may be so for hours, and is begun only once.
            self._used_at = self._clock()
            self._backend.begin()
        # First, so that what is held costs no login; and last, so that nothing has happened since.
        # A login may go on while evidence is taken.
        ready = self._stands(delivery, wait, (STANDS, SOON)) and self._prepared()
        if not (ready and self._stands(delivery, wait, (STANDS,))):
            return False
        if wait.renew:
            self._ledger.renewed(delivery.id, self._wall())
            self._waits[delivery.id] = wait._replace(renew=False)
        attempt = self._ledger.attempt(delivery.id)
        if attempt is None:
            return delivery.kind == CLEARED  # void, and no obstacle to the guest's next report
        outcome = self._backend.deliver(report(delivery, attempt, self._hostname()))
        self._used_at = self._clock()
        if isinstance(outcome, Later):
            self._postpone(delivery, outcome)
            return False
        self._accept(delivery, outcome)
        return True

    def _prepared(self) -> bool:
        self._used_at = self._clock()
        failure = self._backend.prepare()
        if failure is not None:
            self._count(FAILED)
            self._whole(failure)
        return failure is None

    def _stands(self, delivery: Delivery, wait: Wait, wanted: tuple[str, ...]) -> bool:
        """Whether the owner's answer is a wanted one; if not, the delivery waits."""
        if delivery.kind == CLEARED:
            return True  # what is over is over: nobody needs to be asked whether it still is
        try:
            answer = self._confirm(delivery.incident.id)
        except TimeoutError:
            answer = NOT_NOW
        if answer in wanted:
            return True
        if answer == SOON:
            self._soon.add(delivery.id)
        seconds = {GONE: AFTER_GONE, SOON: AFTER_SOON}.get(answer, held(wait))
        self._waits[delivery.id] = wait._replace(until=self._clock() + seconds, held=wait.held + (answer == NOT_NOW))
        return False

    def _accept(self, delivery: Delivery, outcome: Delivered) -> None:
        name = outcome.reference or "an earlier attempt had arrived"
        word = "reported as over" if delivery.kind == CLEARED else "reported"
        log.info("%s: %s %s: %s", self.name, delivery.called, word, name)
        self._count(DELIVERED)
        self._accepted[delivery.id] = (self._wall(), outcome.reference)
        self._waits.pop(delivery.id, None)
        self._record()
        self._well()

    def _record(self) -> None:
        """Tells the ledger what was accepted. Until that has succeeded nothing more is sent: see step()."""
        for delivery, (when, reference) in list(self._accepted.items()):
            self._ledger.delivered(delivery, when, reference)
            del self._accepted[delivery]
            self._told()

    def _postpone(self, delivery: Delivery, outcome: Later) -> None:
        self._count(FAILED)
        before = self._wait_of(delivery)
        failures = before.failures + 1
        until = self._clock() + delay(failures, outcome.after, self._chance())
        self._waits[delivery.id] = Wait(until, failures, outcome.reason, outcome.renew)
        if outcome.whole:
            self._whole(outcome)
        else:
            self._well()
            if outcome.reason != (before.reason or delivery.error):
                log.warning("%s: %s is not reported yet: %s", self.name, delivery.called, outcome.reason)
        self._ledger.postponed(delivery.id, outcome.reason, outcome.uncertain)
        if not outcome.whole and hopeless(delivery, failures):
            log.warning("%s: %s is not told any more: %s", self.name, delivery.called, outcome.reason)
            self._ledger.refused(delivery.id, self._wall(), outcome.reason)
            self._count(REFUSED)

    def _whole(self, failure: Later) -> None:
        self._failures += 1
        self._resume_at = self._clock() + delay(self._failures, failure.after, self._chance())
        if failure.reason != self._error and not self._stopping:
            log.warning("%s: nothing can be reported, it is tried again: %s", self.name, failure.reason)
        self._error = failure.reason

    def _well(self) -> None:
        if self._error is not None:
            log.info("%s: reports are taken again.", self.name)
        self._error, self._failures = None, 0

    def _rest(self, owed: list[Delivery]) -> float:
        now = self._clock()
        dues = [self._wait_of(delivery).until - now for delivery in self._first_of_each_guest(owed)]
        seconds = max(min(dues, default=LOOK_AGAIN), self._resume_at - now)
        if self._used_at is not None and now - self._used_at >= IDLE:
            self._backend.close()
            self._used_at = None
        elif self._used_at is not None:
            seconds = min(seconds, self._used_at + IDLE - now)
        return min(max(seconds, 0.0), LOOK_AGAIN)
