"""The resource in the cluster's hands: created, watched, stopped, deleted, and brought back whatever becomes of it."""
from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

from tests.harness.node import HELPER, RESOURCE, RUN
from tests.harness.wait import until


def shown(node) -> dict[str, str]:
    """Our node attributes, as crm_mon shows them."""
    return {name: value for name, value in node.cluster.attributes().items() if name.startswith("qga-")}


def nothing_is_left(node) -> None:
    assert node.helpers() == []
    assert not (RUN / "control.sock").exists()
    until(lambda: not shown(node), "our node attributes to be gone")


def test_pcs_creates_a_clone_that_starts_is_monitored_and_says_that_all_is_well(resource):
    assert resource.helpers() == [resource.helper()]
    until(lambda: shown(resource) == {"qga-state": "ok", "qga-failed": "0", "qga-failed-vms": "none",
                                      "qga-unhealthy": "0"},
          "the node attributes of a healthy node")
    until(lambda: ("monitor", "2000ms", "0") in resource.operations(), "a recurring monitor")
    assert resource.cluster.failures() == []


def test_disabled_it_leaves_no_process_socket_or_attribute_and_enabled_it_is_back(resource):
    resource.wait_attribute("qga-state", "ok")
    resource.cluster.pcs("resource", "disable", RESOURCE, "--wait=60")
    nothing_is_left(resource)
    resource.cluster.pcs("resource", "enable", RESOURCE, "--wait=60")
    resource.wait_attribute("qga-state", "ok")
    assert resource.cluster.failures() == []


def test_deleted_it_leaves_nothing(resource):
    resource.wait_attribute("qga-state", "ok")
    resource.delete()
    nothing_is_left(resource)
    assert resource.cluster.resources() == []


def test_a_helper_that_is_killed_comes_back_and_goes_on_watching(resource):
    first = resource.helper()
    os.kill(first, signal.SIGKILL)
    second = resource.wait_helper(other_than=first)
    resource.cluster.wait_role(RESOURCE, "Started")
    until(lambda: resource.status()["libvirt"]["connected"], "libvirt to be connected again", despite=(AssertionError,))
    assert resource.helpers() == [second]
    resource.wait_attribute("qga-state", "ok")


def test_a_helper_that_is_stopped_fails_its_monitor_with_a_reason_and_is_replaced(resource):
    first = resource.helper()
    os.kill(first, signal.SIGSTOP)
    until(resource.cluster.failures, "a failed monitor")
    failure = resource.cluster.failures()[0]
    second = resource.wait_helper(other_than=first)
    assert resource.helpers() == [second]
    assert failure["op_key"].startswith(f"{RESOURCE}_monitor_")
    assert "does not answer within 5 s: stopped or stuck" in failure["exitreason"]


def test_a_helper_whose_run_directory_is_wiped_is_replaced_and_not_doubled(resource):
    first = resource.helper()
    shutil.rmtree(RUN)
    second = resource.wait_helper(other_than=first)
    until(lambda: resource.helpers() == [second], "the first helper to be gone")
    resource.wait_attribute("qga-state", "ok")


def test_it_is_started_although_libvirt_and_masakari_are_away_and_says_so(node):
    node.endpoint.refuse()
    node.libvirtd.stop()
    try:
        node.create()
        until(lambda: node.cluster.attributes().get("qga-state", "").startswith("libvirt: "), "qga-state to say why")
        assert node.cluster.failures() == []
        node.libvirtd.start()
        node.wait_attribute("qga-state", "ok")
    finally:
        node.discard()
        node.endpoint.open()


def test_it_stays_started_while_libvirt_is_away_and_says_why(resource):
    resource.wait_attribute("qga-state", "ok")
    pid = resource.helper()
    resource.libvirtd.stop()
    until(lambda: resource.cluster.attributes()["qga-state"].startswith("libvirt: "), "qga-state to say why")
    assert resource.agent("monitor").returncode == 0
    assert resource.cluster.resource_state(RESOURCE).role == "Started"
    assert resource.cluster.failures() == []
    resource.libvirtd.start()
    resource.wait_attribute("qga-state", "ok")
    assert resource.helper() == pid


def test_another_configuration_file_restarts_the_helper(resource):
    first, other = resource.helper(), Path("/etc/masakari-qga/other.conf")
    shutil.copy2("/etc/masakari-qga/masakari-qga.conf", other)
    resource.cluster.pcs("resource", "update", RESOURCE, f"config={other}")
    second = resource.wait_helper(other_than=first)
    words = Path(f"/proc/{second}/cmdline").read_bytes().decode().split("\0")
    assert words[2:5] == [HELPER, "--config", str(other)]


def test_started_by_hand_under_another_name_it_makes_no_second_helper(resource):
    pid = resource.helper()
    forced = resource.run("crm_resource", "--resource", f"{RESOURCE}-clone", "--force-start", "--force")
    assert forced.returncode == 0, forced.stderr
    assert "qga-monitor-clone (ocf:masakari:qga) returned 0" in forced.stdout
    assert resource.agent("start", OCF_RESOURCE_INSTANCE="another").returncode == 0
    assert resource.helpers() == [resource.helper()] == [pid]
    assert resource.cluster.failures() == []
