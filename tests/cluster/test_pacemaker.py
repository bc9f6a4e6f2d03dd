"""Pacemaker dies and comes back: the helper does not notice, and what the cluster has forgotten is said again."""
from __future__ import annotations

import os
import signal

from tests.harness.cluster import pids
from tests.harness.node import RESOURCE
from tests.harness.wait import until

SECTIONS = {"attributes": {"reassert": 10}}


def test_a_helper_that_survived_pacemaker_is_adopted_and_repeats_its_attributes(resource):
    resource.wait_attribute("qga-state", "ok")
    pid = resource.helper()
    resource.cluster.kill_pacemaker()
    assert resource.helpers() == [pid]
    resource.cluster.start_pacemaker()
    resource.cluster.wait_role(RESOURCE, "Started")
    # Attributes live in the memory of the attrd that was killed; nothing but the helper can have said this.
    resource.wait_attribute("qga-state", "ok")
    resource.wait_attribute("qga-failed", "0")
    assert resource.helpers() == [resource.helper()] == [pid]
    assert "start" not in [task for task, _, _ in resource.operations()]
    until(lambda: ("monitor", "2000ms", "0") in resource.operations(), "a recurring monitor")
    assert resource.cluster.failures() == []


def test_a_helper_that_died_with_pacemaker_is_started_anew(resource):
    pid = resource.helper()
    resource.cluster.kill_pacemaker()
    os.kill(pid, signal.SIGKILL)
    until(lambda: not resource.helpers(), "the helper to be gone")
    resource.cluster.start_pacemaker()
    resource.wait_helper()
    resource.wait_attribute("qga-state", "ok")
    assert resource.cluster.failures() == []


def test_attrd_dies_and_hears_again_what_it_knew(resource):
    resource.wait_attribute("qga-state", "ok")
    pid, dying = resource.helper(), pids("pacemaker-attrd")
    os.kill(dying[0], signal.SIGKILL)
    until(lambda: pids("pacemaker-attrd") not in ([], dying), "attrd to be back")
    resource.wait_attribute("qga-state", "ok")
    assert resource.helpers() == [resource.helper()] == [pid]


def test_execd_dies_and_the_controller_with_it_and_the_helper_is_found_again(resource):
    pid, dying = resource.helper(), pids("pacemaker-controld")
    os.kill(pids("pacemaker-execd")[0], signal.SIGKILL)
    until(lambda: pids("pacemaker-controld") not in ([], dying), "the controller to be back")
    until(lambda: ("probe", "", "0") in resource.operations(), "a probe that finds the helper", 60)
    resource.cluster.wait_role(RESOURCE, "Started")
    assert resource.helpers() == [resource.helper()] == [pid]


def test_in_maintenance_mode_it_is_left_alone_and_watched_again_afterwards(resource):
    first = resource.helper()
    resource.cluster.pcs("property", "set", "maintenance-mode=true")
    try:
        until(lambda: not resource.cluster.resource_state(RESOURCE).managed, "the resource to be unmanaged")
        assert resource.helpers() == [first]
        os.kill(first, signal.SIGKILL)
        until(lambda: not resource.helpers(), "the helper to be gone")
    finally:
        resource.cluster.pcs("property", "set", "maintenance-mode=false")
    resource.wait_helper(other_than=first)
    resource.wait_attribute("qga-state", "ok")
