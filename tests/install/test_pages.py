"""Each command that an operator may copy from docs/ works, on each distribution's pcs, Pacemaker and apt."""
from __future__ import annotations


def test_installing_upgrading_and_removing_as_the_page_says(bare, deb, inside):
    system = bare.above()
    inside(system, "tests/install/within/pages.py", NEWER=system.put(deb)[0])


def test_operating_and_migrating_as_the_pages_say(installed, inside):
    inside(installed.above(), "tests/install/within/pages.py")
