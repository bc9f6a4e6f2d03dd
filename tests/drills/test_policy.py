"""What operators decide: a hold by hand, a budget of recoveries, and a helper beside ours that only observes."""
from __future__ import annotations

import time
from datetime import timedelta

import pytest

from tests.harness.wait import until
from tests.harness.ward import FAST

HELD = 20.0
HUNG = "hung reported"


@pytest.fixture(scope="module")
def both(new_drills):
    """Ours, and the one that observes; both watch the same guests."""
    ours, observer = new_drills(FAST), new_drills({**FAST, "mode": "observe"})
    ours.ward.endpoint.masakari.duplicates = timedelta(0)
    ours.ward.boot("held", "hopeless", "sound")
    observer.ward.guests = ours.ward.guests
    ours.ward.watch()
    observer.ward.watch()
    for drills in (ours, observer):
        drills.strike("sound")
    return ours, observer


def test_a_hold_by_hand(both):
    ours, observer = both
    ours.ward.helper.command("hold", scope="all", seconds=3600, owner="operator", reason="Windows updates")
    observer.strike("held")
    ours.strike("held", ours.ward["held"].halt)
    ours.ward.wait("hung", "held")
    time.sleep(HELD)
    ours.check("vCPU halted under `hold all`", "held", "hung not reported yet", "hung")


def test_a_hold_that_is_released(both):
    ours, _ = both
    begun = time.time()
    ours.ward.helper.command("release", scope="all")
    until(lambda: ours.outcome("held").text == HUNG, "the report", 60)
    ours.record("... released", HUNG, ours.outcome("held").text, time.time() - begun)


def test_a_budget_that_is_spent(both):
    ours, observer = both
    guest = ours.ward["hopeless"]
    observer.strike("hopeless")
    ours.strike("hopeless")
    for number in range(4):
        guest.halt()
        ours.ward.wait("hung", "hopeless")
        observer.ward.wait("hung", "hopeless")
        if number < 3:
            until(lambda number=number: ours.outcome("hopeless").text == "; ".join([HUNG] * (number + 1)), "a report")
            guest.domain.reset()
            guest.wait_agent()
            ours.ward.wait("healthy", "hopeless")
            observer.ward.wait("healthy", "hopeless")
    time.sleep(HELD)
    ours.check("vCPU halted 4 times, budget of 3", "hopeless", "; ".join([HUNG] * 3 + ["hung suspended"]), "hung")
    state = ours.ward.helper.status()["state"]
    got = "needs a human" if "needs a human" in state else state
    ours.record("... and the node's state says so", "needs a human", got, HELD, True)


def test_a_helper_that_observes(both):
    ours, observer = both
    observer.check("the same, mode = observe", "hopeless", "; ".join(["hung observed"] * 4), "hung")
    observer.check("vCPU halted, mode = observe", "held", "hung observed", "hung")
    assert observer.ward.endpoint.attempts == []
    ours.check("neighbour of these", "sound", "nothing", "healthy")
