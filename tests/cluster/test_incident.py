"""The whole way, in a real cluster: a guest hangs, Masakari and the cluster are told, and told that all is well."""
from __future__ import annotations

import itertools
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.harness.guests import Guest
from tests.harness.node import CONFIG, RESOURCE
from tests.harness.wait import until

SECTIONS = {"watch": {"interval": 2, "timeout": 1, "silence": 12}}


_numbers = itertools.count(1)


@pytest.fixture
def guests(resource):
    """Two guests that the helper has heard of. New ones each time: Masakari takes one report about a guest in three
    minutes."""
    made = [Guest(next(_numbers)) for _ in range(2)]
    try:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda guest: guest.start().wait_agent(), made))
        for guest in made:
            resource.wait_state(guest.uuid, "healthy")
        yield made
    finally:
        resource.discard()      # or else their end would be reported
        for guest in made:
            guest.remove()
        resource.endpoint.attempts.clear()


def payload(attempt) -> tuple[str, str, dict[str, object]]:
    told = attempt.notification
    return told["type"], told["hostname"], told["payload"]


def test_a_guest_that_hangs_is_reported_once_and_shown_until_it_is_back(resource, guests):
    well, victim = guests
    first = resource.helper()
    victim.halt()
    kind, host, about = payload(resource.endpoint.wait(1)[0])
    assert (kind, host, about["instance_uuid"]) == ("VM", resource.cluster.node, victim.uuid)
    resource.wait_attribute("qga-failed", "1")
    resource.wait_attribute("qga-failed-vms", victim.uuid)
    resource.wait_attribute("qga-state", "failed")
    assert resource.state(well.uuid) == "healthy"
    until(lambda: f"{victim.uuid}  {victim.name}  hung" in resource.table()
          and "hung, recover: masakari delivered" in resource.table(), "the table to show it as reported")
    # A failed guest is no failure of the resource: it stays where it is, as it is.
    assert resource.cluster.failures() == []
    assert resource.helper() == first

    incident = resource.guest(victim.uuid)["incident"]
    os.kill(first, signal.SIGKILL)
    resource.wait_helper(other_than=first)
    resource.wait_state(victim.uuid, "hung")
    assert resource.guest(victim.uuid)["incident"] == incident
    resource.wait_attribute("qga-failed-vms", victim.uuid)

    victim.destroy()
    victim.start()
    resource.wait_state(victim.uuid, "healthy")
    resource.wait_attribute("qga-failed", "0")
    resource.wait_attribute("qga-failed-vms", "none")
    resource.wait_attribute("qga-state", "ok")
    assert len(resource.endpoint.attempts) == 1


def test_a_guest_that_hangs_while_the_resource_is_stopped_is_reported_when_it_is_back(resource, guests):
    victim = guests[1]
    resource.cluster.pcs("resource", "disable", RESOURCE, "--wait=60")
    victim.halt()
    assert resource.helpers() == []
    resource.cluster.pcs("resource", "enable", RESOURCE, "--wait=60")
    assert payload(resource.endpoint.wait(1)[0])[2]["instance_uuid"] == victim.uuid
    resource.wait_attribute("qga-failed-vms", victim.uuid)


def test_masakari_is_away_when_a_guest_fails_and_hears_of_it_later(resource, guests):
    victim = guests[0]
    resource.endpoint.refuse()
    try:
        victim.kill_qemu()
        until(lambda: "masakari: " in resource.cluster.attributes()["qga-state"], "qga-state to say so", 60)
        assert resource.cluster.failures() == []
        assert resource.table().count("pending")
    finally:
        resource.endpoint.open()
    assert payload(resource.endpoint.wait(1)[0])[2]["instance_uuid"] == victim.uuid
    resource.wait_attribute("qga-state", "failed")


def test_the_operators_command_shows_guests_as_a_table_and_as_json(resource, guests):
    status = resource.status()
    assert (status["node"], status["state"], status["libvirt"]["connected"]) == (resource.cluster.node, "ok", True)
    assert {(guest["uuid"], guest["name"], guest["state"], guest["armed"]) for guest in status["guests"]} \
        == {(guest.uuid, guest.name, "healthy", True) for guest in guests}
    table = resource.table()
    assert [line.split()[:3] for line in table.splitlines()[-2:]] \
        == [[guest.uuid, guest.name, "healthy"] for guest in guests]
    assert "libvirt   connected since" in table
    assert resource.command("status", "--json").stdout.isascii()


def test_the_operators_command_shows_the_configuration_without_the_password(resource):
    shown = resource.command("show-config")
    assert shown.returncode == 0, shown.stderr
    assert "secret" in CONFIG.read_text()
    assert "secret" not in shown.stdout + shown.stderr
    assert "silence = 12" in shown.stdout


def test_the_operators_command_says_so_when_there_is_no_helper(resource):
    resource.delete()
    status = resource.command("status", "--json")
    assert (status.returncode, status.stdout) == (1, "")
    assert "the helper does not run on this node" in status.stderr


def test_a_check_finds_this_host_fit_and_a_readable_password_or_no_libvirt_not(node):
    fit = node.command("check")
    assert (fit.returncode, fit.stdout.count("ok ")) == (0, 5), fit.stdout
    CONFIG.chmod(0o644)
    node.libvirtd.stop()
    try:
        unfit = node.command("check")
        assert unfit.returncode == 4
        assert unfit.stdout.count("FAILED") == 2
    finally:
        node.libvirtd.start()
        CONFIG.chmod(0o640)
