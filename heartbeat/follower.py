"""The follower: finds out what becomes of each recovery that was asked for, until that is known.

A thread and a child process of its own, not the courier's: a question about an old report may hang for as long as
Masakari likes, and must not keep a new one waiting. Both rest while nothing is followed.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from heartbeat.backends import Later, Sought
from heartbeat.ledger import Ledger, LedgerError
from heartbeat.outcome import FINISHED, IGNORED, NOT_RECOVERED, SKIPPED, Decided, Effect, Followed, Retry, Word, judge

log = logging.getLogger(__name__)

# Seconds between two questions about one notification: the first, what each is longer than the one before, the longest
# while an outcome is awaited, and after it has been late.
FIRST, LONGER, LONGEST, LATE = 2.0, 1.5, 30.0, 60.0
# Between two looks at the guests themselves, should nobody wake us.
LOOK = 5.0
IDLE = 60.0
AFTER_TROUBLE = 10.0
_BAD = frozenset({NOT_RECOVERED, SKIPPED, IGNORED})


class Asker(Protocol):
    """Who can be asked how far a receiver has come with a report: a Sender."""

    def look(self, it: Sought) -> Word | Later:
        """Makes one attempt, in bounded time."""

    def close(self) -> None:
        """Gives back what it holds. It may be used again."""

    def interrupt(self) -> None:
        """Ends a call in progress. From any thread."""


class Poll(NamedTuple):
    """When a notification is asked for next (monotonic), and how long after the last time that is."""

    at: float
    every: float


class Follower:
    """wake(), stop(), configure() and needing are for any thread.

    here: which of these guests this node has; None for one: not known now. again: has the guest of an incident reported
    anew, if it still fails. Both ask the owner loop and may raise TimeoutError. wall: UTC in ISO 8601. clock: monotonic
    seconds.
    """

    def __init__(
        self,
        ledger: Ledger,
        here: Callable[[Sequence[str]], Mapping[str, bool | None]],
        again: Callable[[str, int, str], None],
        wall: Callable[[], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger, self._here, self._again, self._wall, self._clock = ledger, here, again, wall, clock
        self._asker: Asker | None = None
        self._wanted: Asker | None = None
        self._deadline = 600.0
        self._polls: dict[int, Poll] = {}
        self._resume_at, self._used_at = clock(), clock()
        self._moved = self._now()  # what was done while we were away is not known
        self._trouble: str | None = None
        self.needing: list[str] = []  # replaced, never changed
        self._wake, self._stopping = threading.Event(), False
        self._thread: threading.Thread | None = None

    def configure(self, asker: Asker | None, deadline: float) -> None:
        """asker: None if Masakari is not told of anything."""
        self._wanted, self._deadline = asker, deadline
        self.wake()

    def start(self) -> None:
        self._thread = threading.Thread(target=self._work, name="follower", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        self._wake.set()

    def leave(self) -> None:
        """Begins what stop() ends."""
        self._stopping = True
        self._wake.set()
        if self._asker is not None:
            self._asker.interrupt()

    def stop(self, seconds: float = 2.0) -> None:
        self.leave()
        if self._thread is not None:
            self._thread.join(seconds)

    def _work(self) -> None:
        while not self._stopping:
            self._wake.clear()
            self._wake.wait(self._guarded_step())
        if self._asker is not None:
            self._asker.close()

    def _guarded_step(self) -> float | None:
        try:
            return self.step()
        except (LedgerError, TimeoutError) as error:
            self._note(str(error))
        except Exception as error:
            if repr(error) != self._trouble:
                log.exception("outcomes cannot be followed because of a bug in masakari-qga")
            self._trouble = repr(error)
        return AFTER_TROUBLE

    def step(self) -> float | None:
        """Looks at all that is followed. Returns the seconds until the next time, None for when woken. Raises
        LedgerError, TimeoutError."""
        if self._asker is not self._wanted:
            if self._asker is not None:
                self._asker.close()
            self._asker = self._wanted
        followed = self._ledger.followed()
        here = self._here([it.uuid for it in followed]) if followed else {}
        self._polls = {it.incident: self._polls.get(it.incident, self._first()) for it in followed}
        for it in followed:
            if self._stopping:
                return None
            self._consider(it, here.get(it.uuid))
        self.needing = self._ledger.needing()
        return self._rest(bool(followed))

    def _consider(self, it: Followed, here: bool | None) -> None:
        word = self._word(it)
        known, effects = judge(it, word, here, self._moved, self._now(), self._deadline)
        if known != it:
            self._ledger.learned(known)
            if known.word != it.word or known.done:
                self._moved = self._now()
        if known.word != it.word:
            said = known.word.said and f": {known.word.said}"
            log.info("%s: Masakari says %s%s", _called(it), known.word.status, said)
        for effect in effects:
            self._carry_out(it, effect)

    def _carry_out(self, it: Followed, effect: Effect) -> None:
        if isinstance(effect, Decided):
            level = logging.INFO if effect.outcome not in _BAD else logging.WARNING
            log.log(level, "%s: %s: %s", _called(it), effect.outcome, effect.why)
        elif isinstance(effect, Retry):
            self._again(it.uuid, it.incident, f"{NOT_RECOVERED}: {effect.why}")

    def _word(self, it: Followed) -> Word | None:
        """Masakari's, if it is time to ask and it answers."""
        asker, poll, now = self._asker, self._polls[it.incident], self._clock()
        finished = it.word.ended and not (it.word.status == FINISHED and not it.word.deed)
        if asker is None or finished or not it.generated_time or it.answered or now < max(poll.at, self._resume_at):
            return None
        found = asker.look(Sought(it.uuid, it.generated_time, it.reference))
        self._used_at = now = self._clock()
        every = LATE if it.outcome else min(poll.every * LONGER, LONGEST)
        self._polls[it.incident] = Poll(now + every, every)
        if isinstance(found, Later):
            self._resume_at = now + max(found.after or 0.0, AFTER_TROUBLE)
            self._note(found.reason)
            return None
        self._note(None)
        return found

    def _note(self, trouble: str | None) -> None:
        if trouble != self._trouble and not self._stopping:
            if trouble:
                log.warning("what became of reports cannot be found out: %s", trouble)
            else:
                log.info("what became of reports can be found out again")
        self._trouble = trouble

    def _rest(self, busy: bool) -> float | None:
        now = self._clock()
        if self._asker is not None and (not busy or now >= self._used_at + IDLE):
            self._asker.close()
        if not busy:
            return None
        dues = [max(poll.at, self._resume_at) - now for poll in self._polls.values()]
        return min(max(min(dues), 1.0), LOOK)

    def _first(self) -> Poll:
        return Poll(self._clock() + FIRST, FIRST)

    def _now(self) -> float:
        return datetime.fromisoformat(self._wall()).timestamp()


def _called(it: Followed) -> str:
    return f"incident {it.incident} ({it.verdict}, guest {it.uuid})"
