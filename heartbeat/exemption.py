"""What becomes of a guest that is not watched, since it has not opted in or is to be left alone. Pure.

Whether it runs is followed, so that it can be watched from one moment to the next. Nothing is concluded of it, nothing
is asked, and what was open is closed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from heartbeat.conclusion import Step
from heartbeat.guest import Channel
from heartbeat.incident import IGNORE, Close, Forget
from heartbeat.observation import Ask, Effect, Observation, Stopped
from heartbeat.watch import (
    EXEMPT,
    PAUSED,
    STOPPED,
    UNKNOWN,
    UNMONITORED,
    VERDICTS,
    WAITING,
    Fitness,
    Timing,
    Watch,
    calm,
)

_Judge = Callable[[Watch, Any, float, Fitness, Timing], Step]


def left_alone(
    step: _Judge, watch: Watch, observation: Observation, now: float, fitness: Fitness, timing: Timing
) -> Step:
    """The step of a guest that `timing` exempts. step: what the observation would do to one that is watched."""
    effects: list[Effect] = []
    if watch.incident:
        effects.append(Close(watch.incident.id, f"not watched any more: {timing.exempt}"))
    if watch.armed:
        # What it does while nobody asks it is unknown: it has to answer again before its silence means anything.
        effects.append(Forget(watch.guest.uuid))
    watch = watch._replace(incident=None, armed=False)
    nothing = timing._replace(actions=dict.fromkeys(timing.actions, IGNORE), events={})
    after, _ = step(watch, observation, now, fitness, nothing)
    after = after._replace(
        asked=None, closed_from=None, stalled=None, panicked=False, armed=False, answered=None, holds=()
    )
    if after.running and after.state != UNKNOWN:
        after = calm(after, EXEMPT, timing.exempt)
    elif after.state in VERDICTS:
        after = calm(after, STOPPED if isinstance(observation, Stopped) else PAUSED, timing.exempt)
    return after, effects


def readmitted(watch: Watch, now: float) -> Step:
    """A guest that was exempt so far and runs: it is watched as one that has just been found."""
    state = UNMONITORED if watch.guest.channel is Channel.ABSENT else WAITING
    return calm(watch._replace(begun=now, started=False), state), [Ask()] if state == WAITING else []
