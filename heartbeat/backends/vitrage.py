"""One alarm on a guest in Vitrage, raised and cleared. Runs in a process of its own: see heartbeat/sender.py.

Vitrage's own datasource for such events, doctor, keys its alarms by type and host: two guests of a host would share
one. Its Prometheus datasource puts an alarm on the resource that a label names; docs/backends/vitrage_prometheus.yaml
says which. POST /v1/event checks nothing and answers 200 to everything; an event whose time is written otherwise than
TIME is dropped without a word.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from heartbeat.backends import CLEARED, SLOW, Delivered, Later, Outcome, Report
from heartbeat.backends.answers import Answer, trouble, utc
from heartbeat.backends.causes import NO_JSON
from heartbeat.backends.keystone import Service
from heartbeat.incident import RECOVER
from heartbeat.option import plain

SERVICE_TYPE = "rca"
TIME = "%Y-%m-%dT%H:%M:%S.%f"
NEVER = "0001-01-01T00:00:00Z"  # Prometheus's word for an alarm that lasts


class Vitrage:
    """options: from heartbeat.connections."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._service = Service(options, SERVICE_TYPE, "Vitrage", "vitrage")

    def prepare(self) -> Later | None:
        return self._service.prepare()

    def deliver(self, report: Report) -> Outcome:
        reply = self._service.post("/v1/event", event(report))
        if isinstance(reply, Later):
            return reply
        status, document, retry_after = reply
        name = self._service.name
        if status == 200 and document is not NO_JSON:  # it answers null
            return Delivered("")
        remedy = ""
        if status < 300:
            why = f"Vitrage answers {status} where 200 and null are due; check {name('endpoint')} or the catalogue"
            return Later(why, SLOW, uncertain=True, whole=True)
        if status < 400 or status in (404, 405):
            remedy = f"; check {name('endpoint')} or the catalogue: it takes events at /v1/event"
        elif status == 401:
            remedy = "; it cannot validate our token, check its own [keystone_authtoken]"
        elif status == 403:
            remedy = f"; its policy event:post refuses {name('username')}"
        later = trouble("Vitrage", Answer(status, _message(document), retry_after), utc(), remedy)
        # It says 404 as well when its graph has not answered in time, and may have taken the event: then its alarm must
        # be cleared some day.
        return later._replace(uncertain=True) if status == 404 else later


def event(report: Report) -> dict[str, object]:
    """The same for each attempt: Vitrage keys an alarm by its name and its resource."""
    cleared = report.kind == CLEARED
    status = "resolved" if cleared else "firing"
    begun = _time(report.opened or report.generated_time)
    ended = _time(report.closed) if cleared and report.closed else begun
    said = f"; check {report.said}" if report.said else ""
    alert = {
        "status": status,
        "labels": {
            "alertname": alarm(report.verdict),
            "severity": "critical" if report.action == RECOVER else "warning",
            "instance_uuid": report.uuid,
            "host": report.hostname,
        },
        "annotations": {
            "title": f"Guest {report.uuid}: {report.verdict}",
            "description": f"{plain(report.name, 64)} on {report.hostname}, {report.action}{said}",
        },
        "startsAt": f"{begun:{TIME}}Z",
        "endsAt": f"{ended:{TIME}}Z" if cleared else NEVER,
    }
    moment = ended if cleared else begun
    details = {"status": status, "alerts": [alert]}
    return {"time": f"{moment:{TIME}}", "type": "prometheus.alarm", "details": details}


def alarm(verdict: str) -> str:
    """The alarm's name in Vitrage: qemu-died is QgaQemuDied."""
    return "Qga" + "".join(word.capitalize() for word in verdict.split("-"))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(timezone.utc)


def _message(document: Any) -> str:
    error = document.get("error") if isinstance(document, dict) else None
    found = error.get("message") if isinstance(error, dict) else None
    return found if isinstance(found, str) else ""
