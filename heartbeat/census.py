"""Which guests are missed, doubted, failed: kept up to date with each step, so that nobody walks all guests to know."""

from __future__ import annotations

from collections.abc import Iterable

from heartbeat.incident import Incident
from heartbeat.watch import SUSPECT, Watch


class Census:
    """Sets of uuids.

    missed: guests that we would miss. doubted: those that are silent, stalled, or have a question out. incidents: of an
    earlier life, each of a guest that has not been seen yet. suspicions: how often a guest has become suspect so far.
    """

    def __init__(self, incidents: Iterable[Incident]) -> None:
        self.missed: set[str] = set()
        self.doubted: set[str] = set()
        self.suspicions = 0
        self._actions = {incident.uuid: incident.action for incident in incidents}  # of open incidents
        self._in_order: dict[str, list[str]] = {}
        self._holders: dict[int, str] = {}

    def with_incident(self, action: str) -> list[str]:
        """Guests with an open incident of this action, seen in this life or not, in order. The same list until that
        changes."""
        if action not in self._in_order:
            self._in_order[action] = sorted(uuid for uuid, of in self._actions.items() if of == action)
        return self._in_order[action]

    def holder(self, incident: int) -> str:
        """The guest that has this incident open, as far as seen; "" if none has."""
        return self._holders.get(incident, "")

    def put(self, uuid: str, before: Watch | None, after: Watch | None) -> None:
        """One step of one guest. before: None for a new one; after: None for one that is gone."""
        _enlist(self.missed, uuid, after is not None and after.armed and (after.running or after.stalled is not None))
        _enlist(self.doubted, uuid, after is not None and not after.silent_from is after.stalled is after.asked is None)
        if after and after.state == SUSPECT and (before is None or before.state != SUSPECT):
            self.suspicions += 1
        was, now = before and before.incident, after and after.incident
        if before is None or was is not now:
            if was:
                self._holders.pop(was.id, None)
            self._actions.pop(uuid, None)
            if now:
                self._holders[now.id], self._actions[uuid] = uuid, now.action
            self._in_order.clear()


def _enlist(kind: set[str], uuid: str, belongs: bool) -> None:
    if belongs:
        kind.add(uuid)
    else:
        kind.discard(uuid)
