"""What a courier and a backend say to each other. A backend brings one report to one place outside of this host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Union


@dataclass(frozen=True)
class Report:
    """One report, as it is to arrive.

    id: the incident's. generated_time: UTC in ISO 8601; a resend repeats it. hostname: this node, as the receiver
    knows it. resend: an earlier attempt with this generated_time may have been accepted. previous: the generated_time
    of the latest other report about this guest that may have been accepted, or "".
    """

    id: int
    uuid: str
    verdict: str
    generated_time: str
    hostname: str
    resend: bool
    previous: str = ""


@dataclass(frozen=True)
class Delivered:
    """It was accepted. reference: the receiver's name for it, or ""."""

    reference: str


@dataclass(frozen=True)
class Later:
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


class Backend(Protocol):
    """Used by one courier thread, except for interrupt(). No method raises for what happens outside of this process."""

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
