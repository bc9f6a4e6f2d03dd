"""Who is at work on the node tells the cluster, and is left alone. The XML is what crm_mon 2.1.5 said of each state."""
from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest

from heartbeat.cluster import ENVIRONMENT, FRESH, LAST_WORD, LIMIT, Cluster, NoAnswer, holding

DATA = Path(__file__).parent / "data/crm_mon"
COMMAND = ["crm_mon", "-1", "--output-as=xml"]
MAINTENANCE = "the cluster is in maintenance-mode"


def recorded(state: str) -> bytes:
    return (DATA / f"{state}.xml").read_bytes()


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cluster(clock):
    return Cluster(clock=clock)


def says(fp, state: str, **how) -> None:
    fp.register(COMMAND, stdout=recorded(state), **how)


# What the XML means


@pytest.mark.parametrize(("state", "why"), [
    ("well", ""),
    ("maintenance-mode", MAINTENANCE),
    ("node-standby", "node one is in standby"),
    ("node-maintenance", "node one is in maintenance"),
    ("unmanaged", "resource qga-monitor is not managed by the cluster"),
])
def test_each_way_to_take_a_node_out_of_service_is_a_hold(state, why):
    assert holding(recorded(state), "one") == why


@pytest.mark.parametrize("state", ["node-standby", "node-maintenance", "unmanaged"])
@pytest.mark.parametrize("node", ["two", ""])
def test_what_is_done_to_another_node_holds_nothing_here(state, node):
    assert holding(recorded(state), node) == ""


def test_maintenance_mode_is_for_every_node_even_one_whose_name_is_not_known():
    assert holding(recorded("maintenance-mode"), "") == MAINTENANCE


def test_another_resource_that_is_not_managed_holds_nothing():
    xml = recorded("unmanaged").replace(b"ocf:masakari:qga", b"ocf:heartbeat:IPaddr2")
    assert holding(xml, "one") == ""


def test_older_ones_write_the_agent_with_two_colons():
    xml = recorded("unmanaged").replace(b"ocf:masakari:qga", b"ocf::masakari:qga")
    assert holding(xml, "one") != ""


def test_a_name_cannot_smuggle_anything_into_a_log_line():
    xml = recorded("unmanaged").replace(b'resource id="qga-monitor"', 'resource id="qga&#10;\u202e"'.encode())
    assert holding(xml, "one") == "resource qga\\n\\u202e is not managed by the cluster"


@pytest.mark.parametrize("xml", [
    b"", b"<", b"<pacemaker-result/>", b"Node List:\n", b"\xff\xfe", b"x" * (LIMIT + 1),
    b'<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><a><summary>&e;</summary></a>',
], ids=["nothing", "half", "empty", "text", "binary", "endless", "entity"])
def test_what_cannot_be_understood_is_no_opinion(xml):
    with pytest.raises(NoAnswer):
        holding(xml, "one")


# How the cluster is asked


def test_the_cluster_is_asked_with_exactly_this_command(clock):
    asked = []

    def run(command, **how):
        asked.append((command, how["env"], how["timeout"], how["stdin"]))
        return subprocess.CompletedProcess(command, 0, recorded("maintenance-mode"), b"")

    assert Cluster(run, clock).held("one") == MAINTENANCE
    assert asked == [(COMMAND, ENVIRONMENT, 5.0, subprocess.DEVNULL)]
    assert ENVIRONMENT["PATH"] == "/usr/sbin:/usr/bin:/sbin:/bin"


def test_it_is_asked_once_in_ten_seconds(cluster, clock, fp):
    says(fp, "well")
    assert cluster.held("one") == ""
    says(fp, "maintenance-mode")
    clock.now += FRESH - 0.1
    assert cluster.held("one") == ""
    clock.now += 0.1
    assert [cluster.held("one"), cluster.held("one")] == [MAINTENANCE] * 2
    assert [list(call) for call in fp.calls] == [COMMAND] * 2


def test_another_name_for_the_node_is_another_question(cluster, fp):
    for state in ("node-standby", "node-standby"):
        says(fp, state)
    assert cluster.held("") == ""
    assert cluster.held("one") == "node one is in standby"


def test_without_a_cluster_nothing_is_held_and_the_reason_is_kept(cluster, fp):
    fp.register(COMMAND, stdout=recorded("not-running"), returncode=102)
    assert cluster.held("one") == ""
    assert cluster.error == "crm_mon ends with status 102; the cluster does not run here"


@pytest.mark.parametrize(("trouble", "why"), [
    (FileNotFoundError(2, "No such file or directory"), "crm_mon cannot be started: No such file or directory"),
    (subprocess.TimeoutExpired(COMMAND, 5), "crm_mon did not end within 5 s"),
])
def test_a_command_that_does_not_run_is_no_opinion(clock, trouble, why):
    def run(*_, **__):
        raise trouble

    cluster = Cluster(run, clock)
    assert cluster.held("one") == ""
    assert cluster.error == why


def test_a_cluster_that_is_stopped_in_maintenance_stays_so_for_an_hour(cluster, clock, fp):
    says(fp, "maintenance-mode")
    cluster.held("one")
    fp.register(COMMAND, returncode=102, occurrences=3)
    clock.now += FRESH
    assert cluster.held("one") == MAINTENANCE
    clock.now += LAST_WORD - 2 * FRESH
    assert cluster.held("one") == MAINTENANCE
    clock.now += FRESH
    assert cluster.held("one") == ""


def test_a_cluster_that_is_back_is_believed_at_once(cluster, clock, fp):
    says(fp, "maintenance-mode")
    fp.register(COMMAND, returncode=102)
    says(fp, "well")
    words = []
    for _ in range(3):
        words.append(cluster.held("one"))
        clock.now += FRESH
    assert words == [MAINTENANCE, MAINTENANCE, ""]
    assert cluster.error == ""


def test_each_change_is_one_line_in_the_log(cluster, clock, fp, caplog):
    caplog.set_level("INFO")
    for state in ("well", "maintenance-mode", "maintenance-mode", "well", "well"):
        says(fp, state)
        cluster.held("one")
        clock.now += FRESH
    assert [record.message for record in caplog.records] == [
        f"nothing is recovered: {MAINTENANCE}", "the cluster holds nothing any more"]


def test_couriers_that_ask_at_the_same_time_ask_once(clock):
    asked, go = [], threading.Event()

    def run(command, **_):
        asked.append(command)
        assert go.wait(60)
        return subprocess.CompletedProcess(command, 0, recorded("maintenance-mode"), b"")

    cluster, words = Cluster(run, clock), []
    threads = [threading.Thread(target=lambda: words.append(cluster.held("one"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    go.set()
    for thread in threads:
        thread.join(60)
    assert words == [MAINTENANCE] * 4
    assert len(asked) == 1
