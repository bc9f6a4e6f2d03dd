"""A reloadable parameter changes under a running helper: nothing that it knows about guests is lost."""
from __future__ import annotations

from datetime import datetime

import pytest

from tests.harness.guests import boot
from tests.harness.node import RESOURCE
from tests.harness.wait import until


@pytest.fixture(scope="module")
def guest(node):
    with boot(1) as made:
        yield made


def seconds(date: str) -> float:
    return datetime.fromisoformat(date).timestamp()


def paced(node, uuid: str):
    """A condition: the least seconds between two answers of the guest that were seen, once there were two. Dates are
    whole seconds, so what is 1 s apart may be one and the same answer."""
    seen: list[float] = []

    def least() -> float:
        at = seconds(node.guest(uuid)["last_answer"])
        if not seen or at > seen[-1] + 1:
            seen.append(at)
        return min((after - before for before, after in zip(seen, seen[1:])), default=0.0)
    return least


def test_a_new_interval_holds_at_once_and_the_helper_stays(resource, guest):
    resource.wait_state(guest.uuid, "healthy")
    pid, before = resource.helper(), resource.guest(guest.uuid)
    resource.cluster.pcs("resource", "update", RESOURCE, "interval=3")
    until(lambda: "reloaded; changed: watch.interval" in resource.log(), "the helper to take the new interval")
    after = resource.guest(guest.uuid)
    pace = paced(resource, guest.uuid)
    until(lambda: 0 < pace() < 6, "answers that are 3 s apart, and no longer 10 s")
    assert (after["state"], after["armed"]) == (before["state"], before["armed"]) == ("healthy", True)
    assert abs(seconds(after["since"]) - seconds(before["since"])) <= 1
    assert resource.helpers() == [resource.helper()] == [pid]
    assert resource.cluster.failures() == []
    assert [task for task, _, _ in resource.operations()].count("start") == 1


def test_a_new_backend_and_name_are_taken_too_and_default_again_when_they_are_removed(resource, guest):
    pid = resource.helper()
    resource.wait_attribute("qga-state", "ok")
    resource.cluster.pcs("resource", "update", RESOURCE, "backends=attributes", "hostname=c-1")
    until(lambda: resource.status()["hostname"] == "c-1", "the new name")
    assert [backend["name"] for backend in resource.status()["backends"]] == ["attributes"]
    resource.cluster.pcs("resource", "update", RESOURCE, "backends=", "hostname=")
    until(lambda: resource.status()["hostname"] == resource.cluster.node, "the default name")
    assert [backend["name"] for backend in resource.status()["backends"]] == ["masakari", "attributes"]
    assert resource.helpers() == [resource.helper()] == [pid]


def test_a_wrong_value_is_shown_with_its_remedy_and_a_right_one_is_all_it_takes(resource):
    """Pacemaker answers a failed reload with a restart, which fails too: nobody watches until it is put right."""
    resource.cluster.pcs("resource", "update", RESOURCE, "interval=1")
    until(lambda: "parameter interval = '1': out of range; give 2 to 300 s" in resource.run("crm_mon", "-1").stdout,
          "crm_mon to show the reason")
    until(lambda: not resource.helpers(), "the resource to be stopped")
    resource.cluster.pcs("resource", "update", RESOURCE, "interval=5")
    resource.wait_helper()
    resource.cluster.wait_role(RESOURCE, "Started")
    resource.wait_attribute("qga-state", "ok")
