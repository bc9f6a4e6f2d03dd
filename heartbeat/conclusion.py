"""From a verdict to an incident: its action, and what it replaces. Pure, as all of the decision."""

from __future__ import annotations

import json
from collections.abc import Mapping

from heartbeat.incident import CAREFUL, IGNORE, OBSERVED, RECORD, RECOVER, SUSPENDED, UNPROVEN, Close, Open
from heartbeat.observation import Effect
from heartbeat.watch import Fitness, Timing, Watch

Step = tuple[Watch, list[Effect]]


def opened(
    watch: Watch,
    verdict: str,
    detail: str,
    evidence: Mapping[str, object],
    fitness: Fitness,
    timing: Timing,
    wanted: str = "",
) -> Step:
    """The watch in the state of a verdict, with what that causes.

    evidence: what it rests on. wanted: the action, where it is not the verdict's own. An incident that says the same
    already, of this life or an earlier one, stays as it is.
    """
    watch = watch._replace(state=verdict, detail=detail)
    if watch.incident and watch.incident.verdict == verdict:
        return watch, []
    effects: list[Effect] = []
    if watch.incident:
        effects.append(Close(watch.incident.id, f"became {verdict}"))
    wishes = [wish for wish in (wanted, timing.actions.get(verdict)) if wish] or [RECORD]
    least = min([*wishes, RECORD] if verdict in UNPROVEN else wishes, key=CAREFUL.index)
    action = action_of(watch, least, fitness, timing)
    if action != IGNORE:
        text = json.dumps(evidence, separators=(",", ":"))
        effects.append(Open(watch.guest.uuid, watch.guest.name, watch.incarnation, verdict, action, text))
    return watch._replace(incident=None), effects


def action_of(watch: Watch, wanted: str, fitness: Fitness, timing: Timing) -> str:
    """What becomes of a wish to recover this guest now."""
    if wanted != RECOVER:
        return wanted
    if not watch.armed:
        return RECORD  # it has never answered: we do not know that it was well
    return recovery(fitness, timing)


def recovery(fitness: Fitness, timing: Timing) -> str:
    """What a recovery that nothing else speaks against comes to, by mode and budget."""
    if timing.observe:
        return OBSERVED
    return SUSPENDED if fitness.spent else RECOVER
