"""Between the watching of guests and their health checks: a fault in the latter ends them, and no heartbeat.

Their steps are made in the owner loop, on what guests have said. One that fails would end the helper; the next helper
would meet the same guest.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Callable

from heartbeat.alarm import NEVER

if TYPE_CHECKING:
    from heartbeat.health.ward import Ward
    from heartbeat.message import Replied
    from heartbeat.schedule import Schedule

log = logging.getLogger(__name__)

BROKEN = "no check is made any more because of a bug in masakari-qga: see the log, restart the resource"


class Fence:
    """Makes a step of the ward's and returns what it gave, or None. schedule: of the calls that may be out."""

    def __init__(self, ward: Ward, schedule: Schedule) -> None:
        self._ward, self._schedule = ward, schedule
        self.broken = False

    def __call__(self, step: Callable[..., Any], *given: Any) -> Any:
        if self.broken:
            return None
        try:
            return step(*given)
        except Exception:
            log.exception("health checks: %s", BROKEN)
            self.broken, self._schedule.starved = True, False
            self._ward.diagnoses.breaker.broken = BROKEN
            return None

    def replied(self, message: Replied, now: float) -> None:
        """A call has come back, and gives its slot to others in any case."""
        if self.broken:
            self._schedule.called(message.uuid)
        self(self._ward.rounds.replied, message.uuid, message.token, message.reply, now)

    @property
    def waiting(self) -> bool:
        return not self.broken and self._ward.rounds.waiting

    def next_at(self) -> float:
        return NEVER if self.broken else self._ward.rounds.next_at()
