"""A guest's story whose teller keeps books of its own of what a verdict needs, and compares them with every step.

The books know nothing of the decision's state: they are kept from the observations alone.
"""

from __future__ import annotations

from heartbeat import verdict
from heartbeat.incident import ACTIONS, HUNG, IO_ERROR, OBSERVED, PANICKED, QEMU_DIED, RECOVER, SUSPENDED, Open
from heartbeat.observation import (
    Answered,
    Asked,
    Gap,
    Happened,
    Look,
    Observation,
    Panicked,
    Paused,
    Rebooted,
    Resumed,
    Sampled,
    Seen,
    Stopped,
    Tick,
    Vanished,
)
from heartbeat.probe import LIFE, Answer
from heartbeat.watch import stands, wake_at
from tests.harness.observations import RUN, Story, guest, sample

ALWAYS = float("-inf")


class Judged(Story):
    """Fails at the step that breaks a promise."""

    def __init__(self, armed: bool) -> None:
        super().__init__(verdict.begin(guest(), RUN, armed, None, 0.0))
        self.out: list[tuple[float, int]] = []  # questions: when asked, and in which stretch of undisturbed time
        self.stretch, self.silents, self.first_silent, self.looks = 0, 0, 0.0, 0
        self.answered_run = RUN if armed else ""
        self.dumping = self.busy = self.job = self.panicked = False
        self.resumed_at = self.stalled_at = ALWAYS

    def step(self, observation: Observation, after: float = 0.0) -> None:
        open_before = {it.id: it for it in self.incidents if it.id in self.open}
        armed = self.answered_run == self.watch.incarnation
        self._book(observation, self.now + after)
        effects = self.tell(observation, after)
        assert len(self.open) <= 1
        assert self.open == ([self.watch.incident.id] if self.watch.incident else [])
        assert len({it.id for it in self.closed}) == len(self.closed), "closed twice"
        for it in effects:
            if isinstance(it, Open):
                assert (it.incarnation, it.verdict) not in [(a.incarnation, a.verdict) for a in open_before.values()]
                assert it.incarnation == self.watch.incarnation
                if it.verdict == HUNG:
                    self._check_silence(observation)
                if it.action in (RECOVER, OBSERVED, SUSPENDED):
                    assert armed, f"{it.verdict} of a guest that never answered"
                    self._check_recovery(it, observation)
        self._check_report()
        if not isinstance(observation, Tick):
            self._wakes()

    def _check_recovery(self, it: Open, observation: Observation) -> None:
        assert (it.action == OBSERVED) is self.timing.observe
        assert (it.action == SUSPENDED) is (self.fitness.spent and not self.timing.observe)
        name = getattr(observation, "event", "")
        if isinstance(observation, Stopped):
            assert observation.died or self.timing.events[name][1] == RECOVER
            assert it.verdict != PANICKED or self.panicked
        elif isinstance(observation, Happened):
            assert self.timing.events[name] == (it.verdict, RECOVER)
        elif it.verdict == PANICKED:
            paused = observation.pause if isinstance(observation, Seen) else observation
            assert isinstance(paused, Paused)
            assert paused.cause == "crashed"
        elif it.verdict == IO_ERROR:
            assert self.fitness.able
            assert self.now - self.stalled_at >= self.timing.io_error
        else:
            assert it.verdict == HUNG
        assert self.timing.actions.get(it.verdict, RECOVER) == RECOVER
        assert it.verdict == QEMU_DIED or ACTIONS.get(it.verdict, RECOVER) == RECOVER

    def _check_silence(self, observation: Observation) -> None:
        assert isinstance(observation, Sampled)
        assert self.fitness.able
        assert self.silents
        newest = observation.sample
        overdue = newest.balloon and newest.wall - newest.balloon >= self.watch.guest.balloon_period + 2
        assert self.silents >= 2 or overdue, "one question, and no other word of the kernel's"
        assert self.looks >= 2
        assert self.now - self.first_silent >= self.timing.silence * self.fitness.stretch
        assert not any((self.dumping, self.busy, self.job)), "under a hold"
        assert self.now >= self.resumed_at + self.timing.grace, "in its grace"
        assert not observation.sample.frozen

    def _check_report(self) -> None:
        incident = self.watch.incident
        if incident and stands(self.watch, incident.id, self.fitness) == "stands":
            assert self.fitness.able
            assert not (self.fitness.held and incident.action == RECOVER)
            assert self.watch.state == incident.verdict

    def _book(self, observation: Observation, now: float) -> None:
        run, running = self.watch.incarnation, self.watch.running
        pause = observation.pause if isinstance(observation, Seen) else observation
        if isinstance(observation, Seen) and observation.incarnation != run:
            self._interrupted()
            self.answered_run, self.dumping, self.busy, self.job, self.panicked = "", False, False, False, False
            running = True
        if isinstance(pause, Paused):
            self._interrupted()
            if pause.cause != "ioerror":
                self.stalled_at = ALWAYS
            elif self.stalled_at == ALWAYS:
                self.stalled_at = now
        elif isinstance(observation, (Seen, Resumed)):
            self.stalled_at = ALWAYS
            self.resumed_at = self.resumed_at if running else now
        if isinstance(observation, (Rebooted, Stopped, Vanished, Gap)):
            self._interrupted()
            if isinstance(observation, Gap):
                self.stalled_at = max(self.stalled_at, now) if self.stalled_at > ALWAYS else ALWAYS
            elif self.watch.state not in ("stopped", QEMU_DIED) or not isinstance(observation, Rebooted):
                self.dumping = self.dumping and not isinstance(observation, (Rebooted, Stopped))
        if isinstance(observation, Panicked):
            self.panicked = self.dumping = True
        self._book_answers(observation, now)

    def _book_answers(self, observation: Observation, now: float) -> None:
        if isinstance(observation, Asked):
            self.out.append((now, self.stretch))
        elif isinstance(observation, Answered) and (observation.asked, self.stretch) in self.out:
            if self.watch.asked == observation.asked:  # else it is an older question's, with a newer one out since
                self.busy = observation.answer is Answer.BUSY
            if observation.answer is Answer.SILENT:
                self.first_silent = self.first_silent if self.silents else observation.asked
                self.silents += 1
            elif observation.answer in LIFE and self.watch.running and self.watch.asked == observation.asked:
                self.silents, self.looks, self.dumping, self.job, self.panicked = 0, 0, False, False, False
                if observation.answer is Answer.ALIVE:
                    self.answered_run = self.watch.incarnation
        elif isinstance(observation, Sampled):
            self.looks += 1
            self.job = bool(observation.sample.job)

    def _interrupted(self) -> None:
        self.stretch, self.silents, self.looks = self.stretch + 1, 0, 0

    def _wakes(self) -> None:
        """An alarm that is due is moved by what it causes, or else the owner loop would spin."""
        for _ in range(6):
            if wake_at(self.watch, self.timing, self.fitness.stretch) <= self.now:
                self.step(Tick())
        assert wake_at(self.watch, self.timing, self.fitness.stretch) > self.now

    def stays_silent(self, seconds: float, **counters: object) -> None:
        """Every question unanswered and every look the same, put and taken when the decision wants it."""
        end, asked, ask_at, look = self.now + seconds, -1.0, self.now, self.watch.looking
        while self.now < end:
            if look:
                look = Look() in self.tell(Sampled(sample(self.now, **counters)))
            if asked < 0 and ask_at <= self.now:
                asked = self.now
                self.tell(Asked())
            elif 0 <= asked <= self.now - 5:
                effects = self.tell(Answered(Answer.SILENT, asked))
                look, asked, ask_at = look or Look() in effects, -1.0, self.now + 5
            if wake_at(self.watch, self.timing) <= self.now:
                look = look or Look() in self.tell(Tick())
            self.now += 0.5
