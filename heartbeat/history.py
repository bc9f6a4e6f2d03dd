"""What a guest has been through lately: a few lines of text for each, kept in case an incident comes of it. Pure.

Of thousands of guests nearly all stay healthy, and an answer leaves nothing here. One string a guest, bounded, is the
least that Python can keep.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from heartbeat.observation import (
    Answered,
    ChannelChanged,
    ClockSet,
    Gap,
    Happened,
    Observation,
    Panicked,
    Paused,
    Rebooted,
    Resumed,
    Seen,
    Stopped,
    Tasked,
    Unrecovered,
)
from heartbeat.probe import Answer
from heartbeat.settings import plain
from heartbeat.watch import Watch

MOST, LONGEST = 700, 120  # characters of all, and of one line's text
AGENT = "agent: "  # how lines begin that the agent has earned
_TOLD: dict[type, Callable[..., str]] = {
    Paused: lambda it: it.why,
    Resumed: lambda it: f"resumed: {it.how}" if it.how else "resumed",
    Rebooted: lambda it: "reset",
    Panicked: lambda it: "its kernel panicked, and dumps" if it.dumping else "its kernel panicked",
    Happened: lambda it: f"event {it.event}",
    ChannelChanged: lambda it: f"it {'opened' if it.open else 'closed'} the agent's channel",
    Stopped: lambda it: f"QEMU {'died' if it.died else 'ended'}: {it.why}",
    Tasked: lambda it: f"Nova is at it: {it.task}" if it.task else "Nova has done with it",
    Unrecovered: lambda it: f"not recovered: {it.why}",
    Gap: lambda it: f"not observed: {it.why}",
    ClockSet: lambda it: "the host's clock was set",
}


def worth(observation: Observation, before: Watch, after: Watch) -> bool:
    """Whether a step is one to remember. Asked at every step, so it asks little."""
    kind = type(observation)
    if kind is Answered:
        return before.state != after.state or observation.answer is not Answer.ALIVE  # type: ignore[union-attr]
    return before.state != after.state or kind in _TOLD


def noted(history: str, observation: Observation, before: Watch, after: Watch, now: float) -> str:
    """The history with this step as its last line. now: monotonic seconds. What repeats itself is told once."""
    told = _TOLD.get(type(observation))
    words = [told(observation)] if told else []
    if isinstance(observation, Answered) and observation.answer is not Answer.ALIVE:
        words.append(AGENT + observation.answer.value)
    if isinstance(observation, Seen) and observation.incarnation != before.incarnation:
        words.append("seen as another QEMU process")
    if before.state != after.state:
        detail = f": {after.detail}" if after.detail and after.detail not in words else ""
        words.append(f"{after.state}, was {before.state}{detail}")
    text = plain("; ".join(words), LONGEST)
    if not text or history.endswith(f" {text}\n"):
        return history
    whole = f"{history}{now:.1f} {text}\n"
    return whole if len(whole) <= MOST else whole[whole.index("\n", len(whole) - MOST - 1) + 1 :]


def lines(history: str, date: Callable[[float], str]) -> Iterator[str]:
    """A line each, oldest first. date: monotonic seconds as UTC in ISO 8601."""
    for line in history.splitlines():
        at, _, text = line.partition(" ")
        yield f"{date(float(at))} {text}"
