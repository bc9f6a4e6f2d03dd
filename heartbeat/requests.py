"""What operators ask over the control socket: status, why, incidents, probes, and holds by hand.

Each request runs in a thread of its own; what belongs to the owner loop is fetched there, in one call.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from heartbeat import FORMAT, __version__, status
from heartbeat.budget import Budget
from heartbeat.case import begun, completed
from heartbeat.control import Handler, Refused
from heartbeat.health.account import Account
from heartbeat.health.byhand import probing
from heartbeat.ledger import Ledger, LedgerError
from heartbeat.manual import ALL, ManualHold
from heartbeat.outcome import told
from heartbeat.outlook import Case, dates
from heartbeat.owner import Owner
from heartbeat.records import listed
from heartbeat.reporting import Reporting
from heartbeat.settings import plain
from heartbeat.watch import Fitness, Watch
from heartbeat.why import explain

log = logging.getLogger(__name__)

LONGEST_HOLD = 30 * 86400  # seconds; who needs more puts the node into maintenance
MOST_HOLDS = 1000  # more than guests on a node; a bound for a script that goes astray
MOST_INCIDENTS = 1000  # in one reply
HIGHEST = 1 << 63  # SQLite's numbers end there
REASON_LIMIT, OWNER_LIMIT = 200, 64  # characters
SHORTEST_PREFIX = 4  # characters of a uuid


class Node(NamedTuple):
    """What the handlers need to know beside the parts that they ask.

    name: this node's in the cluster, "" if it is not known. budget: of each guest, as it is set now.
    fitness: a guest's; held: is given the holds by hand as they are from now on. Both are called in the owner loop.
    wall: UTC in ISO 8601, as in the ledger.
    """

    name: Callable[[], str]
    budget: Callable[[], Budget]
    fitness: Callable[[str], Fitness]
    held: Callable[[Sequence[ManualHold]], None]
    wall: Callable[[], str]


def handlers(owner: Owner, ledger: Ledger, reporting: Reporting, node: Node) -> dict[str, Handler]:
    """The handlers of these requests, by the word in `do`."""
    desk = Desk(owner, ledger, reporting, node)
    words = {"status": desk.status, "why": desk.why, "incidents": desk.incidents, "hold": desk.hold,
             "release": desk.release, "probe": probing(owner, desk.guest)}  # fmt: skip
    return {word: _complete(_candid(handler)) for word, handler in words.items()}


class Desk:
    """Answers them. Every method raises Refused, TimeoutError and LedgerError."""

    def __init__(self, owner: Owner, ledger: Ledger, reporting: Reporting, node: Node) -> None:
        self._owner, self._ledger, self._reporting, self._node = owner, ledger, reporting, node

    def status(self, _: dict[str, Any]) -> dict[str, Any]:
        owner, now = self._owner, self._node.wall()
        date, link, differences = _dates(now), owner.link, owner.guests.discrepancies

        def look() -> tuple[dict[str, Watch], Fitness, Sequence[int], dict[str, Account]]:
            watches, ill = dict(owner.guests.watches), owner.guests.diagnoses
            known = owner.ward.known
            health = {it: Account(known(it), incident=ill.incidents.get(it)) for it in {*ill.patients, *ill.incidents}}
            open_now = status.incidents(watches, differences.incidents, ill.incidents)
            return watches, self._node.fitness(""), open_now, health

        watches, fitness, incidents, health = owner.call(look)
        deliveries, recoveries = self._ledger.deliveries(incidents), self._recoveries()
        return {
            "time": now,
            "state": self._reporting.state,
            "node": self._node.name(),
            "hostname": self._reporting.hostname.name,
            "libvirt": {"connected": not link, "since": date(owner.link_since), "error": link or None},
            "backends": self._reporting.status(),
            "fitness": {"able": fitness.able, "why": fitness.why, "stretch": fitness.stretch},
            "holds": [hold._asdict() for hold in self._ledger.holds(now)],
            "nova": owner.call(lambda: status.nova(differences, deliveries, date)),
            "guests": status.guests(watches, deliveries, recoveries, date, health),
            "checks": {"held": owner.guests.diagnoses.breaker.trouble or None},
            "lost": list(self._reporting.lost),
        }

    def _recoveries(self) -> dict[str, str]:
        """Guest -> how it stands with the latest of its recoveries that are followed, for people."""
        return {it.uuid: told(it.outcome, it.word.status, it.human) for it in self._ledger.followed()}

    def why(self, request: dict[str, Any]) -> dict[str, Any]:
        """{"uuid": a guest's uuid, the beginning of one, or its name}"""
        owner, now = self._owner, self._node.wall()
        uuid = self.guest(request)

        def look() -> tuple[Case | None, str]:
            watch, moment, node = owner.guests.watches.get(uuid), time.monotonic(), self._node
            case = watch and begun(owner, watch, moment, now, node.fitness(uuid), node.budget())
            return case, owner.guests.discrepancies.word(uuid, moment)

        case, nova = owner.call(look)
        if case is None:
            nova = f" (Nova: {nova})" if nova else ""
            past = f"masakari-qga incidents --guest {uuid} lists its past"
            raise Refused(f"guest {uuid} is not on this node{nova}; {past}")
        return explain(completed(case, self._ledger, now))

    def guest(self, request: Mapping[str, Any]) -> str:
        """The uuid of the guest that a request is about."""
        return self._find(_text(request, "uuid"), [])

    def incidents(self, request: dict[str, Any]) -> dict[str, Any]:
        """{"limit": number, "uuid": None, or a guest as for `why`, here or not}, or {"incident": number of one}"""
        if request.get("incident") is not None:
            number = request["incident"]
            if isinstance(number, bool) or not isinstance(number, int) or not 0 < number < HIGHEST:
                raise Refused(f"incident = {plain(str(number), 40)}: give its number, as incidents shows it")
            return {"incidents": [listed(past) for past in self._ledger.incident(number)]}
        limit, word = request.get("limit", 20), request.get("uuid")
        if not isinstance(limit, int) or not 1 <= limit <= MOST_INCIDENTS:
            raise Refused(f"limit = {plain(str(limit), 40)}: give a number from 1 to {MOST_INCIDENTS}")
        found = self._ledger.incidents(limit, None if word is None else _text(request, "uuid"))
        return {"incidents": [listed(past) for past in found]}

    def hold(self, request: dict[str, Any]) -> dict[str, Any]:
        """{"scope": ALL or a guest, "seconds": number, "reason": text, "owner": name}"""
        now, seconds = self._node.wall(), request.get("seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 1 <= seconds <= LONGEST_HOLD:
            raise Refused("how long? give --for with 1 second to 30 days, such as 30m, 2h or 1d")
        reason = _text(request, "reason").strip()
        if not reason or len(reason) > REASON_LIMIT or not (reason.isascii() and reason.isprintable()):
            raise Refused(f"why? give --reason with 1 to {REASON_LIMIT} plain ASCII characters, for your colleagues")
        owner = plain(str(request.get("owner") or "root"), OWNER_LIMIT - 3)
        holds = self._ledger.holds(now)
        scope = self._find(_text(request, "scope"), holds)
        if len(holds) >= MOST_HOLDS:
            raise Refused(f"there are {MOST_HOLDS} holds already; release some, or hold all")
        here = scope == ALL or self._owner.call(lambda: scope in self._owner.guests.watches)
        number = self._ledger.hold(scope, owner, reason, now, _later(now, seconds))
        made = next(hold for hold in self._spread(now) if hold.id == number)
        log.info("hold %d: %s held by %s until %s: %s", number, scope, owner, made.until[:19], reason)
        return {"hold": made._asdict(), "here": here}

    def release(self, request: dict[str, Any]) -> dict[str, Any]:
        """{"scope": as it was held}"""
        now = self._node.wall()
        holds = self._ledger.holds(now)
        scope = self._find(_text(request, "scope"), holds)
        ended = [hold for hold in holds if hold.scope == scope]
        if ended:
            self._ledger.release(scope)
            log.info("released: %s, %d holds", scope, len(ended))
        return {"scope": scope, "released": [it._asdict() for it in ended],
                "holds": [it._asdict() for it in self._spread(now)]}  # fmt: skip

    def _spread(self, now: str) -> list[ManualHold]:
        """The holds as they are now, made known to the owner loop."""
        holds = self._ledger.holds(now)
        self._owner.call(lambda: self._node.held(holds))
        return holds

    def _find(self, word: str, holds: Sequence[ManualHold]) -> str:
        """The uuid that a word names: a whole one, known or not; a guest's name; or the beginning of a known uuid.
        holds: whose scopes are known too."""
        if word == ALL:
            return ALL
        try:
            return str(UUID(word))
        except ValueError:
            pass
        watches: dict[str, Watch] = self._owner.call(lambda: dict(self._owner.guests.watches))
        known = {*watches, *(hold.scope for hold in holds if hold.scope != ALL)}
        found = sorted(uuid for uuid, watch in watches.items() if watch.guest.name == word)
        if not found and len(word) >= SHORTEST_PREFIX:
            found = sorted(uuid for uuid in known if uuid.startswith(word.lower()))
        if len(found) == 1:
            return found[0]
        shown = plain(word, 60)
        if found:
            raise Refused(f"{shown} may be {len(found)} guests: {', '.join(found[:3])}{', ...' * (len(found) > 3)}")
        raise Refused(f"{shown} is no guest of this node; give a uuid, its first {SHORTEST_PREFIX} or more, or a name")


def _complete(handler: Handler) -> Handler:
    """Every reply says what it is to be read as, and who it is from."""
    return lambda request: {"format": FORMAT, "version": __version__, **handler(request)}


def _candid(handler: Handler) -> Handler:
    """A ledger's failure is told with its remedy."""

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        try:
            return handler(request)
        except LedgerError as error:
            raise Refused(str(error)) from None

    return answer


def _text(request: Mapping[str, Any], name: str) -> str:
    value = request.get(name)
    if not isinstance(value, str) or len(value) > 1000:
        raise Refused(f"{name} is to be a text of at most 1000 characters")
    return value


def _later(now: str, seconds: float) -> str:
    return (datetime.fromisoformat(now) + timedelta(seconds=seconds)).isoformat(timespec="microseconds")


def _dates(now: str) -> Callable[[float], str]:
    return dates(now, time.monotonic())
