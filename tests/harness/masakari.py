"""What masakari-api does with a notification: the contract alone, without HTTP.

Measured against masakari 14.0.2 and 22.0.0: the order of the checks, their texts, and the rule for duplicates.
"""
from __future__ import annotations

import json
import re
import uuid
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

DUPLICATE_WINDOW = timedelta(seconds=180)     # duplicate_notification_detection_interval
FIELDS = ("type", "hostname", "generated_time", "payload")
PAYLOAD = ("event", "instance_uuid", "vir_domain_event")
ERRORS = {400: "badRequest", 401: "unauthorized", 403: "forbidden", 404: "itemNotFound", 409: "conflictingRequest"}
MOMENT = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6})\d*)?)?)?"
                    r"(Z|[+-]\d\d:?\d\d)?")


class Answer(NamedTuple):
    status: int
    document: dict


class Refused(Exception):
    """The request is answered with an error. `status` and the text are those of masakari."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    @property
    def answer(self) -> Answer:
        return Answer(self.status, error_document(self.status, str(self)))


class Masakari:
    """The service's memory: registered hosts, hosts on maintenance, and every notification it has stored.

    duplicates: how long a second notification is refused.
    """

    def __init__(self, hosts: tuple[str, ...]) -> None:
        self.hosts = {name: str(uuid.uuid4()) for name in hosts}
        self.maintenance: set[str] = set()
        self.duplicates = DUPLICATE_WINDOW
        self.stored: list[dict] = []

    def post(self, body: bytes) -> Answer:
        """202 and the stored notification, or the error that masakari-api gives."""
        try:
            notification = validated(body)
            return Answer(202, {"notification": self._store(notification)})
        except Refused as refused:
            return refused.answer

    def _store(self, notification: dict) -> dict:
        host, kind = notification["hostname"], notification["type"]
        if host not in self.hosts:
            raise Refused(400, f"Host with name {host} could not be found.")
        if host in self.maintenance:
            raise Refused(409, f"Notification received from host {host} of type '{kind}' is ignored as the host is "
                               "already under maintenance.")
        generated = moment(notification["generated_time"])
        for row in self.stored:
            same = (row["type"], row["source_host_uuid"], row["payload"]) == (kind, self.hosts[host],
                                                                              notification["payload"])
            # of whatever status, and without an upper bound: a stored time in the future blocks for ever
            if same and moment(row["generated_time"]) >= generated - self.duplicates:
                raise Refused(409, f"Notification received from host {host} of type {kind} is duplicate.")
        row = {"id": len(self.stored) + 1, "notification_uuid": str(uuid.uuid4()), "type": kind,
               "source_host_uuid": self.hosts[host], "payload": notification["payload"], "status": "new",
               "generated_time": generated.strftime("%Y-%m-%dT%H:%M:%S.%f"), "updated_at": None, "deleted": False,
               "created_at": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f"), "deleted_at": None}
        self.stored.append(row)
        return row


def error_document(status: int, message: str) -> dict:
    return {ERRORS.get(status, "masakariFault"): {"code": status, "message": message}}


def moment(text: object) -> datetime:
    """A generated_time as masakari reads it: any zone, none is UTC. Raises ValueError."""
    found = MOMENT.fullmatch(text) if isinstance(text, str) else None
    if not found:
        raise ValueError(f"{text!r} is not a 'date-time'")
    parts, fraction, zone = found.groups()[:6], found.group(7) or "0", found.group(8)
    numbers = [int(part or 0) for part in parts]
    offset = timedelta()
    if zone and zone != "Z":
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:])) * (-1 if zone[0] == "-" else 1)
    return datetime(*numbers, int(fraction.ljust(6, "0")), tzinfo=timezone.utc) - offset


def validated(body: bytes) -> dict:
    """The notification of a request body. Raises Refused."""
    try:
        document = json.loads(body) if body else None
    except ValueError:
        raise Refused(400, "Malformed request body") from None
    if not isinstance(document, dict):
        raise Refused(400, f"{document!r} is not of type 'object'")
    _only(document, ("notification",), "")
    notification = document["notification"]
    if not isinstance(notification, dict):
        raise _invalid("notification", notification, "not an object")
    _only(notification, FIELDS, "notification")
    if notification["type"] not in ("COMPUTE_HOST", "VM", "PROCESS"):
        raise _invalid("type", notification["type"], "not one of COMPUTE_HOST, VM, PROCESS")
    host = notification["hostname"]
    if not isinstance(host, str) or not re.fullmatch(r"[a-zA-Z0-9._-]{1,255}", host):
        raise _invalid("hostname", host, "does not match '^[a-zA-Z0-9-._]*$'")
    try:
        moment(notification["generated_time"])
    except ValueError as error:
        raise _invalid("generated_time", notification["generated_time"], str(error)) from None
    payload = notification["payload"]
    if not isinstance(payload, dict) or not all(isinstance(value, str) for value in payload.values()):
        raise _invalid("payload", payload, "not an object of strings")
    if notification["type"] == "VM":
        _vm(payload)
    return notification


def _vm(payload: dict) -> None:
    _only(payload, PAYLOAD, "")
    for key in ("event", "vir_domain_event"):
        if not 1 <= len(payload[key]) <= 255:
            raise _invalid(key, payload[key], "too short or too long")
    # oslo's is_uuid_like: any case, dashes and braces or none
    if not re.fullmatch(r"[0-9a-f]{32}", payload["instance_uuid"].lower().strip("{}").replace("-", "")):
        raise _invalid("instance_uuid", payload["instance_uuid"], "is not a 'uuid'")


def _only(document: dict, keys: tuple[str, ...], where: str) -> None:
    """Exactly these keys. `where` is the path that masakari names; at the root of a schema it names none."""
    for problem in ([f"{key!r} is a required property" for key in keys if key not in document]
                    + [f"Additional properties are not allowed ({key!r} was unexpected)"
                       for key in document if key not in keys]):
        raise _invalid(where, document, problem) if where else Refused(400, problem)


def _invalid(field: str, value: object, why: str) -> Refused:
    return Refused(400, f"Invalid input for field/attribute {field}. Value: {value}. {why}")
