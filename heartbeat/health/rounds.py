"""The runs of health checks: which is due, which calls are out, and what waits for a slot. Owner loop only.

A run is put aside while its guest may not be asked anything, and counts for nothing bad then: a pause, a migration or
our own lateness is no fault of the application's. It is not given up, or else its process in the guest would be
forgotten, and the next run would begin another one beside it.
"""

from __future__ import annotations

import random
import zlib
from collections import deque
from collections.abc import Mapping
from typing import Callable, Protocol

from heartbeat.alarm import Alarms
from heartbeat.health import course, replies
from heartbeat.health.condition import BAD
from heartbeat.health.course import Course, Result, Status, Step
from heartbeat.health.definition import Check
from heartbeat.health.patient import Job, Patient, Tell
from heartbeat.health.replies import Call, Reply
from heartbeat.probe import Answer
from heartbeat.schedule import TICK, Schedule

# Seconds until a guest that may not be checked is looked at again: with no run under way, at most, and with one.
HELD, ASIDE = 30.0, 1.0
# Seconds that a run gives way to questions to guests that were silent before; there may be enough of those to take
# every slot that calls may have, for days.
PATIENCE = 10.0
SYNC_LIMIT = 5  # seconds, of a question by hand


class Command(Protocol):
    """Gives an agent a command, as the hypervisor's of this name."""

    def __call__(
        self, uuid: str, token: int, execute: str, arguments: Mapping[str, object], timeout: int
    ) -> None: ...


