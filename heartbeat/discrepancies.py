"""Where Nova's word on this host's guests is kept and compared with libvirt's, and what becomes of the difference.

Only the owner loop touches this. Its incidents are not about how a guest is, so they stand beside those of the guests'
watches and displace nothing there.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Callable, NamedTuple

from heartbeat import expectation
from heartbeat.attendance import Attendance
from heartbeat.conclusion import recovery
from heartbeat.expectation import TOLD, Answer, Expectation, Finding, Presence, Question, Server
from heartbeat.incident import (
    IGNORE,
    MISSING,
    RECORD,
    RECOVER,
    UNEXPECTED,
    Change,
    Close,
    Incident,
    Open,
)
from heartbeat.ledger import AlreadyOpenError, Ledger, LedgerError, Recipients
from heartbeat.observation import Observation
from heartbeat.watch import Fitness, Timing, Watch

log = logging.getLogger(__name__)

VERDICTS = frozenset({MISSING, UNEXPECTED})
INCARNATION = "nova"  # there is no QEMU process to name
RETRY = 1.0  # seconds until the ledger is tried again


class Limits(NamedTuple):
    """host: this compute service's name in Nova. dwell: seconds. share, number: see expectation.findings."""

    host: str
    dwell: float
    share: float
    number: int


class Discrepancies:
    """fitness, timing: of a guest, whether it is here or not. ledger, wall, recipients, opened, closed: as in Guests.

    watches: the guests'. limits: None while Nova is not asked.
    """

    def __init__(
        self,
        ledger: Ledger,
        wall: Callable[[], str],
        recipients: Callable[[], Recipients],
        opened: Callable[[Incident], None],
        closed: Callable[[], None],
        watches: Mapping[str, Watch],
    ) -> None:
        self._ledger, self._wall, self._recipients = ledger, wall, recipients
        self._opened, self._closed, self._watches = opened, closed, watches
        self.limits: Limits | None = None
        self.known = Expectation()
        self.incidents = {it.uuid: it for it in ledger.open_incidents() if it.verdict in VERDICTS}
        self.attendance = Attendance()
        self._writable_at = 0.0

    @property
    def trouble(self) -> str:
        """Why Nova's word is not to be had, or "". Before its first answer that is no trouble yet."""
        return self.known.trouble if self.limits and self.known.trouble != Expectation().trouble else ""

    def configure(self, limits: Limits | None) -> None:
        if limits is None or (self.limits and limits.host != self.limits.host):
            self.known = Expectation()  # what was said of another host says nothing here
        self.limits = limits
        self.attendance.changed = True

    # What is heard.

    def inventory(self, found: Mapping[str, Observation], now: float) -> None:
        self.attendance.inventory(found, now, self.known.servers)

    def blind(self) -> None:
        """libvirt cannot be reached."""
        self.attendance.blind()
        self.known = self.known._replace(doubts={})

    def heard(self, answer: Answer) -> list[str]:
        """Nova's answer. Of which guests it says something that it did not say before."""
        if self.limits is None:
            return []
        if self.trouble:
            log.info("nova: it answers again")
        before, self.known = self.known, expectation.learned(self.known, answer)
        self.attendance.changed = True
        return [uuid for uuid, it in self.known.servers.items() if _said(before.servers.get(uuid)) != _said(it)]

    def unheard(self, why: str) -> None:
        if self.limits is None:
            return
        if self.trouble != why:
            log.warning("nova: %s; until it answers its word is no opinion", why)
        self.known = expectation.failed(self.known, why)

    def question(self, now: float) -> Question | None:
        """What to ask next; None while there is nothing to compare its answer with."""
        if self.limits is None or self.attendance.present is None:
            return None
        return expectation.question(self.known, self.attendance.present, now)

    def server(self, uuid: str) -> Server | None:
        return self.known.servers.get(uuid)

    # What follows.

    def step(
        self, now: float, fitness: Callable[[str], Fitness], timing: Callable[[str], Timing], link: str
    ) -> None:
        """Once a turn. link: why libvirt cannot be reached, or ""."""
        if self.limits is None:
            self._settle(dict.fromkeys(self.incidents, "Nova is not asked any more"), [], now)
            return
        seen = self.attendance
        if link or seen.present is None or not (seen.changed or self.known.doubts) or now < self._writable_at:
            return
        seen.changed = False
        present = seen.explained(self._watches)
        self.known = expectation.compared(self.known, present, self.limits.host, now)
        _, dwell, share, number = self.limits
        found = expectation.findings(self.known, present, seen.listed, dwell, share, number)
        over = {uuid: why for uuid, it in self.incidents.items() if (why := self._over(it, present, now))}
        new = []
        for finding in found:
            known = self.incidents.get(finding.uuid)
            if known is None or known.verdict != finding.verdict:
                change = self._incident(finding, fitness(finding.uuid), timing(finding.uuid), now)
                if change:
                    new.append(change)
                    if known:
                        over[finding.uuid] = f"became {finding.verdict}"
        self._settle(over, new, now)

    def stands(self, incident: Incident, now: float, fitness: Fitness) -> str:
        """Whether one of our incidents is to be reported now, as watch.stands says it."""
        held = fitness.held and incident.action == RECOVER
        doubt = self.known.doubts.get(incident.uuid)
        if held or not fitness.able or doubt is None or expectation.VERDICT[doubt.kind] != incident.verdict:
            return "not-now"
        return "stands" if self.limits and expectation.fresh(self.known, now) else "not-now"

    def holding(self, incident: int) -> Incident | None:
        return next((it for it in self.incidents.values() if it.id == incident), None)

    def of(self, action: str) -> list[str]:
        """The uuids of guests with an open incident of this action."""
        return [it.uuid for it in self.incidents.values() if it.action == action]

    def word(self, uuid: str, now: float) -> str:
        """Nova's word on a guest, for people; "" where it is not asked."""
        if self.limits is None:
            return ""
        if self.known.heard is None:
            return f"no word: {self.known.trouble}"
        server = self.known.servers.get(uuid)
        age = f"{now - (server.asked if server else self.known.heard):.0f} s ago"
        if server is None:
            text = f"not among those that it has on {self.limits.host}, {age}"
        elif server.vm_state == expectation.DELETED:
            text = f"unknown to it, {age}"
        else:
            place = "this host" if server.host == self.limits.host else f"host {server.host or 'none'}"
            down = ", whose nova-compute is down" if server.up is False else ""
            task = f", at work: {server.task}" if server.task else ""
            text = f"{server.vm_state} on {place}{down}{task}, {age}"
        doubt = self.known.doubts.get(uuid)
        if doubt:
            text += f"; {TOLD[doubt.kind]} for {now - doubt.since:.0f} s, which counts after {self.limits.dwell:g} s"
        return text + (f"; no answer since: {self.known.trouble}" if self.known.trouble else "")

    def _incident(self, it: Finding, fitness: Fitness, timing: Timing, now: float) -> Open | None:
        action = timing.actions.get(it.verdict, RECORD)
        if timing.exempt or action == IGNORE:
            return None
        if action == RECOVER:
            if not it.certain:
                action = RECORD
            elif not fitness.able:
                return None  # later
            else:
                action = recovery(fitness, timing)
        server = self.known.servers[it.uuid]
        evidence = {
            "nova": it.kind, "seconds": round(now - it.since), "certain": it.certain, "vm_state": server.vm_state,
            "host": server.host[:64],
        }  # fmt: skip
        watch = self._watches.get(it.uuid)
        text = json.dumps(evidence, separators=(",", ":"))
        return Open(it.uuid, watch.guest.name if watch else "", INCARNATION, it.verdict, action, text)

    def _over(self, it: Incident, present: Mapping[str, Presence], now: float) -> str:
        """Why an incident has ended, "" if it has not, or nobody can tell."""
        if self.known.trouble or self.limits is None or not expectation.fresh(self.known, now):
            return ""
        kind = expectation.contradiction(self.known, it.uuid, present.get(it.uuid), self.limits.host)
        if kind == "" and (it.uuid in self.known.servers or self.known.whole is not None):
            return "Nova and libvirt agree about it again"
        return ""

    def _settle(self, over: Mapping[str, str], new: list[Open], now: float) -> None:
        changes: list[Change] = [Close(self.incidents[uuid].id, why) for uuid, why in over.items()]
        changes += new
        if not changes or now < self._writable_at:
            return
        try:
            opened = self._ledger.apply(changes, self._wall(), self._recipients())
        except (LedgerError, AlreadyOpenError) as error:
            log.warning("what Nova says of guests cannot be recorded: %s", error)
            self._writable_at, self.attendance.changed = now + RETRY, True
            return
        for uuid, why in over.items():
            log.info("guest %s: %s is over: %s", uuid, self.incidents.pop(uuid).verdict, why)
        for incident in opened:
            self.incidents[incident.uuid] = incident
            log.warning(
                "guest %s: %s, %s: %s", incident.uuid, incident.verdict, incident.action, incident.evidence
            )
            self._opened(incident)
        if over:
            self._closed()


def _said(server: Server | None) -> tuple[object, ...] | None:
    """What of a server's word bears on its guest's watch."""
    return None if server is None else (server.task, server.consent)

