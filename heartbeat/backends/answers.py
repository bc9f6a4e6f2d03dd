"""What an answer over HTTP means for the report that it answers: any receiver's, and then Masakari's.

Masakari's order of checks is policy, schema, host, maintenance, duplicate, store. A notification is a duplicate when
one of the same host and payload is stored, whatever its fate, whose generated_time is not older than the new one's less
180 s (duplicate_notification_detection_interval). So sending the same time again is a safe repetition: it is answered
"duplicate" if the first was stored. And a second failure of a guest within 180 s cannot be told; it has to wait.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from heartbeat.backends import SLOW, Delivered, Later, Outcome, Report
from heartbeat.settings import printable

DUPLICATE_SECONDS = 180
MAX_RETRY_AFTER = 600.0


class Answer(NamedTuple):
    """message: the text of an error, or the uuid of a stored notification, or "". retry_after: the header, or None."""

    status: int
    message: str
    retry_after: str | None


def meaning(answer: Answer, report: Report, now: datetime, name: Callable[[str], str]) -> Outcome:
    """now: aware. name: from an option's short name to the place where the operator finds it."""
    status, message = answer.status, answer.message
    if status == 202:
        return Delivered(_uuid(message))
    if status == 409:
        return _conflict(said("Masakari", answer), message, report, now)
    if 200 <= status < 300:
        why = f"{said('Masakari', answer)} where 202 is due; check that {name('endpoint')} or the catalogue names it"
        return Later(why, SLOW, uncertain=True, whole=True)
    return trouble("Masakari", answer, now, _remedy(status, message, report, name))


def said(who: str, answer: Answer) -> str:
    """An answer in the middle of a sentence of ours."""
    return f"{who} answers {answer.status}" + (f" {printable(answer.message, 160)}" if answer.message else "")


def trouble(who: str, answer: Answer, now: datetime, remedy: str) -> Later:
    """What an answer that accepts nothing means, whoever gives it. remedy: what is for people to do, and ends every
    report's trouble; "" if there is none, so that the trouble may be this report's own."""
    wait = seconds(answer.retry_after, now)
    if answer.status >= 500:
        # An error after it was stored looks the same as one before.
        return Later(f"{who} answers {answer.status}", wait, uncertain=True, whole=True)
    if answer.status in (408, 425, 429):
        return Later(said(who, answer), wait, whole=True)
    return Later(said(who, answer) + remedy, wait or SLOW, whole=bool(remedy))


def _remedy(status: int, message: str, report: Report, name: Callable[[str], str]) -> str:
    if status < 400 or status in (404, 405):
        return f"; check {name('endpoint')} or the catalogue: the address ends in /v1 or /v1/PROJECT_ID"
    if status == 400 and "could not be found" in message:
        return f"; register host {report.hostname} in a segment of Masakari, or correct report.hostname"
    if status == 401:
        return "; it cannot validate our token, check its own [keystone_authtoken]"
    if status == 403:
        return f"; give {name('username')} the role admin on {name('project_name')}"
    return ""


def _conflict(said: str, message: str, report: Report, now: datetime) -> Outcome:
    # Only the text tells these two apart.
    if "under maintenance" in message:
        remedy = f"when host {report.hostname} is repaired, set its on_maintenance to False in Masakari"
        return Later(f"{said}; {remedy}", SLOW, whole=True)
    if "is duplicate" not in message:
        return Later(said, SLOW)
    if report.resend and not _collides(report):
        return Delivered("")
    age = (now - _time(report.generated_time)).total_seconds()
    wait = min(max(DUPLICATE_SECONDS + 1 - age, 1.0), DUPLICATE_SECONDS + 1.0)
    why = "Masakari has a report about this guest from the last 3 minutes and takes no second one"
    return Later(f"{why}; it is sent again if the guest has still failed then", wait, renew=True)


def _collides(report: Report) -> bool:
    """Whether "duplicate" could mean the report before this one, so that it says nothing about this one."""
    if not report.previous:
        return False
    return (_time(report.generated_time) - _time(report.previous)).total_seconds() <= DUPLICATE_SECONDS


def seconds(retry_after: str | None, now: datetime) -> float | None:
    """A Retry-After header, which is seconds or a date, within bounds. None: none, or nonsense."""
    if retry_after is None:
        return None
    try:
        number = float(retry_after) if retry_after.isdigit() else (_date(retry_after) - now).total_seconds()
    except (TypeError, ValueError):
        return None
    return min(max(number, 1.0), MAX_RETRY_AFTER)


def utc() -> datetime:
    return datetime.now(timezone.utc)


def _date(text: str) -> datetime:
    return _aware(parsedate_to_datetime(text))


def _time(text: str) -> datetime:
    return _aware(datetime.fromisoformat(text.replace("Z", "+00:00")))


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=timezone.utc)


def _uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return ""
