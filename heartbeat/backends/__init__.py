"""What a courier and a backend say to each other. A backend brings one report to one place outside of this host."""

from __future__ import annotations

import json
import uuid
from typing import Any, NamedTuple, Protocol, Union

from heartbeat.incident import RECOVER, UNHEALTHY
from heartbeat.option import plain

FAILED, CLEARED = "failed", "cleared"
_KEYS = uuid.UUID("8c0f8a52-6f0f-4f5c-9d3e-6f2c1f6b7a10")  # any fixed one: see Report.key


class Report(NamedTuple):
    """One report, as it is to arrive.

    id: the incident's. generated_time: UTC in ISO 8601; a resend repeats it. hostname: this node, as the receiver
    knows it. resend: an earlier attempt with this generated_time may have been accepted. previous: the generated_time
    of the latest other report about this guest that may have been accepted, or "".
    kind: FAILED, or CLEARED for what is over. action: of the incident. name: the domain's, hostile text. opened: when
    the incident was. evidence: its JSON. closed, why: when and why the incident was closed. outcome: what had become of
    its recovery by then, "" if that was not known.
    """

    id: int
    uuid: str
    verdict: str
    generated_time: str
    hostname: str
    resend: bool
    previous: str = ""
    kind: str = FAILED
    action: str = RECOVER
    name: str = ""
    opened: str = ""
    evidence: str = ""
    closed: str = ""
    why: str = ""
    outcome: str = ""

    @property
    def key(self) -> str:
        """A UUID that every attempt to bring this very report has, in this and in any later life of the helper, and no
        other report of any node: a guest has one incident of a kind at a time."""
        return str(uuid.uuid5(_KEYS, f"{self.uuid} {self.verdict} {self.opened or self.generated_time} {self.kind}"))

    def document(self) -> dict[str, Any]:
        """All of it for a receiver that takes JSON. The same for every attempt; bounded; and of what came from a guest
        or its owner only printable ASCII."""
        document: dict[str, Any] = {
            "version": 1,
            "id": self.key,
            "event": self.kind,
            "incident": self.id,
            "guest": {"uuid": self.uuid, "name": plain(self.name, 64)},
            "host": self.hostname,
            "verdict": self.verdict,
            "action": self.action,
            "opened": self.opened or self.generated_time,
            "evidence": _evidence(self.evidence),
        }
        if self.kind == CLEARED:
            document["cleared"] = {"at": self.closed, "why": plain(self.why)}
            if self.outcome:
                document["cleared"]["outcome"] = plain(self.outcome, 64)
        return document


    @property
    def said(self) -> str:
        """What its application says of a guest that is unhealthy: "web: unhealthy: no quorum"; of any other ""."""
        found = _evidence(self.evidence) if self.verdict == UNHEALTHY else {}
        return ": ".join(str(found[word]) for word in ("check", "status", "text") if found.get(word))


def _evidence(text: str) -> dict[str, Any]:
    """Numbers and short texts, by the names of witnesses."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):  # it was too long for the ledger
        return {}
    if not isinstance(found, dict):
        return {}
    words = list(found.items())[:32]
    return {plain(name, 32): it if isinstance(it, (bool, int, float)) else plain(str(it), 160) for name, it in words}


class Delivered(NamedTuple):
    """It was accepted. reference: the receiver's name for it, or ""."""

    reference: str


class Later(NamedTuple):
    """It was not accepted, or we do not know.

    reason: what happened and what an operator can do, one line, the same text for the same trouble.
    after: seconds that must pass before the next attempt; None leaves it to the courier.
    uncertain: it may have been accepted all the same.
    renew: the next attempt is a new report and carries a new time.
    whole: nothing can be delivered now, so other reports need not be tried.
    """

    reason: str
    after: float | None = None
    uncertain: bool = False
    renew: bool = False
    whole: bool = False


Outcome = Union[Delivered, Later]


class Sought(NamedTuple):
    """A report that was accepted, of which its receiver is asked how far it has come. reference: its name for it; "" if
    that was lost with the answer."""

    uuid: str
    generated_time: str
    reference: str


# Seconds: trouble that only people can end is looked at again this often.
SLOW = 60.0


class Receiver(Protocol):
    """What another package registers in the entry point group masakari_qga.backends, and what ours are: a class that is
    called with its options, in a process of its own.

    It may also have abandon(), which is called from any thread when that process is to end at once, and ends whatever
    would outlive it.
    """

    def prepare(self) -> Later | None:
        """As in Backend."""

    def deliver(self, report: Report) -> Outcome:
        """As in Backend. An attempt that is not over after twice its option `timeout` and 10 s is cut off."""


class Backend(Protocol):
    """What a courier works with. Used by one courier thread, except for interrupt(). No method raises for what happens
    outside of this process."""

    name: str

    def begin(self) -> None:
        """Starts what takes time and needs nobody's answer, and returns at once."""

    def prepare(self) -> Later | None:
        """Does all that can be done without a report (authentication, say), so that little time passes between the
        last look at the guest and the report. None: ready."""

    def deliver(self, report: Report) -> Outcome:
        """Makes one attempt, in bounded time."""

    def close(self) -> None:
        """Gives back what it holds. It may be used again."""

    def interrupt(self) -> None:
        """Ends a call in progress at once, with whatever outcome. From any thread."""
