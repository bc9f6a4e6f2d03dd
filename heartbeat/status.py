"""What `masakari-qga status` shows, as plain data: made in the owner loop, printed by somebody else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from heartbeat.discrepancies import Discrepancies
from heartbeat.health import account
from heartbeat.health.account import Account
from heartbeat.incident import Incident
from heartbeat.watch import Watch

Deliveries = Mapping[int, Mapping[str, str]]
_NONE = Account()


def guests(
    watches: Mapping[str, Watch],
    deliveries: Deliveries,
    recoveries: Mapping[str, str],
    date: Callable[[float], str],
    health: Mapping[str, Account] = {},
) -> list[dict[str, Any]]:
    """One entry for each guest. deliveries: by incident. recoveries: how it stands with each that is followed, by uuid.
    date: monotonic seconds as UTC in ISO 8601. health: of guests that have checks, or an incident of one."""
    return [
        {
            **_guest(watches[uuid], deliveries, date),
            "recovery": recoveries.get(uuid),
            "checks": account.listed(it.known, date),
            "unhealthy": it.incident and _incident(it.incident, deliveries),
        }
        for uuid, it in ((uuid, health.get(uuid, _NONE)) for uuid in sorted(watches))
    ]


def nova(nova: Discrepancies, deliveries: Deliveries, date: Callable[[float], str]) -> dict[str, Any] | None:
    """What Nova says, and where it and libvirt disagree; None while it is not asked."""
    if nova.limits is None:
        return None
    known = nova.known
    return {
        "heard": None if known.heard is None else date(known.heard),
        "error": nova.trouble or None,
        "servers": sum(it.host == nova.limits.host for it in known.servers.values()),
        "differences": [
            {"uuid": uuid, "name": nova.incidents[uuid].name, **_incident(nova.incidents[uuid], deliveries)}
            for uuid in sorted(nova.incidents)
        ],
    }


def incidents(watches: Mapping[str, Watch], *beside: Mapping[str, Incident]) -> Sequence[int]:
    """All that are open. beside: by uuid, those that are not of the guests' watches."""
    ours = [watch.incident.id for watch in watches.values() if watch.incident]
    return ours + [incident.id for found in beside for incident in found.values()]


def _incident(incident: Incident, deliveries: Deliveries) -> dict[str, Any]:
    words = ("id", "verdict", "action", "opened")
    found = {word: getattr(incident, word) for word in words}
    return {**found, "deliveries": dict(deliveries.get(incident.id, {}))}


def _guest(watch: Watch, deliveries: Deliveries, date: Callable[[float], str]) -> dict[str, Any]:
    return {
        "uuid": watch.guest.uuid,
        "name": watch.guest.name,
        "state": watch.state,
        "since": date(watch.since),
        "last_answer": None if watch.answered is None else date(watch.answered),
        "armed": watch.armed,
        "detail": watch.detail,
        "holds": [hold.why for hold in watch.holds],
        "incident": watch.incident and _incident(watch.incident, deliveries),
    }
