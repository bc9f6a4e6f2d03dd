"""How a guest is by its health checks, for people and for programs. Pure: no I/O, no clock. What a guest said is plain
already."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Callable, NamedTuple

from heartbeat.health import condition
from heartbeat.health.condition import Condition
from heartbeat.health.definition import Check
from heartbeat.incident import CAREFUL, RECOVER, Incident
from heartbeat.outlook import span
from heartbeat.records import PENDING, Fate

NOT_YET = "not run yet"


class Known(NamedTuple):
    """One check of a guest, and how the guest is by it; None: it has not been run since the guest, or its agent, began
    anew."""

    check: Check
    condition: Condition | None


class Account(NamedTuple):
    """Of one guest. hindrance: why it is not checked now, "" if it may be. crowd: why nobody is recovered because of a
    check, or "". incident: of verdict unhealthy, None if there is none. fates: of its reports."""

    known: Sequence[Known] = ()
    hindrance: str = ""
    crowd: str = ""
    incident: Incident | None = None
    fates: Sequence[Fate] = ()


def listed(known: Sequence[Known], date: Callable[[float], str]) -> list[dict[str, Any]]:
    """As `masakari-qga status --json` has it. date: monotonic seconds as UTC in ISO 8601."""
    return [_listed(it.check, it.condition, date) for it in known]


def _listed(check: Check, it: Condition | None, date: Callable[[float], str]) -> dict[str, Any]:
    if it is None:
        return {"name": check.name, "status": NOT_YET, "since": None, "at": None, "text": "", "took": None,
                "failures": 0, "failed": False}  # fmt: skip
    return {
        "name": check.name, "status": it.status.value, "since": date(it.since), "at": date(it.at), "text": it.text,
        "took": round(it.took, 3), "failures": it.failures, "failed": condition.failed(it, check),
    }  # fmt: skip


def evidence(failing: Sequence[Known], now: float) -> str:
    """Of an incident, as JSON. failing: the checks that a guest has failed by; the one that may cause most leads, of
    several the first."""
    check, it = max(failing, key=lambda one: (CAREFUL.index(one.check.action), -_begun(one, now)))
    others = [other.check.name for other in failing if other.check is not check]
    found = {
        "check": check.name,
        "status": it.status.value if it else NOT_YET,
        "text": it.text if it else "",
        "failures": it.failures if it else 0,
        "seconds": round(now - _begun(Known(check, it), now)),
        **({"others": ",".join(others)} if others else {}),
    }
    return json.dumps(found, separators=(",", ":"))


def named(text: str) -> set[str]:
    """The checks that an incident's evidence is about."""
    try:
        found = json.loads(text)
        return {str(found["check"]), *str(found.get("others", "")).split(",")} - {""}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {"?"}  # then nothing but the end of the guest, or of its checks, closes it


def _begun(it: Known, now: float) -> float:
    """Since when it is bad."""
    return now if it.condition is None or it.condition.begun is None else it.condition.begun


def lines(it: Account, now: float) -> Iterator[tuple[str, str]]:
    """For `masakari-qga why`: a heading and a text each."""
    for check, known in it.known:
        yield "check", f"{check.name}: {_told(check, known, now)}"
    if it.known and it.hindrance:
        yield "check", f"none is run now: {it.hindrance}"
    if it.crowd and any(check.action == RECOVER for check, _ in it.known):
        yield "check", f"nobody is recovered because of one now: {it.crowd}"
    if it.incident:
        number, verdict, action, opened = it.incident.id, it.incident.verdict, it.incident.action, it.incident.opened
        yield "incident", f"{number}, {verdict}, {action}, opened {opened[:19]}Z, evidence {it.incident.evidence[:500]}"
    for fate in it.fates:
        error = f": {fate.error}" if fate.error else ""
        yield "report", f"{fate.backend} {fate.status}, {fate.attempts} attempts{error}"


def upcoming(it: Account) -> Iterator[str]:
    """What becomes of the incident."""
    if it.incident is None:
        return
    number, acts = it.incident.id, it.incident.action == RECOVER
    pending = [fate for fate in it.fates if fate.status == PENDING]
    if acts and not it.fates:
        yield f"incident {number} is reported to nobody: no backend that delivers recoveries is set"
    for fate in pending:
        until = f"{fate.backend} takes it"
        if acts and (it.hindrance or it.crowd):
            until = f"it can be checked ({it.hindrance})" if it.hindrance else f"the others are well ({it.crowd})"
        yield f"incident {number} is reported to {fate.backend} as soon as {until}"
    if not pending:
        yield f"incident {number} ends when its checks are healthy again, or the guest is started again or goes"


def _told(check: Check, it: Condition | None, now: float) -> str:
    if it is None:
        return f"{NOT_YET}, every {span(check.interval)}"
    counted = f", {it.failures} of {check.failures} failures, at most {check.action}" if it.failures else ""
    run = f"run {span(now - it.at)} ago in {it.took:.2f} s"
    return f"{it.status.value} for {span(now - it.since)}, {run}{counted}{f': {it.text}' if it.text else ''}"
