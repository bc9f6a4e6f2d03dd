"""Which rule has fired for a guest or keeps it from being judged, and what comes next and when. Pure: no I/O, no
clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from heartbeat.alarm import NEVER
from heartbeat.budget import Budget
from heartbeat.holds import GRACE
from heartbeat.incident import HUNG, IGNORE, OBSERVED, RECORD, RECOVER, SUSPENDED, Incident
from heartbeat.manual import ManualHold
from heartbeat.records import PENDING, Fate
from heartbeat.terms import Terms
from heartbeat.watch import (
    EXEMPT,
    HEALTHY,
    SUSPECT,
    UNKNOWN,
    UNMONITORED,
    VERDICTS,
    WAITING,
    Fitness,
    Timing,
    Watch,
    down_at,
    judged_at,
    late_at,
    look_at,
    stalled_at,
)

if TYPE_CHECKING:
    from heartbeat.health.account import Account


class Case(NamedTuple):
    """All that bears on one guest at the monotonic time `now`.

    date: monotonic seconds as UTC in ISO 8601. asked_at: when it is asked next, NEVER if it is not.
    manual: the holds by hand that concern it. used: the recoveries it has had within
    the budget's window. fates: of the open incident's reports. timing, terms: this guest's. nova: its word, for people.
    recovery: how it stands with the last one that was asked for, "" if that is over. health: by its checks.
    """

    watch: Watch
    now: float
    date: Callable[[float], str]
    timing: Timing
    fitness: Fitness
    asked_at: float
    manual: Sequence[ManualHold]
    budget: Budget
    used: int
    fates: Sequence[Fate]
    terms: Terms | None = None
    nova: str = ""
    recovery: str = ""
    health: Account | None = None


def rule(case: Case) -> str:
    """The rule that fired, or the one that keeps this guest from being judged, in a sentence."""
    watch, timing, fitness = case.watch, case.timing, case.fitness
    if watch.state in VERDICTS:
        return f"{watch.state}: {watch.detail}; {_action(case)}"
    if watch.stalled is not None:
        return f"paused by an I/O error: a verdict after {timing.io_error:g} s, if it still is by then"
    if watch.state not in (UNKNOWN, UNMONITORED) and not watch.running:
        return "a guest that does not run is not expected to answer"
    if watch.holds:
        return "not judged while this holds: " + ", ".join(hold.why for hold in watch.holds)
    if watch.closed_from is not None and watch.state not in (UNKNOWN, UNMONITORED):
        return f"an agent that cannot be reached for {timing.agent_down:g} s is down; to close it a guest must live"
    if watch.state == SUSPECT:
        if not fitness.able:
            return f"nobody is judged while we cannot: {fitness.why}"
        seconds = timing.silence * fitness.stretch
        return f"hung takes {seconds:g} s of silence in which every other witness is still too"
    return _RULES.get(watch.state, watch.state)


_RULES = {
    UNKNOWN: "libvirt shows us nothing, and no data is no verdict",
    UNMONITORED: "without an agent channel nothing tells its silence from its rest",
    WAITING: "its silence means nothing until it has answered once since it was started",
    HEALTHY: "a guest that answers needs no witness",
    EXEMPT: "a guest that is not watched is not asked, and nothing is concluded of it",
}


def upcoming(case: Case) -> Iterator[str]:
    """What will happen next, the nearest first, and at last what becomes of the incident."""
    watch, timing, fitness, now = case.watch, case.timing, case.fitness, case.now
    dues: list[tuple[float, str]] = [
        (case.asked_at, "is asked again {}"),
        (stalled_at(watch, timing), "counts as io-error {} if it is not resumed"),
        *((it.until, f"{it.why}: " + ("ends {}" if it.kind == GRACE else "warns {} if it lasts")) for it in watch.holds
          if not it.warned),
    ]  # fmt: skip
    if watch.running:
        dues += [
            (look_at(watch, timing, fitness.stretch), "is looked at {}"),
            (down_at(watch, timing), "counts as agent-down {} if its agent cannot be reached"),
            (late_at(watch, timing), "counts as never-answered {} unless it answers"),
        ]
        if watch.state == SUSPECT and not watch.holds and fitness.able:
            alone = watch.silences < 2 and not watch.guest.balloon_period
            once_more = " and one more question stays unanswered" if alone else ""
            at = judged_at(watch, timing, fitness.stretch)
            look = look_at(watch, timing, fitness.stretch)
            text = f"counts as {HUNG} {{}} if nothing moves{once_more}"
            dues.append((at if at > now or look == NEVER else look, text))
    for at, text in sorted(due for due in dues if due[0] != NEVER):
        yield text.format(f"in {span(at - now)}" if at > now else "now")
    if watch.incident:
        yield from _outlook(case, watch.incident)


def dates(now: str, moment: float) -> Callable[[float], str]:
    """Monotonic seconds as UTC in ISO 8601. moment: the monotonic time of `now`."""
    start = datetime.fromisoformat(now)
    return lambda then: (start - timedelta(seconds=moment - then)).isoformat(timespec="seconds")


def span(seconds: float) -> str:
    """A length of time for people."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def _action(case: Case) -> str:
    watch, incident = case.watch, case.watch.incident
    wanted = case.timing.actions.get(watch.state, RECORD)
    if incident is None:
        return "ignored, as the settings say" if wanted == IGNORE else f"action {wanted}"
    if incident.action == SUSPENDED:
        return "recovered too often already: needs a human"
    if incident.action == OBSERVED:
        return "recovery was wanted, but mode = observe"
    if incident.action == RECORD and wanted == RECOVER and not watch.armed:
        return "only recorded: it has not answered since it was started"
    return f"action {incident.action}"


def _outlook(case: Case, incident: Incident) -> Iterator[str]:
    watch, fitness = case.watch, case.fitness
    pending = [fate for fate in case.fates if fate.status == PENDING]
    if incident.action == RECOVER and not case.fates:
        yield f"incident {incident.id} is reported to nobody: no backend that delivers recoveries is set"
    for fate in pending:
        if not fitness.able:
            until = f"we can judge again ({fitness.why})"
        elif fitness.held and incident.action == RECOVER:
            until = f"the hold ends ({fitness.held})"
        elif watch.state != incident.verdict:
            until = f"it is {incident.verdict} again; now it is {watch.state}"
        else:
            until = f"{fate.backend} takes it ({fate.error})" if fate.error else f"{fate.backend} takes it"
        yield f"incident {incident.id} is reported to {fate.backend} as soon as {until}"
    if not pending:
        yield f"incident {incident.id} ends when the agent answers, or the guest is started again or goes"
