"""The versions that a distribution brings: libvirt, QEMU, Pacemaker and Python meet our code here before they do so on
somebody's nodes. In a cell within a fresh system."""
from __future__ import annotations

import pytest

from tests.harness import root


@pytest.fixture
def other(suite) -> None:
    """`make live cluster` has tried the versions of this machine's own suite."""
    if suite == root.OWN_SUITE:
        pytest.skip("this machine's own suite")


def test_libvirt_and_qemu_do_what_we_take_for_granted(bare, inside):
    inside(bare.above(), "tests/install/within/hypervisor.py", "-s")


@pytest.mark.usefixtures("other")
def test_a_guest_that_hangs_in_a_cluster_is_reported(installed, inside):
    inside(installed.above(), "tests/cluster/test_incident.py", "-k", "reported")


@pytest.mark.usefixtures("other")
def test_a_cluster_keeps_the_helper_running_and_reloads_it(installed, inside):
    inside(installed.above(), "tests/cluster/test_resource.py", "tests/cluster/test_reload.py",
           "tests/cluster/test_tools.py")


@pytest.mark.usefixtures("other")
def test_no_fault_of_the_host_or_the_helper_leads_to_a_failed_stop(installed, inside):
    inside(installed.above(), "tests/cluster/test_faults.py", "tests/cluster/test_trouble.py",
           "tests/cluster/test_agent.py")
