"""What an upgrade, a step back and a removal do to a resource that is running: in a cell within a fresh system, with
its own libvirt, QEMU, Pacemaker and Python."""
from __future__ import annotations

from tests.install.conftest import OLDER


def test_the_package_is_exchanged_and_removed_under_a_running_resource(bare, deb, older_deb, inside):
    system = bare.above()
    older, newer = system.put(older_deb, deb)
    system.run("dpkg", "--install", older)
    inside(system, "tests/install/within/changes.py", OLDER=older, NEWER=newer, INSTALLED=OLDER)
