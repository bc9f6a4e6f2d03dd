"""Vitrage, Mistral and a receiver of webhooks: what each does with a report, without HTTP.

Vitrage 9 and Mistral 15 as measured with their real APIs; the webhook as the Standard Webhooks specification has it.
"""
from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple, Union

from tests.harness.masakari_api import UNAUTHORIZED

Reply = tuple[int, Union[dict, bytes, None]]
TIME = "%Y-%m-%dT%H:%M:%S.%f"       # anything else is dropped without a word
INPUTS = {"instance_uuid", "host", "verdict", "action", "opened", "evidence"}
KEY = "a key of sixteen or more"
UNAUTHORIZED_PAGE = b"<html><body>401 Unauthorized</body></html>"


class Asked(NamedTuple):
    headers: Mapping[str, str]
    body: bytes
    authentic: bool


class Vitrage:
    """The API checks nothing. What the Prometheus datasource makes of an event: alarms, by name and guest."""

    name, kind, base, path = "vitrage", "rca", "/rca", "/rca/v1/event"

    def __init__(self) -> None:
        self.alarms: dict[tuple[str, str], str] = {}        # firing or resolved
        self.history: list[tuple[str, str, str]] = []       # alarm, guest, firing or resolved; changes only
        self.wanted: set[str] = set()                       # names in prometheus_conf.yaml; empty: any

    def post(self, asked: Asked) -> Reply:
        if not asked.authentic:
            return 401, UNAUTHORIZED
        try:
            event = json.loads(asked.body)
            datetime.strptime(event["time"], TIME)      # noqa: DTZ007
            if event["type"] == "prometheus.alarm":
                for alert in event["details"]["alerts"]:
                    self._take(alert)
        except (ValueError, KeyError, TypeError):
            pass
        return 200, None

    def _take(self, alert: dict) -> None:
        name, guest, status = alert["labels"]["alertname"], alert["labels"]["instance_uuid"], alert["status"]
        if self.wanted and name not in self.wanted:
            return
        if self.alarms.get((name, guest), "resolved") != status:
            self.history.append((name, guest, status))
            self.alarms[name, guest] = status


class Mistral:
    """Executions, by the id that the client chose."""

    name, kind, base, path = "mistral", "workflowv2", "/workflow/v2", "/workflow/v2/executions"

    def __init__(self) -> None:
        self.workflows = {"masakari_qga": INPUTS}
        self.executions: dict[str, dict] = {}

    def post(self, asked: Asked) -> Reply:
        if not asked.authentic:
            return 401, UNAUTHORIZED_PAGE
        try:
            document = json.loads(asked.body)
        except ValueError:
            return _fault(400, "not JSON")
        unknown = set(document) - {"id", "workflow_name", "workflow_id", "input", "description", "params"}
        if unknown:
            return _fault(400, f"Unknown attribute for argument execution: {min(unknown)}")
        inputs = self.workflows.get(document.get("workflow_name"))
        if inputs is None:
            return _fault(404, f"Workflow not found [workflow_identifier={document.get('workflow_name')}]")
        if set(document.get("input", {})) != inputs:
            return _fault(400, f"Invalid input [workflow={document['workflow_name']}]")
        known = self.executions.setdefault(document["id"], {
            "id": document["id"], "workflow_name": document["workflow_name"], "state": "RUNNING",
            "input": json.dumps(document["input"]), "description": document.get("description", "")})
        return 201, known


class Hook:
    """A receiver that believes only what is signed, and acts on an id once."""

    name, kind, base, path = "webhook", "", "", "/hook"

    def __init__(self) -> None:
        self.acted: list[dict] = []
        self.clock = lambda: datetime.now().timestamp()     # noqa: DTZ005

    def post(self, asked: Asked) -> Reply:
        identity, stamp = asked.headers.get("webhook-id", ""), asked.headers.get("webhook-timestamp", "")
        digest = hmac.new(KEY.encode(), f"{identity}.{stamp}.".encode() + asked.body, hashlib.sha256).digest()
        if asked.headers.get("webhook-signature") != "v1," + base64.b64encode(digest).decode():
            return 401, {"error": "bad signature"}
        if abs(self.clock() - float(stamp)) > 300:
            return 401, {"error": "too old"}
        document = json.loads(asked.body)
        if identity not in [it["id"] for it in self.acted]:
            self.acted.append(document)
        return 200, {}


def receivers() -> dict[str, Vitrage | Mistral | Hook]:
    """A new one of each, by its path."""
    return {it.path: it for it in (Vitrage(), Mistral(), Hook())}


def _fault(status: int, text: str) -> Reply:
    return status, {"debuginfo": None, "faultcode": "Client", "faultstring": text}
