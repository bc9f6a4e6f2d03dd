"""The resource as a clone on three nodes and a remote one: whatever the cluster goes through, each helper watches on or
is watched over, and what it says of its node is seen by all."""
from __future__ import annotations

import json
import os
import signal
import time
from datetime import datetime

import pytest

from tests.harness.guests import Guest
from tests.harness.node import RESOURCE
from tests.harness.quartet import FOURTH, FULL
from tests.harness.wait import until

EVERYWHERE = [*FULL, FOURTH]
AWAY = "libvirt: "      # how qga-state begins where there is no libvirtd, which is everywhere but on n1


def helper(member) -> int:
    found = member.helpers()
    assert len(found) == 1, found
    return found[0]


def helpers(quartet, *names: str) -> dict[str, int]:
    return {name: helper(quartet[name]) for name in names}


def wait_helper(member, other_than: int = 0) -> int:
    """The only helper of a node, once there is one that is not that one."""
    return until(lambda: (found := member.helpers()) and len(found) == 1 and found[0] != other_than and found[0],
                 f"a helper on {member.name}", 60)


def wait_states(quartet, *names: str, at: str = "n1") -> None:
    """Until exactly these nodes have our attributes."""
    until(lambda: sorted(quartet.states(at)) == list(names), f"attributes of {names} and nobody else on {at}", 90, 0.3)


def test_the_clone_runs_on_all_four_nodes_and_each_shows_the_attributes_of_all(quartet):
    assert {name: len(quartet[name].helpers()) for name in EVERYWHERE} == dict.fromkeys(EVERYWHERE, 1)
    for at in EVERYWHERE:       # on the remote node crm_mon asks through the cluster's proxy
        until(lambda at=at: quartet.states(at).get("n1") == "ok", f"n1 to be well, as seen on {at}")
        shown = quartet.attributes(at)
        assert sorted(shown) == EVERYWHERE
        assert {frozenset(said) for said in shown.values()} == {frozenset(("qga-state", "qga-failed",
                                                                           "qga-failed-vms", "qga-unhealthy"))}
        assert all(shown[name]["qga-state"].startswith(AWAY) for name in EVERYWHERE[1:])
    assert quartet.failures() == []


def test_each_helper_knows_its_node_by_the_clusters_name(quartet):
    for member in quartet:
        words = member.run("masakari-qga", "status").stdout.split()
        assert words[1].rstrip(",") == member.name


@pytest.fixture
def guest(cluster):
    with Guest(1) as made:
        made.start().wait_agent()
        yield made


def test_a_reloaded_parameter_reaches_every_helper_and_no_guest_is_forgotten(quartet, guest):
    n1 = quartet["n1"]

    def known() -> dict[str, object]:
        """The guest in the operator's status, without the moment of its last answer."""
        guests = json.loads(n1.run("masakari-qga", "status", "--json").stdout)["guests"]
        assert [it["uuid"] for it in guests] == [guest.uuid]
        guests[0].pop("last_answer")
        return guests[0]
    until(lambda: known()["state"] == "healthy", "the guest to be healthy", 60, 0.3, (AssertionError,))
    before, pids = known(), helpers(quartet, *EVERYWHERE)
    n1.pcs("resource", "update", RESOURCE, "interval=3")
    try:
        for member in quartet:
            until(lambda member=member: "reloaded; changed: watch.interval" in member.log(),
                  f"the helper of {member.name} to take the new interval")
        after = known()
        # A date of whole seconds, made from a time that is not: it may be the next one's.
        since = [datetime.fromisoformat(it.pop("since")).timestamp() for it in (before, after)]
        assert (after, abs(since[1] - since[0]) <= 1) == (before, True)
        assert after["armed"] is True
        assert helpers(quartet, *EVERYWHERE) == pids
        for name in EVERYWHERE:
            assert [task for task, _ in quartet.operations(name)].count("start") == 1
        assert quartet.failures() == []
    finally:
        n1.pcs("resource", "update", RESOURCE, "interval=")


@pytest.mark.parametrize("name", ["n2", FOURTH])
def test_a_helper_that_is_killed_is_back_and_watching_within_a_monitors_interval_and_a_second(quartet, name):
    """2 s and 1 s; the time is taken only when nothing else has kept the processors."""
    member = quartet[name]
    taken = []
    for _ in range(3):
        first = helper(member)
        killed = time.monotonic()
        os.kill(first, signal.SIGKILL)
        wait_helper(member, other_than=first)
        until(lambda: member.run("masakari-qga", "status").returncode == 0, "the new helper to answer", every=0.02)
        taken.append(time.monotonic() - killed)
    assert min(taken) < 3, taken
    assert "start" in [task for task, _ in quartet.operations(name)]


def test_a_node_that_is_lost_takes_its_attributes_along_and_brings_them_back(quartet):
    pids = helpers(quartet, "n1", "n2", FOURTH)
    quartet["n3"].power_off()
    try:
        wait_states(quartet, "n1", "n2", FOURTH)
        assert quartet.started() == ["n1", "n2", FOURTH]
    finally:
        quartet["n3"].power_on()
        assert not quartet["n3"].helpers()
        quartet.start("n3")
    wait_helper(quartet["n3"])
    wait_states(quartet, *EVERYWHERE)
    assert helpers(quartet, "n1", "n2", FOURTH) == pids


