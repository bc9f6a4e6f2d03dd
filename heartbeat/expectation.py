"""What Nova expects of this host against what libvirt has. Pure: no I/O, no clock; times are monotonic seconds.

Nova is a witness of intentions, not of guests: it says what should be here. Where it contradicts libvirt, one of the
two may just be behind, so nothing is concluded before

- the contradiction has lasted for the dwell, with Nova answering and libvirt connected all along, and
- Nova, asked for this very server, and libvirt, read as a whole, have repeated it after that.

A server that is being worked on, and one whose nova-compute is down, contradicts nothing. Whatever Nova does not say,
says wrongly or says too late is no opinion.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from heartbeat.incident import MISSING, UNEXPECTED
from heartbeat.terms import Consent

# Seconds. A list of all servers is asked for this often; in between, those that have changed are enough.
WHOLE = 600.0
# What Nova said this long ago is no opinion any more, and no reason to hold anybody.
STALE = 300.0
MOST_SINGLES = 20  # questions about one server each, in a round

ACTIVE, STOPPED, DELETED = "active", "stopped", "deleted"
# In these a server stays where it is until somebody wants otherwise; in all others somebody is at work on it.
RESTING = frozenset({ACTIVE, STOPPED, "paused", "suspended", "error"})
# libvirt's reasons why a domain is shut off that nobody can have wanted.
FAILED = frozenset({"failed", "crashed"})


class Server(NamedTuple):
    """Nova's word on one server. host: the compute service that has it. task: what is being done with it, or "".
    up: whether its nova-compute is, None where Nova does not say. asked: when the question was put. One that Nova does
    not know is DELETED."""

    uuid: str
    host: str
    vm_state: str
    task: str
    up: bool | None
    consent: Consent
    asked: float


class Answer(NamedTuple):
    """One round with Nova. whole: `servers` are all of this host, not only those that have changed. singles: what was
    asked one by one. date: Nova's own clock when the round began, ISO 8601, or ""."""

    asked: float
    whole: bool
    servers: tuple[Server, ...]
    singles: tuple[Server, ...] = ()
    date: str = ""


class Question(NamedTuple):
    """What to ask next. since: only those that have changed since then, by Nova's clock; "": all of this host."""

    since: str
    singles: tuple[str, ...]


class Presence(NamedTuple):
    """libvirt's word on one domain. running: it has a QEMU; None: it could not be read. why: it is shut off.
    explained: an incident says more of it already."""

    running: bool | None
    why: str = ""
    explained: bool = False


class Doubt(NamedTuple):
    """A contradiction: see `contradiction`. since: when it was first seen."""

    kind: str
    since: float


class Expectation(NamedTuple):
    """All that is known. servers: by uuid, of this host or asked for. whole, heard: when the
    last full list, and the last answer at all, were asked for. trouble: why there is none now, or ""."""

    servers: Mapping[str, Server] = {}
    doubts: Mapping[str, Doubt] = {}
    whole: float | None = None
    heard: float | None = None
    date: str = ""
    trouble: str = "it has not answered yet"


class Finding(NamedTuple):
    """A contradiction that is one. certain: nothing but a failure explains it."""

    uuid: str
    kind: str
    verdict: str
    since: float
    certain: bool


# Kinds of contradiction -> verdict, and what an operator is told.
MISSES, STRANGER, ELSEWHERE, SHUT_OFF = "missing", "unknown", "elsewhere", "shut-off"
VERDICT = {MISSES: MISSING, STRANGER: UNEXPECTED, ELSEWHERE: UNEXPECTED, SHUT_OFF: UNEXPECTED}
TOLD = {
    MISSES: "Nova has it active on this host, and libvirt does not run it",
    STRANGER: "it runs here, and Nova does not know it",
    ELSEWHERE: "it runs here, and Nova has it on another host",
    SHUT_OFF: "it runs here, and Nova has it shut off",
}


def learned(known: Expectation, answer: Answer) -> Expectation:
    """What is known after a good answer."""
    servers = dict(known.servers)
    if answer.whole:
        # Those that are not in the list any more may have moved: whoever still runs here is asked for by itself.
        servers = {uuid: it for uuid, it in servers.items() if uuid in known.doubts}
    servers.update({it.uuid: it for it in (*answer.servers, *answer.singles)})
    return known._replace(
        servers=servers, whole=answer.asked if answer.whole else known.whole, heard=answer.asked,
        date=answer.date or ("" if answer.whole else known.date), trouble="",
    )  # fmt: skip