class Rounds:
    """hindrance: why a guest may not be checked now, "" if it may. timeout: seconds that a question to it may be out;
    no call is out for longer, since its question waits meanwhile. silent: called with a guest that left a call
    unanswered. ended: called with a job and the result of its run."""

    def __init__(
        self,
        schedule: Schedule,
        command: Command,
        hindrance: Callable[[str], str],
        timeout: Callable[[str], float],
        silent: Callable[[str], None],
        ended: Callable[[Job, Result, float], None],
    ) -> None:
        self._schedule, self._command, self._hindrance, self._timeout = schedule, command, hindrance, timeout
        self._silent, self._ended = silent, ended
        self._alarms = Alarms()
        self._jobs: dict[str, Job] = {}
        self._out: dict[int, Job] = {}
        self._waiting: deque[Job] = deque()  # until there is a slot
        self._token = 0

    def add(self, patient: Patient, check: Check, now: float, before: Course | None = None) -> None:
        """Run a check from now on, at its own place within its interval. before: its last run, where that is still
        worth something."""
        job = Job(patient, check, _key(patient.uuid, check.name))
        job.course = before
        self._jobs[job.key] = job
        self._alarms.set(job.key, now + _until_place(job, now))

    def drop(self, uuid: str, check: str) -> Course | None:
        """Run it no more; returns its last run. A call that is out keeps its slot until it is back."""
        job = self._jobs.pop(_key(uuid, check), None)
        if job:
            self._alarms.drop(job.key)
            for tell in job.asking:
                tell(Result(Status.UNKNOWN, "the guest, its agent or the settings changed meanwhile", 0.0), _NOTHING)
        return job.course if job else None

    def hurry(self, uuid: str, check: str, now: float) -> None:
        """Run it at once, unless it is under way."""
        job = self._jobs.get(_key(uuid, check))
        if job and not job.under_way and job.waiting is None:
            self._alarms.set(job.key, now)

    def by_hand(self, patient: Patient, check: Check | None, tell: Tell, now: float) -> None:
        """Run a check at once for somebody who wants to know, or ask a question where it is None. The result counts for
        nothing else, except of a run that is under way already."""
        job = self._jobs.get(_key(patient.uuid, check.name)) if check else None
        if job is None or job.check != check:
            self._token += 1
            job = Job(patient, check, f"{self._token} by hand", single=True)
            self._jobs[job.key] = job
        job.asking.append(tell)
        if not job.under_way and job.waiting is None:
            job.by_hand = True
            self._alarms.set(job.key, now)

    def doubt(self, why: str) -> None:
        """We were not able to look: what the runs under way find bad counts for nothing."""
        for job in self._jobs.values():
            if job.under_way:
                job.doubt = job.doubt or why

    @property
    def waiting(self) -> bool:
        """Whether a run waits for a slot, so that each call or question that comes back matters."""
        return bool(self._waiting)

    def next_at(self) -> float:
        """When a run is due, those that wait for a slot apart."""
        return self._alarms.next_at()

    def step(self, now: float) -> None:
        """Whatever is due."""
        for _ in range(len(self._waiting)):
            if not self._schedule.roomy(now):
                break
            job = self._waiting.popleft()
            if self._jobs.get(job.key) is job:
                self._serve(job, now)
        longest = self._waiting[0].waiting if self._waiting else None
        self._schedule.starved = longest is not None and now - longest >= PATIENCE
        # A bounded number: a guest that is put aside is due again at once where intervals are short.
        for _ in range(len(self._jobs)):
            key = self._alarms.take(now)
            if key is None:
                break
            if key in self._jobs:
                self._serve(self._jobs[key], now)

    def replied(self, uuid: str, token: int, reply: Reply, now: float) -> None:
        self._schedule.called(uuid)
        if reply.answer in (Answer.SILENT, Answer.CLOSED):
            self._silent(uuid)
        job = self._out.pop(token, None)
        if job is None or self._jobs.get(job.key) is not job or job.out != token:
            return  # it is run no more, or anew
        call, job.out, job.call = job.call, None, None
        if job.check is None:
            assert call is not None
            good = reply.answer is Answer.ALIVE and reply.value == call.arguments["id"]
            status = Status.HEALTHY if good else Status.UNHEALTHY
            self._end(job, Result(status, reply.answer.value, reply.took), now, reply)
        elif not job.informing:
            assert job.course is not None
            # A call's way to its slot is our time, and none of the run's.
            self._go_on(job, course.step(job.course, reply, now - job.waited), now, reply)
        elif replies.alive(reply):
            job.informing, job.waited = False, 0.0
            job.patient.capabilities = replies.capabilities(reply.value)
            self._go_on(job, course.begin(job.check, job.patient.capabilities, now, job.course), now, reply)
        else:
            self._end(job, Result(Status.UNKNOWN, reply.answer.value, reply.took), now, reply)

    def _serve(self, job: Job, now: float) -> None:
        """The job's next call, if it may be put; else when to try again."""
        uuid, check = job.patient.uuid, job.check
        why = self._hindrance(uuid) if check else ""
        if why:
            job.waiting = None
            if job.under_way and not job.single:
                job.doubt = job.doubt or why
                self._alarms.set(job.key, now + ASIDE)
            elif job.asking:
                self._end(job, Result(Status.UNKNOWN, f"not checked: {why}", 0.0), now, _NOTHING)
            else:
                self._alarms.set(job.key, now + min(check.interval if check else HELD, HELD))
            return
        if job.call is not None:
            self._put(job, job.call, now)
        elif self._schedule.busy(uuid) or not self._schedule.roomy(now):
            self._wait(job, now)
        else:
            job.waiting = None  # before it began
            self._begin(job, now)

    def _wait(self, job: Job, now: float) -> None:
        job.waiting = now if job.waiting is None else job.waiting
        self._waiting.append(job)

    def _begin(self, job: Job, now: float) -> None:
        if job.check is None:
            self._put(job, Call("guest-sync", {"id": random.getrandbits(31)}, SYNC_LIMIT), now)
        elif job.patient.capabilities is None:
            job.informing = True
            self._put(job, replies.INFO, now)
        else:
            self._go_on(job, course.begin(job.check, job.patient.capabilities, now, job.course), now, _NOTHING)

    def _put(self, job: Job, call: Call, now: float) -> None:
        uuid, job.call = job.patient.uuid, call
        if not self._schedule.call(uuid, now):
            self._wait(job, now)
            return
        if job.waiting is not None:
            job.waited, job.waiting = job.waited + now - job.waiting, None
        self._token += 1
        job.out = self._token
        self._out[self._token] = job
        timeout = min(call.timeout, max(int(self._timeout(uuid)), 1))
        self._command(uuid, self._token, call.execute, call.arguments, timeout)

    def _go_on(self, job: Job, step: tuple[Course, Step], now: float, reply: Reply) -> None:
        job.course, follows = step
        if isinstance(follows, Result):
            self._end(job, follows, now, reply)
            return
        job.call = follows
        if follows.after:
            self._alarms.set(job.key, now + follows.after)
        else:
            self._serve(job, now)

    def _end(self, job: Job, result: Result, now: float, reply: Reply) -> None:
        if job.doubt and result.status in BAD:
            text = f"counts for nothing, {job.doubt}: {result.text}"
            result = Result(Status.UNKNOWN, text[: replies.SHOWN], result.took)
        counts, asking = not (job.by_hand or job.single), job.asking
        job.begin_anew()
        job.asking = []
        if job.single:
            del self._jobs[job.key]
        else:
            self._alarms.set(job.key, now + _until_place(job, now))
        for tell in asking:
            tell(result, reply)
        if counts:
            self._ended(job, result, now)


_NOTHING = Reply(Answer.UNCLEAR)


def _key(uuid: str, check: str) -> str:
    return f"{uuid} {check}"


def _until_place(job: Job, now: float) -> float:
    """Seconds until the job's own place in its interval: another one for each check and guest, and at whole seconds, so
    that they fall together with questions."""
    interval = job.check.interval if job.check else HELD
    share = zlib.crc32(job.key.encode()) / 2**32
    return (share * interval // TICK * TICK - now) % interval or interval
