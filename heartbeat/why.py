"""Why a guest is in the state in which it is: all that is known of it, for people and for programs. Pure: no I/O, no
clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from heartbeat import testimony
from heartbeat.alarm import NEVER
from heartbeat.health import account
from heartbeat.health.account import Account
from heartbeat.holds import GRACE
from heartbeat.incident import Incident
from heartbeat.manual import told
from heartbeat.outlook import Case, rule, span, upcoming
from heartbeat.records import Fate
from heartbeat.settings import printable
from heartbeat.terms import Terms
from heartbeat.watch import Watch


def explain(case: Case) -> dict[str, Any]:
    """Everything as JSON; the same for people in "lines", a text each, with no character that a terminal obeys."""
    watch, now, fitness, health = case.watch, case.now, case.fitness, case.health or Account()
    found: dict[str, Any] = {
        "uuid": watch.guest.uuid,
        "name": watch.guest.name,
        "state": watch.state,
        "since": case.date(watch.since),
        "detail": watch.detail,
        "armed": watch.armed,
        "running": watch.running,
        "channel": watch.guest.channel.value,
        "rule": rule(case),
        "terms": case.terms and case.terms._asdict(),
        "nova": case.nova or None,
        "recovery": case.recovery or None,
        "agent": {
            "answered": _ago(watch.answered, now),
            "silent": _ago(watch.silent_from, now),
            "unanswered": watch.silences,
            "out": _ago(watch.asked, now),
            "usual": watch.answers and round(watch.answers.mean, 4),
            "unreachable": _ago(watch.closed_from, now),
        },
        "witnesses": testimony.facts(watch, now),
        "holds": [
            {"kind": it.kind, "why": it.why, "age": round(now - it.since, 1), "left": _left(it.until - now)}
            for it in watch.holds
        ],
        "held": _held(case),
        "fitness": fitness._asdict(),
        "budget": {**case.budget._asdict(), "used": case.used},
        "incident": watch.incident and _incident(watch.incident, case.fates),
        "checks": account.listed(health.known, case.date),
        "unhealthy": health.incident and _incident(health.incident, health.fates),
        "next": [*upcoming(case), *account.upcoming(health)],
    }
    return {**found, "lines": [f"{heading:10}{text}" for heading, text in _lines(case, found)]}


def _terms(terms: Terms) -> str:
    if terms.exempt:
        return "; ".join([f"no: {terms.exempt}", *terms.reasons])
    return "; ".join([f"yes, sensitivity {terms.sensitivity}, at most {terms.action}", *terms.reasons])


def _held(case: Case) -> list[str]:
    texts = [told(hold) for hold in case.manual]
    return [*texts, *([case.fitness.held] if case.fitness.held and case.fitness.held not in texts else [])]


def _incident(incident: Incident, fates: Sequence[Fate]) -> dict[str, Any]:
    words = ("id", "verdict", "action", "opened", "evidence")
    return {**{word: getattr(incident, word) for word in words}, "deliveries": [fate._asdict() for fate in fates]}


def _lines(case: Case, found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    watch, now, fitness, budget = case.watch, case.now, case.fitness, case.budget
    yield "guest", f"{watch.guest.uuid} {printable(watch.guest.name)}, agent channel {watch.guest.channel.value}"
    detail = f": {watch.detail}" if watch.detail else ""
    yield "state", f"{watch.state} for {span(now - watch.since)}, since {case.date(watch.since)}{detail}"
    yield "rule", found["rule"]
    if case.terms:
        yield "watched", _terms(case.terms)
    if case.nova:
        yield "nova", case.nova
    yield "agent", ", ".join(_agent(watch, now))
    yield from testimony.lines(found["witnesses"])
    for hold in watch.holds:
        left = f"{'ends' if hold.kind == GRACE else 'ceiling'} in {span(hold.until - now)}"
        limit = left if hold.until > now else "longer than its ceiling"
        yield "hold", f"{hold.kind}, {hold.why}: for {span(now - hold.since)}, {limit}"
    for text in found["held"]:
        yield "hold", text
    times = f", every time of silence x {fitness.stretch:g}" if fitness.stretch > 1 else ""
    yield "fitness", (f"cannot judge: {fitness.why}" if not fitness.able else "fit to judge") + times
    spent = "; spent: needs a human" if fitness.spent else ""
    yield "budget", f"{case.used} of {budget.recoveries} recoveries within {span(budget.window)} used{spent}"
    if watch.incident:
        it = watch.incident
        yield "incident", f"{it.id}, {it.verdict}, {it.action}, opened {it.opened[:19]}Z, evidence {it.evidence[:500]}"
    for fate in case.fates:
        error = f": {fate.error}" if fate.error else ""
        yield "report", f"{fate.backend} {fate.status}, {fate.attempts} attempts{error}"
    if case.health:
        yield from account.lines(case.health, now)
    if case.recovery:
        yield "recovery", case.recovery
    for text in found["next"] or ["nothing, until something happens"]:
        yield "next", text


def _agent(watch: Watch, now: float) -> Iterator[str]:
    if not watch.armed:
        yield "has not answered since the guest was started"
    elif watch.answered is None:
        yield "has not answered us yet, but an earlier helper"
    else:
        usual = f", usually within {watch.answers.mean * 1000:.0f} ms" if watch.answers else ""
        yield f"answered {span(now - watch.answered)} ago{usual}"
    if watch.silent_from is not None:
        yield f"silent for {span(now - watch.silent_from)}, {watch.silences} questions unanswered"
    if watch.asked is not None:
        yield f"a question is out for {now - watch.asked:.1f} s"
    if watch.closed_from is not None:
        yield f"cannot be reached for {span(now - watch.closed_from)}"


def _ago(at: float | None, now: float) -> float | None:
    return None if at is None else round(now - at, 1)


def _left(seconds: float) -> float | None:
    return None if seconds == NEVER else round(seconds, 1)
