"""One execution of a workflow in Mistral. Runs in a process of its own: see heartbeat/sender.py.

The execution's id is ours, and an id that Mistral has already is answered with that execution: a repetition starts
nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from heartbeat.backends import SLOW, Delivered, Later, Outcome, Report
from heartbeat.backends.answers import Answer, said, trouble, utc
from heartbeat.backends.keystone import Service
from heartbeat.settings import printable

SERVICE_TYPE = "workflowv2"
NOT_FOUND = "Workflow not found"


class Mistral:
    """options: from heartbeat.connections."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._service = Service(options, SERVICE_TYPE, "Mistral", "mistral")

    def prepare(self) -> Later | None:
        return self._service.prepare()

    def deliver(self, report: Report) -> Outcome:
        workflow = str(self._service.options["workflow"])
        reply = self._service.post("/executions", execution(report, workflow))
        if isinstance(reply, Later):
            return reply
        status, document, retry_after = reply
        content = document if isinstance(document, dict) else {}
        name = self._service.name
        if status == 201 and content.get("id") == report.key:
            return Delivered(report.key)
        if 200 <= status < 300:
            why = f"Mistral answers {status} without the execution asked for; check {name('endpoint')} or the catalogue"
            return Later(why, SLOW, uncertain=True, whole=True)
        fault = content.get("faultstring")
        answer = Answer(status, fault if isinstance(fault, str) else "", retry_after)
        if NOT_FOUND in answer.message:  # 15 answers 404, 23 answers 500
            return Later(said("Mistral", answer) + self._remedy(404, workflow, True), SLOW, whole=True)
        return trouble("Mistral", answer, utc(), self._remedy(status, workflow, bool(content)))

    def _remedy(self, status: int, workflow: str, own: bool) -> str:
        """own: it is Mistral that answers, and not something before it."""
        name, called = self._service.name, printable(workflow)
        if status == 404 and own:
            return f"; create workflow {called}, or share it with {name('project_name')}, or set {name('workflow')}"
        if status in (400, 422):
            return f"; workflow {called} must take the inputs of docs/backends/mistral_workflow.yaml, and no others"
        if status == 401:
            return "; it cannot validate our token, check its own [keystone_authtoken]"
        if status == 403:
            return f"; its policy executions:create refuses {name('username')}"
        if status < 400 or status in (404, 405):
            return f"; check {name('endpoint')} or the catalogue: the address ends in /v2"
        return ""


def execution(report: Report, workflow: str) -> dict[str, object]:
    """The same for each attempt. Mistral refuses an input that the workflow does not declare, so these are all."""
    document = report.document()
    given = {
        "instance_uuid": report.uuid,
        "host": report.hostname,
        "verdict": report.verdict,
        "action": report.action,
        "opened": document["opened"],
        "evidence": json.dumps(document["evidence"]),
    }
    about = f"masakari-qga: guest {report.uuid} {report.verdict} ({report.action})"
    return {"id": report.key, "workflow_name": workflow, "input": given, "description": about}
