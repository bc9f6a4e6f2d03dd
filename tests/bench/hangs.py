"""From the hang of some of the guests, all at once, to the reports about them: ours, and the peer's."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple

from tests.bench import contest
from tests.bench.contest import Contestant, reported
from tests.bench.measure import Field, Row
from tests.harness.guests import Guest

GUESTS = 60
SINGLES = 3                                 # one guest's time depends on when it was asked last: worst of these
PROMISES = {1: 30.0, 20: 38.0, 50: 45.0}    # guests hung, and seconds until the last report
HIGH = 12.0                                 # s, one guest, sensitivity = high
LIMIT = 120.0                               # s, for ours
# With so many guests hung the peer is measured, which takes it 450 s and more from the second on; and how many times
# sooner we are to be then.
PEER, SOONER = (1, 20), {20: 10.0}


class Took(NamedTuple):
    """Seconds to the first and the last report; over: the last did not come in time. others: reports about guests
    that were well."""

    first: float
    last: float
    over: bool
    others: int


def rows(field: Field, count: int) -> Iterator[Row]:
    what = f"{count} of {GUESTS} hung" + " at once" * (count > 1)
    runs = SINGLES if count == 1 else 1
    took = _worst(field, contest.ours(field), count, LIMIT, runs)
    yield from _shown(what, took, PROMISES.get(count))
    yield Row(f"{what}: reports about others", took.others, "", 0)
    if count in PEER or field.everything:
        peer = _worst(field, contest.peer(field), count, field.limit, runs)
        yield from _shown(f"{what}, peer", peer)
        yield Row(f"{what}: times that ours is sooner", peer.last / took.last, "", SOONER.get(count), True, peer.over)
    if count == 1:
        peer = _worst(field, contest.peer(field, timeout=2), count, field.limit)
        yield from _shown(f"{what}, peer with its defaults", peer)


def high(field: Field) -> Iterator[Row]:
    took = _worst(field, contest.ours(field, watch={"sensitivity": "high"}), 1, LIMIT, SINGLES)
    yield from _shown(f"1 of {GUESTS} hung, sensitivity = high", took, HIGH)


def _worst(field: Field, watching: AbstractContextManager[Contestant], count: int, limit: float,
           runs: int = 1) -> Took:
    """Of so many hangs, one after the other, each of other guests. The fleet is whole before and after it."""
    field.fleet.fill(GUESTS)
    hung: list[Guest] = []
    taken: list[Took] = []
    try:
        with watching as contestant:
            for _ in range(runs):
                struck = [guest for guest in field.fleet.guests if guest not in hung][:count]
                hung += struck
                taken.append(_hang(field, contestant, struck, limit, {guest.uuid for guest in hung}))
    finally:
        field.fleet.replace(hung)
    return max(taken, key=lambda took: took.last)


def _hang(field: Field, contestant: Contestant, guests: list[Guest], limit: float, known: set[str]) -> Took:
    uuids = {guest.uuid for guest in guests}
    began = field.fleet.hang(guests)
    seconds = reported(contestant, uuids, began, limit)
    over = len(seconds) < len(uuids)
    return Took(seconds[0] if seconds else limit, limit if over else seconds[-1], over,
                len(contestant.came().keys() - known))


def _shown(what: str, took: Took, promise: float | None = None) -> Iterator[Row]:
    if took.first == took.last:
        yield Row(f"{what}: report", took.last, "s", promise, over=took.over)
    else:
        yield Row(f"{what}: first report", took.first, "s")
        yield Row(f"{what}: last report", took.last, "s", promise, over=took.over)
