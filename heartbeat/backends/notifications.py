"""What Masakari shows of a notification of ours: from its JSON to a word. See docs/masakari-outcomes.rst."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from heartbeat.option import plain
from heartbeat.outcome import CONFIRMED, FINISHED, LEFT_IT, STATUSES, STOPPED_IT, Word

MOST_TASKS, SAID = 64, 160


def word(notification: Any) -> Word | None:
    """None: this is no notification. Without recovery_workflow_details nothing is known of any deed."""
    status = notification.get("status") if isinstance(notification, dict) else None
    if status not in STATUSES:
        return None
    told = list(_told(notification.get("recovery_workflow_details")))
    said = notification.get("message") or (told[-1][2] if told else "")
    return Word(status, _deed(status, told), plain(said, SAID) if isinstance(said, str) else "")


def find(listed: Any, guest: str, generated: str) -> dict[str, Any] | None:
    """The notification about this guest with this generated_time, in a list of Masakari's."""
    rows = listed.get("notifications") if isinstance(listed, dict) else None
    for row in rows if isinstance(rows, list) else []:
        try:
            if row["payload"]["instance_uuid"] == guest and _moment(row["generated_time"]) == _moment(generated):
                return dict(row)
        except (KeyError, TypeError, ValueError):
            continue
    return None


def _deed(status: str, told: list[tuple[str, str, str]]) -> str:
    if status == FINISHED and ("ConfirmInstanceActiveTask", "SUCCESS") in {(name, state) for name, state, _ in told}:
        return CONFIRMED
    if any(text.startswith("Skipping recovery") for _, _, text in told):
        return LEFT_IT
    return STOPPED_IT if any(text.startswith("Stopped instance") for _, _, text in told) else ""


def _told(details: Any) -> Iterator[tuple[str, str, str]]:
    """Task, its state, and one of its messages: all of them, in order."""
    for task in details[:MOST_TASKS] if isinstance(details, list) else []:
        if not isinstance(task, dict):
            continue
        name, state, steps = str(task.get("name")), str(task.get("state")), task.get("progress_details")
        for step in steps[:MOST_TASKS] if isinstance(steps, list) else []:
            yield name, state, str(step.get("message")) if isinstance(step, dict) else ""


def _moment(text: str) -> datetime:
    time = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return time if time.tzinfo else time.replace(tzinfo=timezone.utc)
