"""From the configuration to what an operator decides about guests."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from heartbeat.budget import Budget
from heartbeat.conclusion import CAREFUL
from heartbeat.condition import Limits
from heartbeat.happenings import EVENTS, Happening
from heartbeat.settings import VERDICTS
from heartbeat.watch import Timing

if TYPE_CHECKING:
    from heartbeat.configuration import Configuration



def limits(config: Configuration) -> Limits:
    """What [fitness] and [breaker] say."""
    return Limits(
        fit=int(config.number("fitness.limit")),
        share=config.number("breaker.share"),
        number=int(config.number("breaker.number")),
        window=config.number("breaker.window"),
        hold=config.text("breaker.action") == "hold",
    )


def budget(config: Configuration) -> Budget:
    """What [budget] says."""
    numbers = [config.number(f"budget.{name}") for name in ("recoveries", "window", "in_flight")]
    return Budget(int(numbers[0]), numbers[1], int(numbers[2]))


def policy(config: Configuration) -> Timing:
    """What [watch], [verdicts] and [events] say, as the decision takes it."""
    actions = {verdict: config.text(f"verdicts.{verdict}") for verdict, *_ in VERDICTS}

    def action(event: Happening) -> str:
        """An event whose verdict is in [verdicts] as well causes the weaker of the two."""
        own = config.text(f"events.{event.name}")
        return min(own, actions.get(event.verdict, own), key=CAREFUL.index)

    return Timing(
        interval=config.number("watch.interval"),
        timeout=config.number("watch.timeout"),
        silence=config.number("watch.silence"),
        agent_down=config.number("watch.agent_down"),
        io_error=config.number("watch.io_error"),
        boot=config.number("watch.boot"),
        grace=config.number("watch.grace"),
        actions=MappingProxyType(actions),
        events=MappingProxyType({event.name: (event.verdict, action(event)) for event in EVENTS}),
        observe=config.text("watch.mode") == "observe",
    )
