"""What a courier is answered right before a report: whoever may recover a guest is kept back, who informs is not."""

from __future__ import annotations

import pytest

from heartbeat.budget import Budget
from heartbeat.incident import HUNG, OBSERVED, QEMU_DIED, RECORD, RECOVER
from tests.harness.memory_ledger import MemoryLedger
from tests.harness.observations import TIMING, UUID
from tests.harness.simulation import Machine, Node


class Asked(Node):
    """A node whose owner can be asked without a thread, and that counts how often couriers are woken."""

    woken = 0

    def wake(self) -> None:
        self.woken += 1

    def confirmed(self, incident: int, acts: bool) -> str:
        self.owner.call = lambda function: function()
        return self.owner.confirm(incident, acts)


def failed(**about) -> Asked:
    node = Asked(Machine(), **about)
    node.inventory()
    node.run(100)
    node.dies()
    node.run(5)
    return node


def test_an_incident_that_stands_may_be_told_to_both():
    node = failed()
    assert node.verdicts == [(UUID, QEMU_DIED, RECOVER)]
    number = node.ledger.opened[0].id
    assert [node.confirmed(number, acts) for acts in (True, False)] == ["stands", "stands"]


def test_the_clusters_maintenance_keeps_back_a_recovery_and_no_information():
    node = failed()
    node.owner.held = "the cluster is in maintenance-mode"
    number = node.ledger.opened[0].id
    assert [node.confirmed(number, acts) for acts in (True, False)] == ["not-now", "stands"]


def test_many_recoveries_under_way_keep_back_a_recovery_and_no_information():
    class Crowded(MemoryLedger):
        def in_flight(self, since: str, besides: int = 0) -> int:
            return 1

    node = failed(ledger=Crowded(), budget=Budget(in_flight=1))
    number = node.ledger.opened[0].id
    assert [node.confirmed(number, acts) for acts in (True, False)] == ["not-now", "stands"]


def test_a_guest_that_is_being_recovered_for_another_reason_is_not_recovered_twice():
    class Told(MemoryLedger):
        def recovering(self, it, since: str) -> bool:
            return True

    node = failed(ledger=Told())
    number = node.ledger.opened[0].id
    assert [node.confirmed(number, acts) for acts in (True, False)] == ["not-now", "stands"]


def test_a_recovery_opened_before_mode_observe_is_not_asked_for_any_more_and_is_still_told():
    node = failed()
    node.owner.timing = TIMING._replace(observe=True)
    number = node.ledger.opened[0].id
    assert [node.confirmed(number, acts) for acts in (True, False)] == ["not-now", "stands"]


def test_what_is_only_recorded_is_told_whatever_keeps_recoveries_back():
    node = failed(timing=TIMING._replace(observe=True))
    assert node.verdicts == [(UUID, QEMU_DIED, OBSERVED)]
    node.owner.held = "the cluster is in maintenance-mode"
    assert node.confirmed(node.ledger.opened[0].id, True) == "stands"


@pytest.mark.parametrize("acts", [True, False])
def test_what_is_over_is_told_to_nobody(acts):
    node = failed()
    number = node.ledger.opened[0].id
    node.machines.clear()
    node.inventory()
    node.run(5)
    assert node.confirmed(number, acts) == "gone"


def test_couriers_are_woken_when_an_incident_begins_and_when_it_is_over():
    node = failed()
    assert node.woken == 1
    node.machines.clear()
    node.inventory()
    node.run(5)
    assert [close.id for close in node.ledger.closed] == [node.ledger.opened[0].id]
    assert node.woken == 2


def test_a_guest_that_works_is_told_as_recorded_to_those_that_want_it():
    node = Asked(Machine(agent=1100))
    node.inventory()
    node.run(700)
    assert [action for _, _, action in node.verdicts] == [RECORD]
    assert HUNG not in [verdict for _, verdict, _ in node.verdicts]
    assert node.confirmed(node.ledger.opened[0].id, True) == "stands"
