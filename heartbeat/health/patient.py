"""A guest that has health checks, and its runs of them. Owner loop only."""

from __future__ import annotations

from typing import Callable

from heartbeat.health.condition import Condition
from heartbeat.health.course import Course, Result
from heartbeat.health.definition import Check
from heartbeat.health.replies import Call, Capabilities, Reply
from heartbeat.witness import Sample

Tell = Callable[[Result, Reply], None]


class Patient:
    """A guest that has checks, since it was started, reset, or its agent connected anew.

    capabilities: of its agent, None if they are not known. conditions: by the name of a check that has been run.
    looked: the last sample of it, None before one is taken.
    """

    __slots__ = ("capabilities", "checks", "conditions", "incarnation", "looked", "uuid")

    def __init__(self, uuid: str, incarnation: str, checks: tuple[Check, ...]) -> None:
        self.uuid, self.incarnation, self.checks = uuid, incarnation, checks
        self.capabilities: Capabilities | None = None
        self.conditions: dict[str, Condition] = {}
        self.looked: Sample | None = None


class Job:
    """One check of one guest. check: None for a mere question, by hand. single: it is run once.

    course: of the run under way, or of the last one. call: what is put next, None between two runs. out: the token of
    the call that is out. informing: that call asks what the agent allows. doubt: why what is bad of this run counts for
    nothing, "" if it counts. waiting: since when it waits for a slot; waited: seconds of this run before that. by_hand:
    its result is for those who asked only. asking: who they are.
    """

    __slots__ = (
        "asking", "by_hand", "call", "check", "course", "doubt", "informing", "key", "out", "patient", "single",
        "waited", "waiting",
    )  # fmt: skip

    def __init__(self, patient: Patient, check: Check | None, key: str, single: bool = False) -> None:
        self.patient, self.check, self.key, self.single = patient, check, key, single
        self.course: Course | None = None
        self.call: Call | None = None
        self.out: int | None = None
        self.waiting: float | None = None
        self.asking: list[Tell] = []
        self.begin_anew()

    def begin_anew(self) -> None:
        self.call, self.informing, self.by_hand, self.doubt, self.waited = None, False, False, "", 0.0

    @property
    def under_way(self) -> bool:
        return self.call is not None or self.out is not None
