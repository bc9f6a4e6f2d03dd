"""A fault of ours in health checks ends them, and neither the helper nor the watching of guests."""
from __future__ import annotations

import pytest

from heartbeat.health import course, rounds
from heartbeat.health.fence import BROKEN
from heartbeat.incident import HUNG
from tests.harness.observations import OTHER, UUID
from tests.harness.simulation import Machine
from tests.harness.wards import BAD, INTERVAL, Ward


@pytest.fixture
def broken(monkeypatch, caplog):
    """A node with a guest whose application says what we cannot bear."""
    node = Ward(Machine(), Machine(OTHER))

    def step(*_):
        raise RecursionError

    monkeypatch.setattr(course, "step", step)
    node.run(2 * INTERVAL)
    assert [BROKEN in record.getMessage() for record in caplog.records] == [True], "once, and no flood"
    assert "RecursionError" in caplog.text
    return node


def test_guests_are_asked_as_before_and_one_that_hangs_is_found(broken):
    broken.machine(OTHER).kernel = broken.now + 1
    broken.run(60)
    assert [(uuid, verdict) for uuid, verdict, _ in broken.verdicts] == [(OTHER, HUNG)]
    assert broken.owner.guests.watches[UUID].state == "healthy"


def test_calls_that_are_out_give_their_slots_back(broken):
    broken.run(60)
    assert broken.owner.schedule.out == 0


def test_an_operator_is_told_what_to_do(broken):
    assert broken.owner.guests.diagnoses.breaker.trouble == BROKEN
    assert "restart" in BROKEN


def test_what_was_found_before_has_nobody_recovered_any_more(monkeypatch, caplog):
    node = Ward()
    node.says(*BAD)
    node.run(5 * INTERVAL)
    number = node.owner.guests.diagnoses.incidents[UUID].id
    monkeypatch.setattr(rounds.Rounds, "step", lambda *_: 1 / 0)
    node.run(5)
    assert node.confirmed(number) == "not-now"
