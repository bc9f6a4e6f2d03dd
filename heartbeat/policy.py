"""From the configuration to what an operator decides about guests: of all of them, and of each."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from heartbeat.budget import Budget
from heartbeat.condition import Limits
from heartbeat.happenings import EVENTS, Happening
from heartbeat.health.audience import checks_of
from heartbeat.health.definition import Check
from heartbeat.incident import CAREFUL
from heartbeat.settings import PRESETS, VERDICTS
from heartbeat.terms import Consent, Instance, Rules, Terms, terms
from heartbeat.watch import Timing

if TYPE_CHECKING:
    from heartbeat.configuration import Configuration
    from heartbeat.guest import Guest

_TIMES = ("interval", "timeout", "silence", "agent_down", "io_error", "boot", "grace")


class Policy:
    """What the configuration decides about guests. Never changed: a reload makes a new one.

    timing: of a guest whose flavor, image and metadata say nothing, where none has to opt in. checks: all that are
    defined.
    """

    def __init__(self, config: Configuration) -> None:
        self._config = config
        self.rules = Rules(
            opt_in=config.text("watch.guests") == "opt-in",
            flavors=config.words("watch.flavors"),
            sensitivity=config.text("watch.sensitivity"),
            action=config.text("watch.action"),
            api=bool(config["nova.enabled"]),
            checks=frozenset(check.name for check in config.checks),
        )
        self.checks = config.checks
        # Few guests differ from each other in their terms, so nearly all of them share what these say.
        self._timings: dict[tuple[str, str, str], Timing] = {}
        self.timing = self._timing(Terms("", self.rules.sensitivity, self.rules.action))

    def of(self, instance: Instance, consent: Consent | None = None, before: bool = False) -> tuple[Terms, Timing]:
        """The terms of one guest. See heartbeat.terms for the arguments."""
        found = terms(instance, consent, self.rules, before)
        return found, self._timing(found)

    def checks_of(self, guest: Guest, consent: Consent | None = None) -> tuple[Check, ...]:
        """The health checks of one guest. consent: what Nova's API says of it, None as long as it says nothing."""
        return checks_of(self.checks, guest.name, guest.instance, consent)

    def _timing(self, it: Terms) -> Timing:
        key = (it.exempt, it.sensitivity, it.action)
        if key not in self._timings:
            self._timings[key] = _timing(self._config, it)
        return self._timings[key]


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
    """What [watch], [verdicts] and [events] say of a guest that says nothing, as the decision takes it."""
    return Policy(config).timing


def _timing(config: Configuration, it: Terms) -> Timing:
    def least(*actions: str) -> str:
        return min(*actions, it.action, key=CAREFUL.index)

    actions = {verdict: least(config.text(f"verdicts.{verdict}")) for verdict, *_ in VERDICTS}

    def action(event: Happening) -> str:
        """An event whose verdict is in [verdicts] as well causes the weaker of the two."""
        own = config.text(f"events.{event.name}")
        return least(own, actions.get(event.verdict, own))

    return Timing(
        **{name: _seconds(config, f"watch.{name}", it.sensitivity) for name in _TIMES},
        actions=MappingProxyType(actions),
        events=MappingProxyType({event.name: (event.verdict, action(event)) for event in EVENTS}),
        observe=config.text("watch.mode") == "observe",
        exempt=it.exempt,
    )


def _seconds(config: Configuration, key: str, sensitivity: str) -> float:
    """A time that the operator has set himself wins over every sensitivity, as it does over his own."""
    of_preset = config.origins[key] == "default" or config.origins[key].startswith("preset ")
    value = PRESETS[sensitivity][key] if of_preset else config[key]
    assert isinstance(value, (int, float)), key
    return value
