"""A scenario that must never cause endless recoveries: a guest that goes silent on purpose."""

from __future__ import annotations

import pytest

from heartbeat.budget import Budget
from heartbeat.incident import HUNG, OBSERVED, RECOVER, SUSPENDED
from tests.harness.observations import UUID
from tests.harness.scenario import DEFAULT
from tests.harness.simulation import Machine, Node


@pytest.mark.parametrize("recoveries", [1, 3])
def test_a_guest_that_goes_silent_to_be_reset_again_and_again(recoveries):
    """Scenario 39: a hostile guest goes silent to gain resets or free capacity: its budget ends that."""
    machine = Machine()
    node = Node(machine, timing=DEFAULT, budget=Budget(recoveries=recoveries, window=86400))
    node.inventory()
    for _ in range(20):
        node.run(60)
        machine.kernel = node.now
        node.run(60)
        machine.kernel, machine.phase = float("inf"), machine.phase + 0.001
    hangs = [action for uuid, verdict, action in node.verdicts if verdict == HUNG and uuid == UUID]
    assert hangs == [RECOVER] * recoveries + [SUSPENDED] * (20 - recoveries)


def test_in_mode_observe_nothing_is_recovered_at_all():
    machine = Machine()
    node = Node(machine, timing=DEFAULT._replace(observe=True))
    node.inventory()
    node.run(60)
    machine.kernel = node.now
    node.run(600)
    assert [action for _, _, action in node.verdicts] == [OBSERVED]
