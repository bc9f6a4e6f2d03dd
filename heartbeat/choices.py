"""On which terms each guest is watched, chosen once and kept until something that bears on it changes."""

from __future__ import annotations

from typing import Callable

from heartbeat.terms import Instance, Terms
from heartbeat.watch import Timing

Choice = tuple[Terms, Timing]


class Choices:
    """choose: makes a choice from a guest's uuid, what Nova wrote into its domain, and whether it has answered before;
    None: every guest by the same Timing."""

    def __init__(self) -> None:
        self.choose: Callable[[str, Instance, bool], Choice] | None = None
        self._made: dict[str, tuple[Instance, Terms, Timing]] = {}

    def timing(self, uuid: str, instance: Instance, before: bool, usual: Timing) -> Timing:
        if self.choose is None:
            return usual
        made = self._made.get(uuid)
        if made is None or made[0] != instance:
            made = self._made[uuid] = (instance, *self.choose(uuid, instance, before))
        return made[2]

    def terms(self, uuid: str) -> Terms | None:
        made = self._made.get(uuid)
        return made[1] if made else None

    def forget(self, uuid: str) -> Timing | None:
        """Choose anew when it is next asked for. Returns what held so far."""
        made = self._made.pop(uuid, None)
        return made[2] if made else None
