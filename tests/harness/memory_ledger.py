"""A ledger on no disk, for guests in logical time."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from heartbeat.incident import RECOVER, Arm, Change, Close, Forget, Incident, Open
from heartbeat.ledger import LedgerError


class MemoryLedger:
    """What the ledger does for the owner, on no disk. broken: every change is refused."""

    def __init__(self, armed: Mapping[str, str] = {}, incidents: Sequence[Incident] = ()) -> None:
        self._armed, self._open = dict(armed), {it.id: it for it in incidents}
        self.opened: list[Incident] = []
        self.closed: list[Close] = []
        self.broken = False
        self.attempts = 0
        self._numbers = itertools.count(100)

    def armed(self) -> dict[str, str]:
        return dict(self._armed)

    def open_incidents(self) -> list[Incident]:
        return list(self._open.values())

    def apply(self, changes: Sequence[Change], now: str, recipients: Mapping[str, Sequence[str]]) -> list[Incident]:
        self.attempts += 1
        if self.broken:
            raise LedgerError("/ledger", "the disk is full; make room on its filesystem")
        new = []
        for change in changes:
            if isinstance(change, Open):
                it = Incident(next(self._numbers), *change[:5], now, change.evidence)
                self._open[it.id] = it
                new.append(it)
            elif isinstance(change, Close):
                del self._open[change.id]
                self.closed.append(change)
            elif isinstance(change, Arm):
                self._armed[change.uuid] = change.incarnation
            elif isinstance(change, Forget):
                self._armed.pop(change.uuid, None)
        self.opened += new
        return new

    def recoveries(self, uuid: str, since: str) -> int:
        """As if each had been delivered at once."""
        return sum(it.uuid == uuid and it.action == RECOVER and it.opened >= since for it in self.opened)

    def in_flight(self, since: str, besides: int = 0) -> int:
        return sum(
            it.action == RECOVER and it.opened >= since and it.id != besides for it in self._open.values()
        )

    def recovering(self, it: Incident, since: str) -> bool:
        """Nobody has been told of anything."""
        return False
