"""The commands of the operator's pages, as they stand there. Run by test_pages.py in a cell within a root; not by
itself."""
from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import node, resource  # noqa: F401  fixtures
from tests.harness.cluster import PATH
from tests.harness.guests import boot
from tests.harness.node import AGENT, CONFIG, RESOURCE
from tests.harness.pages import CONFIGURATION, RUN, Block, blocks
from tests.harness.wait import until

ALERTS = Path("/var/log/pacemaker/qga-alerts.log")


def run(page: str, **variables: str) -> Iterator[Block]:
    """Every block that is meant to, in the page's order, by a shell that stops at the first failure."""
    for block in blocks(page):
        if block.fate == RUN:
            shell = subprocess.run(["sh", "-eu"], input=block.text, cwd="/tmp", capture_output=True, text=True,
                                   timeout=300, env={**PATH, "HOME": "/root", **variables})
            where = f"docs/{page}.rst line {block.line}"
            print(f"--- {where}: {shell.returncode}\n{shell.stdout}{shell.stderr}")
            # A cell keeps the state directory in memory, as it finds it: that is worth warnings.
            warned = block.text.rstrip().endswith(" check") and "\n0 failed, " in shell.stdout
            assert shell.returncode == (1 if warned else 0), where
        yield block


@pytest.fixture
def guest(resource):  # noqa: F811
    with boot(1) as made:
        resource.wait_state(made.uuid, "healthy")
        yield made
        resource.discard()


@pytest.mark.skipif("NEWER" in os.environ, reason="for a root where the package is installed")
def test_operating(resource, guest):  # noqa: F811
    for block in run("operating", GUEST=guest.uuid):
        if "select_attributes" in block.text:
            resource.run("attrd_updater", "--name", "qga-state", "--update", "tried")
            until(lambda: "qga-state" in ALERTS.read_text(), "an alert for our attribute")
            assert all("qga-" in line for line in ALERTS.read_text().splitlines())
    assert resource.state(guest.uuid) == "healthy"
    assert resource.status()["holds"] == []
    assert resource.cluster.failures() == []


@pytest.mark.skipif("NEWER" in os.environ, reason="for a root where the package is installed")
def test_migrating(resource):  # noqa: F811
    assert [block for block in run("migrating") if block.fate == RUN]


@pytest.mark.skipif("NEWER" not in os.environ, reason="for a root where the package is not installed")
def test_installing(node):  # noqa: F811
    CONFIG.unlink()     # the package brings it
    steps = run("installing", DEBIAN_FRONTEND="noninteractive")
    first = 0
    for block in steps:
        if block.fate == CONFIGURATION:
            node.configure()
        if block.text.startswith("pcs resource create"):
            node.cluster.wait_role(RESOURCE, "Started")
            node.wait_attribute("qga-state", "ok")
            first = node.helper()
        if "--restart" in block.text:
            node.wait_helper(other_than=first)
            node.wait_attribute("qga-state", "ok")
    assert first
    assert node.helpers() == []
    assert not os.path.exists(AGENT)
    assert not [failure for failure in node.cluster.failures() if "_stop_" in failure["op_key"]]
