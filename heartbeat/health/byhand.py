"""`masakari-qga probe`: one question to a guest's agent, or one run of a check, because somebody wants to know. Runs in
a thread of the control socket."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from heartbeat.control import Handler, Refused
from heartbeat.health.condition import BAD
from heartbeat.health.course import Result, Status
from heartbeat.health.replies import Reply
from heartbeat.probe import Answer
from heartbeat.settings import plain

if TYPE_CHECKING:
    from heartbeat.owner import Owner

# Seconds that a probe may take besides its check's timeout: questions go first, and what hangs keeps its slot for long.
SLACK = 30.0
ANSWERED = "answered"
# Answers that say something of the guest: it has none to give. All others say something of us, or of libvirt.
NONE = frozenset({Answer.SILENT, Answer.CLOSED, Answer.NOT_CONNECTED, Answer.NO_CHANNEL, Answer.NOT_RUNNING,
                  Answer.GARBLED, Answer.ALIVE})  # fmt: skip


def probing(owner: Owner, find: Callable[[Mapping[str, Any]], str]) -> Handler:
    """find: the uuid of the guest that a request names; raises Refused."""

    def probe(request: dict[str, Any]) -> dict[str, Any]:
        """{"uuid": as for `why`, "check": a check's name, or None for a question}"""
        uuid, name = find(request), request.get("check") or ""
        if not isinstance(name, str) or len(name) > 100:
            raise Refused("check is to be a name of at most 32 characters")
        came, found = threading.Event(), list[tuple[Result, Reply]]()

        def tell(result: Result, reply: Reply) -> None:
            found.append((result, reply))
            came.set()

        why = owner.call(lambda: owner.ward.by_hand(uuid, name, tell, time.monotonic()))
        if why:
            raise Refused(f"{f'check {plain(name, 40)}' if name else f'guest {uuid}'}: {why}")
        check = owner.ward.defined.get(name)
        seconds = (check.timeout if check else 0.0) + SLACK
        if not came.wait(seconds):
            found.append((Result(Status.UNKNOWN, f"no result within {seconds:.0f} s", seconds), Reply(Answer.UNCLEAR)))
        result, reply = found[0]
        return {"uuid": uuid, **(_checked(result) if name else _asked(result, reply)), "check": name or None}

    return probe


def _checked(it: Result) -> dict[str, Any]:
    good = True if it.status is Status.HEALTHY else False if it.status in BAD else None
    return {"status": it.status.value, "text": it.text, "took": round(it.took, 4), "good": good}


def _asked(it: Result, reply: Reply) -> dict[str, Any]:
    answered = it.status is Status.HEALTHY
    good = True if answered else False if reply.answer in NONE else None
    status = ANSWERED if answered else "not answered" if good is False else "unknown"
    text = "" if answered else "answered, but not with what was asked" if reply.answer is Answer.ALIVE else it.text
    return {"status": status, "text": text, "took": round(it.took, 4), "good": good}
