"""What masakari-api does with requests: the contract alone, without HTTP.

As measured of masakari 22.0.0, which tests/openstack compares with this request by request: the order of the checks,
their texts, the rule for duplicates, and what is shown of a notification.
"""
from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from tests.harness.schema import Misfit, fitting, moment, validated

DUPLICATE_WINDOW = timedelta(seconds=180)     # duplicate_notification_detection_interval
LARGEST = 114_688                             # bytes of a request
OLDEST, NEWEST = (1, 0), (1, 3)               # microversions
WITH_DETAILS = (1, 1)                         # the first that shows recovery_workflow_details
TIME = "%Y-%m-%dT%H:%M:%S.%f"
ERRORS = {400: "badRequest", 401: "unauthorized", 403: "forbidden", 404: "itemNotFound",
          405: "badMethod", 409: "conflictingRequest"}
SEGMENT = str(uuid.UUID(int=1))


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

    duplicates: how long a second notification is refused. stored: as shown by the newest microversion.
    """

    def __init__(self, hosts: tuple[str, ...]) -> None:
        self.hosts = {name: str(uuid.uuid4()) for name in hosts}
        self.maintenance: set[str] = set()
        self.duplicates = DUPLICATE_WINDOW
        self.stored: list[dict] = []

    def post(self, body: bytes, role: str = "admin") -> Answer:
        """202 and the stored notification, or the error that masakari-api gives."""
        try:
            notification = validated(body)
            _permitted(role, "create")
            fitting(notification)
            return Answer(202, {"notification": self._store(notification)})
        except Misfit as misfit:
            return Refused(400, str(misfit)).answer
        except Refused as refused:
            return refused.answer

    def get(self, path: str, query: Mapping[str, str], version: tuple[int, ...], role: str = "admin") -> Answer:
        """What is shown under a path below the version's."""
        try:
            _permitted(role, "detail" if path.startswith("/notifications/") else "index")
            return Answer(200, self._shown(path, query, version))
        except Refused as refused:
            return refused.answer

    def settle(self, number: str, status: str, *details: dict) -> None:
        """Let the engine have done with a notification what these say: see docs/masakari-outcomes.rst."""
        row = self._row(number)
        row["status"], row["updated_at"] = status, _second(datetime.now(timezone.utc))
        row["recovery_workflow_details"] = list(details)

    def _row(self, number: str) -> dict:
        for row in self.stored:
            if row["notification_uuid"] == number:
                return row
        raise Refused(404, f"No notification with id {number}.")

    def _store(self, notification: dict) -> dict:
        host, kind = notification["hostname"], notification["type"]
        if host not in self.hosts:
            raise Refused(400, f"Host with name {host} could not be found.")
        if host in self.maintenance:
            raise Refused(409, f"Notification received from host {host} of type '{kind}' is ignored as the host is "
                               "already under maintenance.")
        generated = moment(notification["generated_time"])
        try:
            since = generated - self.duplicates
        except OverflowError as error:
            raise Refused(500, f"Unexpected API Error. {type(error)}") from None
        for row in self.stored:
            same = (row["type"], row["source_host_uuid"], row["payload"]) == (kind, self.hosts[host],
                                                                              notification["payload"])
            # of whatever status, and without an upper bound: a stored time in the future blocks for ever
            if same and moment(row["generated_time"]) >= since:
                raise Refused(409, f"Notification received from host {host} of type {kind} is duplicate.")
        row = {"id": len(self.stored) + 1, "notification_uuid": str(uuid.uuid4()),
               "generated_time": generated.strftime(TIME), "source_host_uuid": self.hosts[host], "type": kind,
               "payload": notification["payload"], "status": "new", "failover_segment_uuid": SEGMENT, "message": None,
               "created_at": _second(datetime.now(timezone.utc)), "updated_at": None, "deleted_at": None,
               "deleted": False}
        self.stored.append({**row, "recovery_workflow_details": []})
        return row

    def _shown(self, path: str, query: Mapping[str, str], version: tuple[int, ...]) -> dict:
        segment = {"id": 1, "uuid": SEGMENT, "name": "all", "service_type": "COMPUTE", "enabled": True,
                   "description": None, "recovery_method": "auto", "created_at": _second(datetime.now(timezone.utc)),
                   "updated_at": None, "deleted_at": None, "deleted": False}
        if path == "/segments":
            return {"segments": [segment]}
        if path == f"/segments/{SEGMENT}/hosts":
            return {"hosts": [
                {"id": place, "uuid": number, "name": name, "failover_segment_id": SEGMENT, "failover_segment": segment,
                 "type": "COMPUTE", "reserved": False, "control_attributes": "SSH", "on_maintenance":
                 name in self.maintenance, "created_at": segment["created_at"], "updated_at": None, "deleted_at": None,
                 "deleted": False} for place, (name, number) in enumerate(self.hosts.items(), 1)]}
        if path == "/notifications":
            return {"notifications": self._chosen(query)}
        if path.startswith("/notifications/"):
            row = self._row(path.rpartition("/")[2])
            return {"notification": _row_shown(row, version >= WITH_DETAILS)}
        raise Refused(404, "")

    def _chosen(self, query: Mapping[str, str]) -> list[dict]:
        try:
            since = moment(query["generated-since"]) if "generated-since" in query else None
        except ValueError:
            raise Refused(400, "Invalid generated-since value") from None
        keys = [key for key in ("status", "type", "source_host_uuid") if key in query]
        chosen = [row for row in reversed(self.stored) if all(row[key] == query[key] for key in keys)
                  and (since is None or moment(row["generated_time"]) >= since)]
        return [_row_shown(row, False) for row in chosen[:int(query.get("limit", 1000))]]


def error_document(status: int, message: str) -> dict:
    return {ERRORS.get(status, "masakariFault"): {"code": status, "message": message}}


def _permitted(role: str, what: str) -> None:
    if role != "admin":
        raise Refused(403, f"Policy doesn't allow os_masakari_api:notifications:{what} to be performed.")


def _row_shown(row: dict, with_details: bool) -> dict:
    """What has been to the engine and back, for the details, has lost the fraction of a second."""
    if with_details:
        return {**row, "generated_time": _second(moment(row["generated_time"]))}
    return {key: value for key, value in row.items() if key != "recovery_workflow_details"}


def _second(time: datetime) -> str:
    return time.replace(microsecond=0).strftime(TIME)
