"""Every metric once: name, kind, help, labels, and what a snapshot says of it.

docs/metrics.rst is made from this table. Labels are words of ours, the name of a backend that is configured, or the
uuid of a guest that has failed; a guest's own text is in none. What is not known is left out, never told as 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Callable, NamedTuple, Union

from heartbeat import __version__, holds, watch
from heartbeat.figures import Bundles
from heartbeat.incident import OBSERVED, RECORD, RECOVER, SUSPENDED
from heartbeat.probe import Answer
from heartbeat.settings import VERDICTS
from heartbeat.snapshot import BY_HAND, Books, Loop, Snapshot
from heartbeat.tally import RESULTS, Distribution

GAUGE, COUNTER, HISTOGRAM = "gauge", "counter", "histogram"
PREFIX = "masakari_qga_"

VERDICT = tuple(name for name, *_ in VERDICTS)
STATE = (
    *(watch.WAITING, watch.HEALTHY, watch.SUSPECT, watch.PAUSED, watch.STOPPED, watch.UNMONITORED, watch.UNKNOWN),
    *(watch.EXEMPT, *(name for name in VERDICT if name in watch.VERDICTS)),
)
HOLD = (holds.GRACE, holds.JOB, holds.BUSY, holds.DUMP, holds.PAUSE, holds.TASK, BY_HAND)
ACTION = (RECOVER, RECORD, OBSERVED, SUSPENDED)
FAILED = (RECOVER, OBSERVED, SUSPENDED)  # of an incident whose guest is to be recovered, or would be
UNRECOVERED = "unrecovered"
MIRROR = "attributes"  # shows how things are, and so owes nothing

Sample = tuple["tuple[str, ...]", Union[float, Distribution]]
Read = Callable[[Snapshot], Iterable[Sample]]


class Family(NamedTuple):
    """A metric. name: without PREFIX. labels: name -> the words that it may have, () where they are names or uuids.
    read: its samples, none while it is not known."""

    name: str
    kind: str
    help: str
    read: Read
    labels: Mapping[str, tuple[str, ...]] = {}

    @property
    def full(self) -> str:
        return PREFIX + self.name


def slug(word: str) -> str:
    """A word of ours as a label's value."""
    return word.lower().replace(" ", "-").replace("_", "-")


def _one(value: Callable[[Snapshot], float | Distribution]) -> Read:
    return lambda it: [((), value(it))]


def _loop(value: Callable[[Loop], float | None]) -> Read:
    """Of what only the owner loop knows."""
    return lambda it: _known(it.loop and value(it.loop))


def _books(value: Callable[[Books], float]) -> Read:
    """Of what only the ledger knows."""
    return lambda it: _known(it.books and value(it.books))


def _bundles(value: Callable[[Bundles], float]) -> Read:
    return lambda it: _known(it.bundles and value(it.bundles))


def _known(value: float | None) -> Iterable[Sample]:
    return [] if value is None else [((), value)]


def _words(found: Mapping[str, float], words: Iterable[str] = ()) -> Iterable[Sample]:
    """words: those that are always there, with 0 if nothing was found."""
    return [((slug(word),), found.get(word, 0)) for word in dict.fromkeys((*words, *found))]


def _verdicts(it: Snapshot) -> Iterable[Sample]:
    """Those that are set with 0, so that the first one of each is an increase."""
    usual = {(verdict, action): 0 for verdict, action in it.loop.actions.items() if action in ACTION} if it.loop else {}
    return {**usual, **it.tally.verdicts}.items()


def _observed(it: Snapshot) -> Iterable[Sample]:
    usual = [verdict for verdict, action in it.loop.actions.items() if action == RECOVER] if it.loop else []
    found = {verdict: number for (verdict, action), number in it.tally.verdicts.items() if action == OBSERVED}
    return _words(found, usual)


def _open(it: Snapshot) -> Iterable[Sample]:
    found: dict[tuple[str, ...], int] = {}
    for incident in it.books.incidents if it.books else ():
        key = (incident.verdict, incident.action)
        found[key] = found.get(key, 0) + 1
    return found.items()