def test_a_node_that_is_cut_off_and_comes_back_is_one_of_four_again(quartet):
    pids = helpers(quartet, "n1", "n2")
    quartet.cut("n3")
    try:
        until(lambda: quartet.online() >= {"n1", "n2"} and "n3" not in quartet.online(), "n3 to be missed", 60, 0.3)
        until(lambda: not quartet["n3"].helpers(), "n3, without quorum, to stop its helper", 60)
    finally:
        quartet.mend("n3")
    until(lambda: quartet.online() == set(EVERYWHERE), "all to be online", 90, 0.3)
    wait_helper(quartet["n3"])
    for at in FULL:
        wait_states(quartet, *EVERYWHERE, at=at)
    assert helpers(quartet, "n1", "n2") == pids


def test_pacemaker_is_killed_on_a_node_and_finds_its_helper_again(quartet):
    pid = helper(quartet["n2"])
    quartet["n2"].kill_pacemaker()
    until(lambda: "n2" not in quartet.states(), "the cluster to forget n2's attributes", 60)
    assert quartet["n2"].helpers() == [pid]
    quartet.start("n2")
    wait_states(quartet, *EVERYWHERE)
    assert quartet["n2"].helpers() == [pid]
    until(lambda: "n2" in quartet.started(), "the resource to be found on n2", 60)
    assert "start" not in [task for task, _ in quartet.operations("n2")]


def test_corosync_is_killed_on_a_node_and_its_helper_goes_on(quartet):
    pid = helper(quartet["n2"])
    os.kill(quartet["n2"].processes("corosync")[0], signal.SIGKILL)
    until(lambda: "n2" not in quartet.online(), "n2 to be missed", 60, 0.3)
    assert quartet["n2"].helpers() == [pid]
    quartet["n2"].kill_pacemaker()      # what is left of it waits for a corosync that only an init system restarts
    quartet.start("n2")
    wait_states(quartet, *EVERYWHERE)
    assert quartet["n2"].helpers() == [pid]


@pytest.mark.parametrize("name", ["n3", FOURTH])
def test_a_node_in_standby_has_neither_helper_nor_attributes_until_it_is_over(quartet, name):
    quartet["n1"].pcs("node", "standby", name)
    try:
        until(lambda: not quartet[name].helpers(), "the helper to be stopped", 60)
        wait_states(quartet, *(it for it in EVERYWHERE if it != name))
    finally:
        quartet["n1"].pcs("node", "unstandby", name)
    wait_helper(quartet[name])
    wait_states(quartet, *EVERYWHERE)
    assert quartet.failures() == []


def test_in_maintenance_mode_helpers_are_left_alone_and_afterwards_watched_again(quartet):
    pids = helpers(quartet, *EVERYWHERE)
    quartet["n1"].pcs("property", "set", "maintenance-mode=true")
    try:
        # A monitor that was due already may still come; after 3 s, with an interval of 2, none does.
        time.sleep(3)
        for name in ("n3", FOURTH):
            os.kill(pids[name], signal.SIGKILL)
        until(lambda: not quartet["n3"].helpers() and not quartet[FOURTH].helpers(), "two helpers to be gone")
        time.sleep(3)
        assert {name: quartet[name].helpers() for name in EVERYWHERE} \
            == {"n1": [pids["n1"]], "n2": [pids["n2"]], "n3": [], FOURTH: []}
    finally:
        quartet["n1"].pcs("property", "set", "maintenance-mode=false")
    for name in ("n3", FOURTH):
        wait_helper(quartet[name], other_than=pids[name])
    wait_states(quartet, *EVERYWHERE)
    assert helpers(quartet, "n1", "n2") == {name: pids[name] for name in ("n1", "n2")}


def test_a_remote_connection_that_is_lost_and_comes_back_costs_no_helper_and_its_attributes_are_said_again(quartet):
    pid = helper(quartet[FOURTH])
    quartet.cut(FOURTH)
    try:
        until(lambda: FOURTH not in quartet.online(), "the connection to be missed", 90, 0.3)
        assert quartet[FOURTH].helpers() == [pid]
    finally:
        quartet.mend(FOURTH)
    until(lambda: FOURTH in quartet.online(), "the remote node to be online", 120, 0.3)
    wait_states(quartet, *EVERYWHERE)
    assert quartet[FOURTH].helpers() == [pid]


def test_the_node_that_holds_the_remote_connection_is_lost_and_another_takes_it_over(quartet):
    at = quartet["n1"].run("crm_resource", "--resource", FOURTH, "--locate").stdout.split()[-1]
    pid, witness = helper(quartet[FOURTH]), "n1" if at != "n1" else "n2"
    quartet[at].power_off()
    try:
        until(lambda: at not in quartet.online(witness), f"{at} to be missed", 60, 0.3)
        until(lambda: FOURTH in quartet.online(witness), "the remote node to be online again", 120, 0.3)
        wait_states(quartet, *(it for it in EVERYWHERE if it != at), at=witness)
        assert quartet[FOURTH].helpers() == [pid]
    finally:
        quartet[at].power_on()
        quartet.start(at)
    wait_states(quartet, *EVERYWHERE, at=witness)
