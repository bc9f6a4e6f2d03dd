"""The versions that a distribution brings: libvirt, QEMU, Pacemaker and Python meet our code here before they do so on
somebody's nodes. In a cell within a fresh system."""
from __future__ import annotations


def test_libvirt_and_qemu_do_what_we_take_for_granted(bare, inside):
    inside(bare.above(), "tests/install/within/hypervisor.py", "-s")


def test_a_guest_hangs_in_a_cluster_and_is_reported(installed, inside):
    inside(installed.above(), "tests/cluster/test_incident.py", "-k", "hangs_is_reported or stopped_is_reported")


def test_a_cluster_keeps_the_helper_running_and_reloads_it(installed, inside):
    inside(installed.above(), "tests/cluster/test_resource.py", "tests/cluster/test_reload.py",
           "tests/cluster/test_tools.py")
