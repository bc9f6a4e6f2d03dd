"""What the tests of the forty scenarios share: an operator's default settings, and the one thing that all of them end
with."""

from __future__ import annotations

from heartbeat.happenings import EVENTS
from heartbeat.incident import ACTIONS, OBSERVED, RECOVER, SUSPENDED
from heartbeat.observation import Answered, Asked, Effect, Happened, Tick, Warn
from heartbeat.probe import Answer
from heartbeat.verdict import begin
from tests.harness.observations import RUN, TIMING, Story, guest, healthy
from tests.harness.simulation import Node

HOUR = 3600.0
# As from a configuration file in which nothing is set.
DEFAULT = TIMING._replace(actions=ACTIONS, events={it.name: (it.verdict, it.action) for it in EVENTS})


def well(**about: object) -> Story:
    """A guest that has just answered, judged by the default settings."""
    story = healthy(**about)
    story.timing = DEFAULT
    return story


def unknown(**about: object) -> Story:
    """One that has not answered yet."""
    story = Story(begin(guest(**about), RUN, False, None, 0.0))
    story.timing = DEFAULT
    return story


def happens(story: Story, *events: str) -> None:
    for name in events:
        assert name in story.timing.events
        story.tell(Happened(name))


def passes(story: Story, seconds: float) -> list[Warn]:
    """Time, in which nothing is heard; what an operator is warned of."""
    effects: list[Effect] = []
    end = story.now + seconds
    while story.now < end:
        effects += story.tell(Tick(), min(60.0, end - story.now))
    return [effect for effect in effects if isinstance(effect, Warn)]


def unanswered(story: Story, rounds: int, answer: Answer = Answer.SILENT, **counters: object) -> None:
    """Questions that find nobody, each with a look while it is out. counters: what the looks see; a function of the
    seconds so far, or what it is all the time."""
    for _ in range(rounds):
        asked = story.now
        story.tell(Asked())
        seen = {name: value(story.now) if callable(value) else value for name, value in counters.items()}
        story.now += 1
        story.looked(**seen)
        story.tell(Answered(answer, asked), 4)
        story.tell(Tick(), 5)


def nothing_recovered(subject: Story | Node) -> None:
    """Neither recovered, nor would it have been in another mode or with more budget."""
    actions = {verdict[-1] for verdict in subject.verdicts}
    assert not actions & {RECOVER, OBSERVED, SUSPENDED}
