"""What the log says of a step of one guest: what changed, and why."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from heartbeat.incident import RECOVER, Change, Close, Forget, Open
from heartbeat.settings import printable
from heartbeat.watch import SUSPECT, VERDICTS, Watch

log = logging.getLogger(__name__)


def note(before: Watch, after: Watch, changes: Sequence[Change]) -> None:
    if not changes and before.state == after.state and before.detail == after.detail:
        return
    uuid, name = after.guest.uuid, printable(after.guest.name)
    for change in changes:
        if isinstance(change, Open):
            level = logging.WARNING if change.action == RECOVER else logging.INFO
            log.log(level, "guest %s %s: %s (%s): %s", uuid, name, change.verdict, change.action, change.evidence)
        elif isinstance(change, Close):
            log.info("guest %s %s: incident %d is over: %s", uuid, name, change.id, change.why)
        elif isinstance(change, Forget):
            log.debug("guest %s %s: not expected to answer any more", uuid, name)
    if before.state != after.state and after.state not in VERDICTS:
        level = logging.INFO if SUSPECT in (before.state, after.state) or before.state in VERDICTS else logging.DEBUG
        detail = after.detail and f": {after.detail}"
        log.log(level, "guest %s %s: %s, was %s%s", uuid, name, after.state, before.state, detail)
    elif after.state == SUSPECT and before.detail != after.detail:
        log.debug("guest %s %s: suspect: %s", uuid, name, after.detail)
