"""Somebody at work on the cluster is left alone: what fails meanwhile is recorded, and reported afterwards."""
from __future__ import annotations

import itertools

import pytest

from tests.harness.guests import Guest
from tests.harness.node import RESOURCE
from tests.harness.wait import until

SECTIONS = {"watch": {"interval": 2, "silence": 12}}
_numbers = itertools.count(70)


@pytest.fixture
def guest(node):
    with Guest(next(_numbers), balloon_period=1) as made:
        made.start()
        made.wait_agent()
        yield made


def incident(node, uuid) -> dict:
    return node.guest(uuid).get("incident") or {}


def hangs(node, guest) -> None:
    """The guest hangs, and that is recorded."""
    guest.halt()
    until(lambda: incident(node, guest.uuid).get("verdict") == "hung", "the guest to be found hung", 120, 0.2,
          (AssertionError,))


@pytest.mark.parametrize(("enter", "leave"), [
    (("property", "set", "maintenance-mode=true"), ("property", "set", "maintenance-mode=false")),
    (("node", "maintenance"), ("node", "unmaintenance")),
    (("resource", "unmanage", RESOURCE), ("resource", "manage", RESOURCE)),
], ids=["cluster-maintenance", "node-maintenance", "unmanaged"])
def test_a_guest_that_hangs_during_maintenance_is_reported_when_it_is_over(resource, guest, enter, leave):
    node = resource
    node.endpoint.attempts.clear()
    node.wait_state(guest.uuid, "healthy")
    node.cluster.pcs(*enter)
    try:
        hangs(node, guest)
        assert incident(node, guest.uuid)["action"] == "recover"
        until(lambda: "nothing is recovered: " in node.log(), "the helper to have asked the cluster", 60)
        assert node.endpoint.notifications == []
    finally:
        node.cluster.pcs(*leave)
    until(lambda: node.endpoint.notifications, "the report", 120)
    assert [it.notification["payload"]["instance_uuid"] for it in node.endpoint.notifications] == [guest.uuid]
