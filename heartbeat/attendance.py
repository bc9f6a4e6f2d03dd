"""Which domains libvirt has, running or not: from its complete lists and the events between them. Owner loop only."""

from __future__ import annotations

from collections.abc import Container, Mapping

from heartbeat.expectation import Presence
from heartbeat.observation import Gap, Observation, Seen, Stopped, Vanished
from heartbeat.terms import NO_INSTANCE, Instance
from heartbeat.watch import Watch


class Attendance:
    """present: by uuid; None until libvirt has been read as a whole, and again while it is away. listed: when that was,
    in monotonic seconds. changed: since somebody last set this to False."""

    def __init__(self) -> None:
        self.present: dict[str, Presence] | None = None
        self.listed = float("-inf")
        self.changed = True
        self._instances: dict[str, Instance] = {}

    def inventory(self, found: Mapping[str, Observation], now: float, expected: Container[str]) -> None:
        """A complete list. expected: who should be here; of them it is kept what stood in their domains."""
        self.present = {uuid: it for uuid, seen in found.items() if (it := _presence(seen))}
        self._instances = {uuid: it for uuid, it in self._instances.items() if uuid in found or uuid in expected}
        for uuid, seen in found.items():
            self._describe(uuid, seen)
        self.listed, self.changed = now, True

    def observe(self, uuid: str, observation: Observation) -> None:
        """Of the events those that say whether a guest is here."""
        if self.present is None:
            return
        presence = _presence(observation)
        if presence:
            self._describe(uuid, observation)
            self.present[uuid] = presence
            self.changed = True
        elif isinstance(observation, Vanished):
            self.present.pop(uuid, None)
            self.changed = True

    def blind(self) -> None:
        """libvirt cannot be reached: nothing is known of who is here."""
        self.present = None

    def here(self, uuid: str) -> bool | None:
        """Whether libvirt has this guest, running or not; None: it cannot say now."""
        return None if self.present is None else uuid in self.present

    def instance(self, uuid: str) -> Instance:
        """What stood in the domain of a guest that was here in this life of ours: it opts in even who is missing."""
        return self._instances.get(uuid, NO_INSTANCE)

    def explained(self, watches: Mapping[str, Watch]) -> Mapping[str, Presence]:
        """Who is present, with a mark on those of whom an incident says more already: that it has died, say."""
        present = self.present or {}
        marked = {
            uuid: (present.get(uuid) or Presence(False))._replace(explained=True)
            for uuid, it in watches.items() if it.incident and not it.running
        }  # fmt: skip
        return {**present, **marked} if marked else present

    def _describe(self, uuid: str, observation: Observation) -> None:
        if isinstance(observation, Seen) and observation.guest.instance != NO_INSTANCE:
            self._instances[uuid] = observation.guest.instance


def _presence(observation: Observation) -> Presence | None:
    if isinstance(observation, Seen):
        return Presence(True)
    if isinstance(observation, Stopped):
        return Presence(False, observation.why)
    return Presence(None) if isinstance(observation, Gap) else None