def _failed(it: Snapshot) -> Iterable[Sample]:
    incidents = it.books.incidents if it.books else ()
    return {(one.uuid, one.verdict, one.action): 1 for one in incidents if one.action in FAILED}.items()


def _needing(it: Snapshot) -> Iterable[Sample]:
    if it.books is None:
        return []
    suspended = {incident.uuid for incident in it.books.incidents if incident.action == SUSPENDED}
    return _words({SUSPENDED: len(suspended), UNRECOVERED: len(it.lost)})


def _deliveries(it: Snapshot) -> Iterable[Sample]:
    usual = {(backend, result): 0 for backend in it.troubles if backend != MIRROR for result in RESULTS}
    return {**usual, **it.tally.deliveries}.items()


def _owing(value: Callable[[Snapshot, str], float]) -> Read:
    """Of each backend that is configured and delivers."""
    return lambda it: [((name,), value(it, name)) for name in it.troubles if name != MIRROR and it.books]


def _pending(it: Snapshot, backend: str) -> float:
    owed = it.books and it.books.owed.get(backend)
    return owed.number if owed else 0


FAMILIES: tuple[Family, ...] = (
    Family("up", GAUGE, "1: the owner loop answered when this was collected. 0: it is stuck, and what only it knows is"
           " missing here.", _one(lambda it: int(it.loop is not None))),
    Family("build_info", GAUGE, "Always 1. version: of the helper that runs; after an upgrade it may be older than the"
           " package.", lambda _: [((__version__,), 1)], {"version": ()}),
    Family("start_time_seconds", GAUGE, "When the helper began, as Unix time.", _one(lambda it: it.started)),
    Family("snapshot_timestamp_seconds", GAUGE, "When these numbers were collected, as Unix time: a text file stays"
           " behind when its writer dies.", _one(lambda it: datetime.fromisoformat(it.now).timestamp())),
    Family("loop_stalled_seconds", GAUGE, "Seconds since the owner loop last made progress; it turns at least once a"
           " second.", _one(lambda it: it.stalled)),
    Family("loop_lateness_seconds", HISTOGRAM, "By how many seconds the owner loop came too late, the worst of each"
           " second.", _one(lambda it: it.tally.lateness.read())),
    Family("local_health_points", GAUGE, "How unwell this host and the helper are, 0 (well) to 7. Each point makes"
           " every time of silence longer.", _loop(lambda it: it.points)),
    Family("fit_to_judge", GAUGE, "1: silence can become a verdict that causes a recovery. 0: not, for the reason that"
           " masakari-qga status shows.", _loop(lambda it: int(it.able))),
    Family("breaker_open", GAUGE, "1 while so many guests are silent at once that the fault is taken for this host's.",
           _loop(lambda it: int(it.tripped))),
    Family("node_held", GAUGE, "1 if the cluster wanted no recovery on this node when one was last to be reported:"
           " maintenance, standby, fencing.", _loop(lambda it: int(it.held))),
    Family("observe_mode", GAUGE, "1 where watch.mode is observe, so that nothing is recovered.",
           _loop(lambda it: int(it.observe))),
    Family("libvirt_connected", GAUGE, "1 while libvirt is connected. Without it no guest is judged.",
           _loop(lambda it: int(it.linked))),
    Family("libvirt_answer_seconds", GAUGE, "Seconds that libvirt takes to answer a call that touches no guest; not"
           " there while it is away.", _loop(lambda it: it.canary)),
    Family("nova_answering", GAUGE, "1 while Nova answers; not there where it is not asked.",
           _loop(lambda it: None if it.nova is None else int(it.nova))),
    Family("guests", GAUGE, "Guests of this node by state, as masakari-qga status has them.",
           lambda it: _words(it.states(), STATE) if it.loop else [], {"state": STATE}),
    Family("guests_watched", GAUGE, "Guests whose silence means something: they run, and have answered since their"
           " start.", _loop(lambda it: it.watched)),
    Family("guests_held", GAUGE, "Guests that are not judged or recovered at present, by reason; one may have several.",
           lambda it: _words(it.holds(), HOLD) if it.loop else [], {"reason": HOLD}),
    Family("questions_in_flight", GAUGE, "Questions to guests' agents that have not returned; six are the most.",
           _loop(lambda it: it.out)),
    Family("answers_total", COUNTER, "Questions that have returned, by class of answer; alive is the proper one.",
           lambda it: _words({answer.name: it.tally.answers[answer] for answer in Answer}),
           {"class": tuple(answer.name for answer in Answer)}),
    Family("answer_seconds", HISTOGRAM, "Seconds that agents took to answer, of questions that were answered.",
           _one(lambda it: it.tally.seconds.read())),
    Family("suspicions_total", COUNTER, "How often a guest became suspect; most are cleared by its next answer.",
           _loop(lambda it: it.suspicions)),
    Family("verdicts_total", COUNTER, "Incidents opened, by verdict and by what it caused: recover, record, observed"
           " (would have been recovered), suspended (was recovered too often).", _verdicts,
           {"verdict": VERDICT, "action": ACTION}),
    Family("observed_recoveries_total", COUNTER, "Recoveries that were not asked for since watch.mode is observe, by"
           " verdict.", _observed, {"verdict": VERDICT}),
    Family("incidents_open", GAUGE, "Incidents that are open, by verdict and action.", _open,
           {"verdict": VERDICT, "action": ACTION}),
    Family("guest_failed", GAUGE, "1 for each guest with an open incident that asks for its recovery, or would.",
           _failed, {"uuid": (), "verdict": VERDICT, "action": FAILED}),
    Family("guests_needing_human", GAUGE, "Guests that nothing here helps any more. suspended: recovered too often."
           " unrecovered: the recovery came to nothing.", _needing, {"reason": (SUSPENDED, UNRECOVERED)}),
    Family("recoveries_in_flight", GAUGE, "Recoveries that were reported and are not over; budget.in_flight is the"
           " most.", _books(lambda it: it.flying)),
    Family("deliveries_total", COUNTER, "Attempts to deliver a report, by backend and by what came of it; a failed one"
           " is made again.", _deliveries, {"backend": (), "result": RESULTS}),
    Family("deliveries_pending", GAUGE, "Reports that a backend has not taken yet.", _owing(_pending), {"backend": ()}),
    Family("oldest_undelivered_seconds", GAUGE, "Seconds since what the oldest report tells that a backend has not"
           " taken yet; 0 if there is none.", _owing(lambda it, backend: it.age(backend)), {"backend": ()}),
    Family("backend_trouble", GAUGE, "1 while something keeps a backend from delivering what is owed; masakari-qga"
           " status shows what.", lambda it: [((name,), int(bad)) for name, bad in it.troubles.items()],
           {"backend": ()}),
    Family("ledger_readable", GAUGE, "1 if the ledger could be read in time when this was collected.",
           _one(lambda it: int(it.books is not None))),
    Family("ledger_writable", GAUGE, "0 if the last change could not be recorded, so that nothing new is reported.",
           _loop(lambda it: int(it.recordable))),
    Family("ledger_size_bytes", GAUGE, "Bytes of the ledger on disk.", _books(lambda it: it.volume.size)),
    Family("ledger_incidents", GAUGE, "Incidents in the ledger, open and closed.",
           _books(lambda it: it.volume.incidents)),
    Family("health_checks", GAUGE, "Health checks of applications in guests, by the status of the last run.",
           lambda it: _words(it.checks or {}), {"status": ()}),
    Family("evidence_bundles", GAUGE, "Evidence bundles of incidents that are kept.", _bundles(lambda it: it.kept)),
    Family("evidence_size_bytes", GAUGE, "Bytes that the evidence bundles take on disk.", _bundles(lambda it: it.size)),
    Family("evidence_captures_total", COUNTER, "Evidence bundles that were begun, by how that ended.",
           lambda it: _words(it.bundles.captured) if it.bundles else [], {"result": ()}),
)  # fmt: skip
