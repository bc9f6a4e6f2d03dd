"""How long another client of libvirt's waits while most guests hang: beside us, beside the peer, beside nobody."""
from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator

from tests.bench import contest
from tests.bench.measure import Field, Row

GUESTS, HUNG = 60, 50
WINDOW = 40.0       # s: from before the first verdict until after the last
DRAINED = 15.0      # s until no question of somebody who is gone keeps libvirtd busy
MEDIAN, MAXIMUM = 1.2, 1.0      # times nobody's; s
Times = dict[str, list[float]]  # call to seconds


def rows(field: Field) -> Iterator[Row]:
    field.fleet.fill(GUESTS)
    hung = field.fleet.guests[:HUNG]
    with contest.ours(field):
        field.fleet.hang(hung)
        ours = _bystander()
    time.sleep(DRAINED)
    nobody = _bystander()
    with contest.peer(field):
        peer = _bystander()
    field.fleet.replace(hung)
    for call, taken in nobody.items():
        usual = statistics.median(taken)
        for name, others in (("nobody", nobody), ("helper", ours), ("peer", peer)):
            median, longest = statistics.median(others[call]), max(others[call])
            what = f"{HUNG} of {GUESTS} hung, beside {name}: another client's {call}"
            yield Row(f"{what}, median", median * 1000, "ms")
            yield Row(f"{what}, longest", longest * 1000, "ms", MAXIMUM * 1000 if name == "helper" else None)
            if name != "nobody":
                yield Row(f"{what}, median to nobody's", median / usual, "", MEDIAN if name == "helper" else None)


def _bystander() -> Times:
    with contest.aside("bystander", str(WINDOW)) as process:
        return dict(json.loads(process.stdout.read()))
