"""What must hold whatever happens in whatever order: no healthy guest is recovered, no failed one is forgotten."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from heartbeat.guest import Channel
from heartbeat.incident import ACTIONS, HUNG, QEMU_DIED, RECOVER, Open
from heartbeat.observation import (
    Answered,
    Asked,
    ChannelChanged,
    Gap,
    Observation,
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
from heartbeat.verdict import begin
from heartbeat.watch import STOPPED, VERDICTS, Timing, stands, wake_at
from tests.harness.observations import FIT, NEXT_RUN, RUN, TIMING, UNFIT, UUID, Story, guest, sample, seen
from tests.harness.simulation import Machine, Node

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

counters = some.fixed_dictionaries({
    "balloon": some.sampled_from([None, 0, 0, 0, 5, 20]), "disk": some.sampled_from([10, 10, 10, 11]),
    "cpu": some.sampled_from([(0, 0, 0), (0, 0, 0), (1, 0, 3), (0.1, 9, 3), (0.5, 0.1, 900)]),
    "monitor": some.sampled_from([True, True, True, False]), "threads": some.sampled_from([1, 1, 1, 0, 2]),
    "process": some.sampled_from(["S", "S", "S", "T", "D", ""]),
})  # fmt: skip
facts = some.one_of(
    some.builds(seen, some.sampled_from([RUN, RUN, NEXT_RUN]), some.sampled_from(["", "", "", "paused: user"]),
                channel=some.sampled_from([Channel.OPEN, Channel.OPEN, *Channel]), balloon=some.sampled_from([0, 10])),
    some.sampled_from([Paused("paused: user"), Resumed(), Rebooted(), ChannelChanged(True), ChannelChanged(False),
                       Stopped(True, "failed"), Stopped(False, "destroyed"), Vanished(), Gap("late", False),
                       Gap("gone", True)]),
)  # fmt: skip
# A question is put and comes back, at once or only after other things have happened; most find nobody.
answers = some.sampled_from([Answer.SILENT] * 12 + list(Answer))
steps = some.lists(
    some.one_of(
        some.just("ask"), some.just("ask"), some.just("ask"), answers, answers, answers, answers, counters, counters,
        counters, some.just(Tick()), some.just(Tick()), some.booleans(), facts,
    ),
    min_size=5, max_size=80,
)  # fmt: skip
pauses = some.sampled_from([0.0, 1.0, 5.0, 5.0, 5.0, 13.0, 61.0])


class Judged(Story):
    """A story that keeps its own books of what a verdict needs, and compares."""

    def __init__(self, armed: bool) -> None:
        super().__init__(begin(guest(), RUN, armed, None, 0.0))
        self.out: list[tuple[float, int]] = []  # questions: when asked, and in which stretch of undisturbed time
        self.stretch, self.silents, self.first_silent, self.looks = 0, 0, 0.0, 0

    def step(self, observation: Observation, after: float) -> None:
        before, open_before = self.watch, self.open
        interrupted = self._book(observation, self.now + after)
        effects = self.tell(observation, after)
        opened = [effect for effect in effects if isinstance(effect, Open)]
        assert len(self.open) <= 1
        assert self.open == ([self.watch.incident.id] if self.watch.incident else [])
        assert len({it.id for it in self.closed}) == len(self.closed)
        for it in opened:
            assert it.verdict not in [that.verdict for that in self.incidents if that.id in open_before]
            assert it.incarnation == before.incarnation
            assert it.action == ACTIONS[it.verdict] or not before.armed
            if it.action == RECOVER:
                assert before.armed
                assert isinstance(observation, (Sampled, Stopped))
            if it.verdict == HUNG:
                assert self.fitness.able
                assert self.silents >= 2
                assert self.looks >= 2
                assert self.now - self.first_silent >= self.timing.silence
                assert isinstance(observation, Sampled)
                assert observation.sample.process == "S" or not observation.sample.process
        if interrupted:
            assert self.watch.silences == 0
        if self.watch.incident and stands(self.watch, self.watch.incident.id, FIT) == "stands":
            assert self.watch.state in VERDICTS
            assert self.watch.running or self.watch.state == QEMU_DIED
        self._wakes()

    def _book(self, observation: Observation, now: float) -> bool:
        run = self.watch.incarnation
        fresh = isinstance(observation, Seen) and (observation.pause or observation.incarnation != run)
        ends = (Paused, Rebooted, Stopped, Vanished, Gap)
        if isinstance(observation, ends) or fresh:
            self.stretch, self.silents, self.looks = self.stretch + 1, 0, 0
            return self.watch.state not in (STOPPED, QEMU_DIED)
        if isinstance(observation, Asked):
            self.out.append((now, self.stretch))
        elif isinstance(observation, Answered):
            mine = (observation.asked, self.stretch) in self.out
            if mine and observation.answer is Answer.SILENT:
                if not self.silents:
                    self.first_silent = observation.asked
                self.silents += 1
            elif mine and observation.answer in LIFE:
                self.silents, self.looks = 0, 0
        elif isinstance(observation, Sampled):
            self.looks += 1
        return False

    def _wakes(self) -> None:
        """An alarm that is due is moved by what it causes, or else the owner loop would spin."""
        if wake_at(self.watch, self.timing) <= self.now:
            self.tell(Tick())
            assert wake_at(self.watch, self.timing) > self.now


@QUICK
@given(armed=some.booleans(), events=steps, waits=some.lists(pauses, min_size=80, max_size=80))
def test_no_sequence_of_observations_breaks_a_promise(armed, events, waits):
    story = Judged(armed)
    for event, after in zip(events, waits):
        if event == "ask":
            story.step(Asked(), after)
        elif isinstance(event, bool):
            story.fitness = FIT if event else UNFIT
        elif isinstance(event, Answer):
            if story.out:
                story.step(Answered(event, story.out[-1][0]), after)
        elif isinstance(event, dict):
            story.step(Sampled(sample(story.now + after, **event)), after)
        else:
            story.step(event, after)
        if isinstance(event, Vanished):
            story.watch = begin(guest(), RUN, False, None, story.now)


@QUICK
@given(
    interval=some.integers(2, 60), timeout=some.integers(1, 20), silence=some.integers(12, 120),
    period=some.sampled_from([0, 1, 5, 10, 30]), phase=some.floats(0, 9), dies=some.floats(0, 60),
    dead=some.sampled_from([(0, 0, 0), (1, 0, 4), (0.6, 0.4, 50), (0.0001, 0, 0.3)]),
    trouble=some.lists(some.tuples(some.sampled_from(["blind", "late", "sleep", "link", "seen", "pause"]),
                                   some.floats(0, 100), some.floats(0.1, 20)), max_size=4),
)  # fmt: skip
def test_every_guest_that_is_silent_and_still_for_long_enough_is_reported(
    interval, timeout, silence, period, phase, dies, dead, trouble
):
    if not period:
        dead = (0, 0, 0)  # without the balloon only a CPU that stands makes a hang
    machine = Machine(balloon=period, phase=phase, dead=dead)
    node = Node(machine, timing=Timing(interval, timeout, silence, 60))
    node.inventory()
    node.run(2 * interval + 30)
    machine.kernel = node.now + dies
    end = machine.kernel
    for what, at, lasts in trouble:
        end = max(end, node.now + at + lasts)
        if what == "blind":
            machine.blind = [*machine.blind, (node.now + at, node.now + at + lasts)]
        elif what == "late":
            node.hold_up(lasts, at)
        elif what == "sleep":
            node.sleep(lasts, at)
        elif what == "link":
            node.link_down(at)
            node.inventory(at + lasts)
        elif what == "pause":
            node.about(Paused("paused: user"), at)
            node.about(Resumed(), at + lasts)
        else:
            node.inventory(at)
    node.run(end - node.now)
    node.run(sum(lasts for what, _, lasts in trouble if what == "late"))
    # One question may be out from before; then two in a row, the balloon's period, and a look that came too early.
    node.run(interval + timeout + max(silence, 2 * max(timeout, 5), 1 + period + 2) + 5 + 5 + 15)
    assert (UUID, HUNG, RECOVER) in node.verdicts
    assert node.state() == HUNG
    assert sum(verdict == HUNG for _, verdict, _ in node.verdicts) == 1


@QUICK
@given(
    period=some.sampled_from([0, 1, 10, 10, 30]), phase=some.floats(0, 9), disk=some.sampled_from([0, 0, 0.2, 50]),
    alive=some.sampled_from([(0.0015, 0.0001, 18), (1.0, 0, 4), (0.05, 0.9, 40), (0.5, 0.1, 2000), (0.2, 0.2, 90)]),
    freezes=some.lists(some.tuples(some.floats(0, 300), some.floats(1, 200)), min_size=1, max_size=4),
    trouble=some.lists(some.tuples(some.sampled_from([
        Rebooted(), Paused("paused: user"), Resumed(), Gap("late", False), ChannelChanged(True), ChannelChanged(False),
        Stopped(False, "shutdown"), "blind", "late", "sleep", "link", "seen",
    ]), some.floats(0, 300), some.floats(0.1, 60)), max_size=8),
)  # fmt: skip
def test_no_guest_whose_kernel_works_is_ever_recovered(period, phase, disk, alive, freezes, trouble):
    """Whatever its agent does: frozen, thawed and frozen again, while all that surrounds it changes."""

    start = 1030.0

    class Living(Machine):
        def answers(self, now: float) -> bool:
            return not any(start + begin <= now < start + begin + lasts for begin, lasts in freezes)

    machine = Living(balloon=period, phase=phase, disk=disk, alive=alive)
    node = Node(machine)
    node.inventory()
    node.run(30)
    for what, at, lasts in trouble:
        if what == "blind":
            machine.blind = [*machine.blind, (start + at, start + at + lasts)]
        elif what == "late":
            node.hold_up(lasts, at)
        elif what == "sleep":
            node.sleep(lasts, at)
        elif what == "link":
            node.link_down(at)
            node.inventory(at + lasts)
        elif what == "seen":
            node.inventory(at)
        else:
            node.about(what, at)
    node.run(600)
    assert RECOVER not in [action for _, _, action in node.verdicts]


@pytest.mark.parametrize("silence", [12, 15, 60])
def test_the_books_of_these_tests_can_be_broken(silence):
    """A hang is found by them, too; or else they would prove nothing."""
    story = Judged(True)
    story.timing = TIMING._replace(silence=silence)
    for _ in range(20):
        story.step(Asked(), 0)
        story.step(Sampled(sample(story.now + 1)), 1)
        story.step(Answered(Answer.SILENT, story.out[-1][0]), 4)
    assert story.verdicts == [(HUNG, RECOVER)]
