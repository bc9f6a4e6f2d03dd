"""One notification to Masakari. Runs in a process of its own: see heartbeat/sender.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from heartbeat.backends import Later, Outcome, Report
from heartbeat.backends.answers import Answer, meaning, utc
from heartbeat.backends.keystone import Service
from heartbeat.incident import QEMU_DIED, RECOVER

SERVICE_TYPE = "instance-ha"
# The engine acts on exactly these pairs of event and vir_domain_event, and on no others that we could mean.
QEMU_DIED_EVENT = ("LIFECYCLE", "STOPPED_FAILED")
GUEST_EVENT = ("QEMU_GUEST_AGENT_ERROR", "STOPPED_FAILED")
# Of a notification that it stores and ignores; the verdict stands beside it.
RECORD_EVENT = "QGA_RECORD"


class Masakari:
    """options: from heartbeat.connections. wall: the time for people, which Masakari compares."""

    def __init__(self, options: Mapping[str, Any], wall: Callable[[], datetime] = utc) -> None:
        self._service, self._wall = Service(options, SERVICE_TYPE, "Masakari", "masakari"), wall

    def prepare(self) -> Later | None:
        return self._service.prepare()

    def deliver(self, report: Report) -> Outcome:
        reply = self._service.post("/notifications", notification(report))
        if isinstance(reply, Later):
            return reply
        status, document, retry_after = reply
        return meaning(Answer(status, _message(document), retry_after), report, self._wall(), self._service.name)


def notification(report: Report) -> dict[str, object]:
    """Masakari refuses a payload with any key besides these three, so no evidence can travel."""
    event, detail = QEMU_DIED_EVENT if report.verdict == QEMU_DIED else GUEST_EVENT
    if report.action != RECOVER:
        event, detail = RECORD_EVENT, report.verdict.upper().replace("-", "_")
    content = {
        "type": "VM",
        "hostname": report.hostname,
        "generated_time": report.generated_time,
        "payload": {"event": event, "instance_uuid": report.uuid, "vir_domain_event": detail},
    }
    return {"notification": content}


def _message(document: Any) -> str:
    """An error's message, or a notification's uuid. "" if it says neither."""
    content = next(iter(document.values()), None) if isinstance(document, dict) else None
    if not isinstance(content, dict):
        return ""
    said = content.get("message") or content.get("notification_uuid") or content.get("title")
    return said if isinstance(said, str) else ""
