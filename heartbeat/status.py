"""What `masakari-qga status` shows, as plain data: made in the owner loop, printed by somebody else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from heartbeat.watch import Watch


def guests(
    watches: Mapping[str, Watch], deliveries: Mapping[int, Mapping[str, str]], date: Callable[[float], str]
) -> list[dict[str, Any]]:
    """One entry for each guest. deliveries: by incident. date: monotonic seconds as UTC in ISO 8601."""
    return [_guest(watches[uuid], deliveries, date) for uuid in sorted(watches)]


def incidents(watches: Mapping[str, Watch]) -> Sequence[int]:
    return [watch.incident.id for watch in watches.values() if watch.incident]


def _guest(watch: Watch, deliveries: Mapping[int, Mapping[str, str]], date: Callable[[float], str]) -> dict[str, Any]:
    incident = watch.incident and {
        "id": watch.incident.id,
        "verdict": watch.incident.verdict,
        "action": watch.incident.action,
        "opened": watch.incident.opened,
        "deliveries": dict(deliveries.get(watch.incident.id, {})),
    }
    return {
        "uuid": watch.guest.uuid,
        "name": watch.guest.name,
        "state": watch.state,
        "since": date(watch.since),
        "last_answer": None if watch.answered is None else date(watch.answered),
        "armed": watch.armed,
        "detail": watch.detail,
        "holds": [hold.why for hold in watch.holds],
        "incident": incident,
    }
