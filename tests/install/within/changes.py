"""An upgrade and a removal under a running resource that watches a guest. Run by test_changes.py in a cell within a
root where the older package is installed; not by itself."""
from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import pytest

from heartbeat import __version__
from tests.cluster.conftest import node, resource  # noqa: F401  fixtures
from tests.harness.cluster import PATH
from tests.harness.guests import boot
from tests.harness.node import AGENT, RESOURCE
from tests.harness.wait import until

SECTIONS = {"watch": {"interval": 2, "timeout": 1, "silence": 12}}
OLDER, NEWER, INSTALLED = (os.environ[name] for name in ("OLDER", "NEWER", "INSTALLED"))


@pytest.fixture
def guest(resource):  # noqa: F811
    with boot(1) as made:
        resource.wait_state(made.uuid, "healthy")
        yield made
        resource.discard()      # or else its end would be reported


def dpkg(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["dpkg", "--force-confdef", "--force-confold", *words], stdin=subprocess.DEVNULL, env=PATH,
                          capture_output=True, text=True)


@pytest.fixture
def older():
    assert dpkg("--install", OLDER).returncode == 0


@pytest.fixture
def newer():
    assert dpkg("--install", NEWER).returncode == 0


class Monitors:
    """Monitors the resource all the time, as Pacemaker does every few seconds: use around what must not disturb it."""

    def __init__(self, watched) -> None:
        self._node, self._over = watched, threading.Event()
        self.failed: list[str] = []
        self.done = 0
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Monitors:
        self._thread.start()
        until(lambda: self.done, "the first monitor")
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            ran = self._node.agent("monitor")
            if ran.returncode:
                self.failed.append(f"{ran.returncode}: {ran.stderr}")
            self.done += 1


def test_an_upgrade_leaves_helper_and_guest_alone_and_a_restart_brings_the_new_version(older, resource, guest):  # noqa: F811
    first = resource.helper()
    assert resource.status()["version"] == INSTALLED
    with Monitors(resource) as monitors:
        upgraded = dpkg("--install", NEWER)
    assert upgraded.returncode == 0, upgraded.stderr
    assert "the helper still runs as it was before" in upgraded.stdout
    assert (monitors.failed, monitors.done > 3) == ([], True)
    said = f"helper {INSTALLED} is running, {__version__} is installed: restart it"
    assert said in resource.agent("monitor").stderr
    until(lambda: said in resource.cluster.log(), "Pacemaker's log to say that a restart is due")
    assert resource.helpers() == [resource.helper()] == [first]
    # The new command understands the older helper, and that one still watches.
    assert (resource.status()["version"], resource.state(guest.uuid)) == (INSTALLED, "healthy")
    assert f"(helper {INSTALLED})" in resource.table()
    assert resource.command("why", guest.uuid).returncode == 0
    assert resource.cluster.failures() == []

    guest.halt()
    resource.endpoint.wait(1)      # by the old helper, whose sender is the new version's
    incident = resource.guest(guest.uuid)["incident"]
    resource.cluster.pcs("resource", "restart", RESOURCE)
    second = resource.wait_helper(other_than=first)
    until(lambda: resource.status()["version"] == __version__, "the new version to answer", despite=(AssertionError,))
    resource.wait_state(guest.uuid, "hung")
    assert resource.guest(guest.uuid)["incident"] == incident
    assert resource.helpers() == [second]
    assert resource.agent("monitor").stderr == ""
    assert len(resource.endpoint.attempts) == 1


def test_a_step_back_leaves_the_helper_alone_too_and_its_ledger_is_still_read(newer, resource, guest):  # noqa: F811
    first = resource.helper()
    assert dpkg("--install", OLDER).returncode == 0
    assert f"helper {__version__} is running, {INSTALLED} is installed" in resource.agent("monitor").stderr
    assert resource.helpers() == [first]
    resource.cluster.pcs("resource", "restart", RESOURCE)
    resource.wait_helper(other_than=first)
    until(lambda: resource.status()["version"] == INSTALLED, "the older version to answer", despite=(AssertionError,))
    resource.wait_state(guest.uuid, "healthy")


def test_a_removal_is_refused_until_the_resource_is_away_and_then_leaves_nothing(resource, guest):  # noqa: F811
    first = resource.helper()
    refused = dpkg("--remove", "masakari-qga")
    assert refused.returncode != 0
    assert "not removed, since its helper runs on this node" in refused.stderr
    assert resource.helpers() == [first]
    assert resource.agent("monitor").returncode == 0
    resource.cluster.pcs("resource", "disable", RESOURCE, "--wait=60")
    assert resource.cluster.failures() == []
    purged = dpkg("--purge", "masakari-qga")
    assert purged.returncode == 0, purged.stderr
    for path in ("/usr/lib/masakari-qga", AGENT, "/run/masakari-qga"):
        assert not Path(path).exists(), path
    assert dpkg("--install", NEWER).returncode == 0


def test_why_a_removal_is_refused(resource):  # noqa: F811
    """With the agent gone by force, Pacemaker cannot stop the resource; where nodes are fenced it fences this one."""
    away = Path(AGENT).with_name("away")
    Path(AGENT).rename(away)
    try:
        resource.cluster.pcs("resource", "disable", RESOURCE)
        until(lambda: any(failure["op_key"].startswith(f"{RESOURCE}_stop") for failure in resource.cluster.failures()),
              "the stop to fail", 60)
    finally:
        away.rename(AGENT)
        resource.run("crm_resource", "--cleanup", "--resource", RESOURCE)