def failed(known: Expectation, why: str) -> Expectation:
    """No answer, or none that can be relied on: what was doubted is to be seen anew from the next one on."""
    return known._replace(trouble=why, doubts={})


def fresh(known: Expectation, now: float) -> bool:
    """Whether Nova's word still says something about now."""
    return known.heard is not None and now - known.heard <= STALE


def question(known: Expectation, present: Mapping[str, Presence], now: float) -> Question:
    """What to ask Nova next."""
    whole = known.whole is None or not known.date or known.trouble != "" or now - known.whole >= WHOLE
    strangers = [uuid for uuid, it in present.items() if it.running and uuid not in known.servers]
    # Those asked longest ago first, so that all get their turn.
    doubted = sorted({*known.doubts, *strangers}, key=lambda uuid: (_asked(known, uuid), uuid))
    # Before the first list everybody is a stranger.
    singles = () if known.whole is None else tuple(doubted[:MOST_SINGLES])
    return Question("" if whole else known.date, singles)


def contradiction(known: Expectation, uuid: str, presence: Presence | None, host: str) -> str | None:
    """In what Nova and libvirt disagree about a guest; "" in nothing, None if that cannot be told now."""
    running = presence is not None and presence.running
    if uuid not in known.servers:
        return "" if not running else None
    if presence is not None and (presence.running is None or presence.explained):
        return None
    server = known.servers[uuid]
    if server.vm_state == DELETED:
        return STRANGER if running else ""
    if server.task or server.up is False or server.vm_state not in RESTING:
        return None
    if server.host != host:
        return ELSEWHERE if running and server.host else ""
    if server.vm_state == ACTIVE:
        return "" if running else MISSES
    return SHUT_OFF if running and server.vm_state == STOPPED else ""


def compared(known: Expectation, present: Mapping[str, Presence], host: str, now: float) -> Expectation:
    """The same, with what is doubtful from now on, and without what is so no more."""
    if known.trouble or not fresh(known, now):
        return known._replace(doubts={}) if known.doubts else known
    doubts = {}
    for uuid in known.servers.keys() | present.keys():
        kind = contradiction(known, uuid, present.get(uuid), host)
        if kind:
            before = known.doubts.get(uuid)
            doubts[uuid] = before if before and before.kind == kind else Doubt(kind, now)
    return known._replace(doubts=doubts)


def findings(
    known: Expectation, present: Mapping[str, Presence], listed: float, dwell: float, share: float, number: int
) -> list[Finding]:
    """What is certain enough to be recorded. listed: when libvirt was last read as a whole. share, number: so many
    guests missing at once, in per cent and all told, are the fault of a name or a connection, not theirs."""
    ripe = {
        uuid: doubt for uuid, doubt in known.doubts.items()
        if min(listed, _asked(known, uuid)) >= doubt.since + dwell
    }  # fmt: skip
    missing = sum(it.kind == MISSES for it in known.doubts.values())
    expected = [it for it in known.servers.values() if it.vm_state == ACTIVE and it.uuid not in known.doubts]
    agreed = [it for it in expected if (presence := present.get(it.uuid)) and presence.running]
    many = missing > number and missing * 100 > share * (missing + len(expected))
    return [
        Finding(
            uuid, doubt.kind, VERDICT[doubt.kind], doubt.since,
            doubt.kind == MISSES and bool(agreed) and not many and _lost(known.servers[uuid], present.get(uuid)),
        )
        for uuid, doubt in sorted(ripe.items())
    ]  # fmt: skip


def tasks(known: Expectation, uuids: Iterable[str], now: float) -> dict[str, str]:
    """What Nova is doing with each of these guests, "" for nothing or where its word is too old to say."""
    current = fresh(known, now)
    found = {}
    for uuid in uuids:
        server = known.servers.get(uuid) if current else None
        found[uuid] = server.task if server else ""
    return found


def _lost(server: Server, presence: Presence | None) -> bool:
    return server.up is True and (presence is None or presence.why in FAILED)


def _asked(known: Expectation, uuid: str) -> float:
    server = known.servers.get(uuid)
    return server.asked if server else float("-inf")
