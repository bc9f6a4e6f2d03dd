"""One notification to Masakari. Runs in a process of its own: see heartbeat/sender.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from heartbeat.backends import Later, Outcome, Report, Sought
from heartbeat.backends.answers import Answer, meaning, trouble, utc
from heartbeat.backends.keystone import Service
from heartbeat.backends.notifications import find, word
from heartbeat.incident import QEMU_DIED, RECOVER
from heartbeat.outcome import LOST, Word

SERVICE_TYPE = "instance-ha"
# The engine acts on exactly these pairs of event and vir_domain_event, and on no others that we could mean.
QEMU_DIED_EVENT = ("LIFECYCLE", "STOPPED_FAILED")
GUEST_EVENT = ("QEMU_GUEST_AGENT_ERROR", "STOPPED_FAILED")
# Of a notification that it stores and ignores; the verdict stands beside it.
RECORD_EVENT = "QGA_RECORD"
# The first microversion that shows what the engine did. The API has to ask it, and waits a minute for one that is away.
DETAILS = "1.1"
LIST = "/notifications?type=VM&sort_key=generated_time&sort_dir=asc&limit=100&generated-since="


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

    def look(self, it: Sought) -> Word | Later:
        """How far Masakari has come with a notification."""
        reference = it.reference
        if not reference:
            listed = self._get(LIST + quote(it.generated_time))
            if isinstance(listed, Later):
                return listed
            reference = (find(listed, it.uuid, it.generated_time) or {}).get("notification_uuid", "")
        found = self._word(reference) if reference else Word(LOST)
        if isinstance(found, Later) or not found.ended or found.status == LOST:
            return found
        detailed = self._word(reference, DETAILS)
        return found if isinstance(detailed, Later) else detailed

    def _word(self, reference: str, version: str = "") -> Word | Later:
        document = self._get(f"/notifications/{quote(reference, '')}", version)
        if isinstance(document, (Later, Word)):
            return document
        found = word(document.get("notification")) if isinstance(document, dict) else None
        return found or Later("Masakari shows a notification that we do not understand")

    def _get(self, path: str, version: str = "") -> Any:
        """The document; a Word where it says that it has none; or Later."""
        reply = self._service.get(path, version)
        if isinstance(reply, Later):
            return reply
        status, document, retry_after = reply
        if status == 200:
            return document
        message = _message(document)
        if status == 404 and message.startswith("No notification"):
            return Word(LOST)
        return trouble("Masakari", Answer(status, message, retry_after), self._wall(), "")


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
