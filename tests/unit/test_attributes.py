"""Node attributes say what is so, in the form that Pacemaker keeps, whatever the cluster does meanwhile."""

from __future__ import annotations

import subprocess
import threading

import pytest

from heartbeat.backends.attributes import GREEN, RED, Attributes, safe, summary
from heartbeat.settings import ATTRIBUTES, HEALTH

UUIDS = [f"25efc0bf-1659-4c83-b4e6-4e0e6d0f0b{number:02}" for number in range(8)]
STATE = {"qga-state": "ok"}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def attributes(clock):
    return Attributes("node-1", dampening=1, reassert=60, clock=clock)


def command(name="qga-state", value="ok", dampening="1s", node="node-1") -> list[str]:
    return ["attrd_updater", "-B", value, "-d", dampening, "-n", name, *(["-N", node] if node else [])]


def calls(fp) -> list[list[str]]:
    made = [list(call) for call in fp.calls]
    fp.calls.clear()
    return made


def test_nothing_has_failed():
    assert summary("ok", []) == {"qga-state": "ok", "qga-failed": "0", "qga-failed-vms": "none", "qga-unhealthy": "0"}


def test_failed_guests_are_listed_in_an_order_that_does_not_change():
    values = summary("failed", [UUIDS[2], UUIDS[0]], 3)
    vms = f"{UUIDS[0]},{UUIDS[2]}"
    assert values == {"qga-state": "failed", "qga-failed": "2", "qga-failed-vms": vms, "qga-unhealthy": "3"}


def test_many_failed_guests_fit_into_an_attribute_and_none_is_concealed():
    values = summary("failed", UUIDS)
    assert values["qga-failed-vms"] == ",".join(UUIDS[:5]) + ",+3"
    assert max(len(value) for value in summary("x" * 5000, UUIDS * 1000).values()) < 200


def test_the_names_are_those_that_the_agent_removes():
    assert tuple(summary("ok", [])) == ATTRIBUTES
    assert tuple(summary("ok", [], health=GREEN)) == (*ATTRIBUTES, HEALTH)


def test_the_nodes_health_is_told_only_where_it_is_wanted():
    assert HEALTH not in summary("ok", [])
    assert summary("ok", [], health=RED)["#health-qga"] == "red"


def test_a_red_health_that_is_not_wanted_any_more_becomes_green(attributes, fp):
    for value in (RED, GREEN):
        fp.register(command(HEALTH, value))
    attributes.show({HEALTH: RED})
    attributes.step()
    for _ in range(2):
        attributes.show({})
        attributes.step()
    assert calls(fp) == [command(HEALTH, "red"), command(HEALTH, "green")]


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("ok", "ok"), ("", "none"), ("--", "none"), ("-n evil", "n evil"), ("value++", "value-+"),
        ("value+=7", "value-=7"), ("-value++", "value-+"), ("x++", "x++"),
        ("a\nb\tc\x1b[31m", "a?b?c?[31m"), ("Größe \ud800", "gr??e ?"),
        ("x" * 500, "x" * 199),
    ],
)  # fmt: skip
def test_a_value_is_one_that_pacemaker_keeps_as_it_is(value, kept):
    assert safe(value) == kept


def test_each_value_is_set_once_with_exactly_this_command(attributes, fp):
    fp.register(command())
    fp.register(command("qga-failed", "0"))
    attributes.show({"qga-state": "ok", "qga-failed": "0"})
    assert attributes.step() == 60
    assert attributes.step() == 60
    assert calls(fp) == [command(), command("qga-failed", "0")]


def test_without_the_clusters_name_for_the_node_attrd_takes_its_own(clock, fp):
    attributes = Attributes("", dampening=0, reassert=60, clock=clock)
    fp.register(command(dampening="0s", node=""))
    attributes.show(STATE)
    attributes.step()
    assert len(calls(fp)) == 1


def test_only_what_changed_is_set_again(attributes, fp):
    for words in (command(), command("qga-failed", "0"), command("qga-failed", "1")):
        fp.register(words)
    for number in ("0", "1", "1"):
        attributes.show({**STATE, "qga-failed": number})
        attributes.step()
    assert calls(fp) == [command(), command("qga-failed", "0"), command("qga-failed", "1")]


def test_everything_is_repeated_for_a_cluster_that_has_forgotten_it(attributes, fp, clock):
    fp.register(command(), occurrences=2)
    attributes.show(STATE)
    attributes.step()
    clock.now += 59
    assert attributes.step() == 1
    clock.now += 1
    assert attributes.step() == 60
    assert calls(fp) == [command(), command()]


def test_a_cluster_that_is_away_is_asked_less_and_less_often_and_gets_the_latest(attributes, fp, clock, caplog):
    caplog.set_level("INFO")
    fp.register(command(), returncode=102, stderr=b"Warning\nCould not set ok: no\x1b\n", occurrences=7)
    attributes.show(STATE)
    waits = []
    for _ in range(7):
        waits.append(attributes.step())
        clock.now += waits[-1]
    assert waits == [1, 2, 4, 8, 16, 30, 30]
    assert attributes.error == "attrd_updater ends with status 102: no\\x1b; check that the cluster runs here"
    fp.register(command(value="failed"))
    attributes.show({"qga-state": "failed"})
    attributes.step()
    assert attributes.error is None
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"], "one line per change"


def test_a_change_does_not_hasten_the_next_attempt(attributes, fp, clock):
    fp.register(command(), returncode=102)
    attributes.show(STATE)
    attributes.step()
    attributes.show({"qga-state": "failed"})
    assert attributes.step() == 1
    assert calls(fp) == [command()]


def test_when_a_command_fails_the_next_ones_do_not_wait_for_it_in_vain(attributes, fp):
    fp.register(command(), returncode=102)
    attributes.show({**STATE, "qga-failed": "0"})
    attributes.step()
    assert calls(fp) == [command()]


def test_a_value_whose_fate_is_unknown_is_set_again_even_if_it_was_right_before(attributes, clock):
    ran = []

    def run(words, timeout, **_):
        ran.append(words[2])
        if len(ran) == 2:
            raise subprocess.TimeoutExpired(words, timeout)
        return subprocess.CompletedProcess(words, 0, b"", b"")

    attributes._run = run
    for value in ("ok", "failed", "ok"):
        attributes.show({"qga-state": value})
        attributes.step()
    assert attributes.error.startswith("attrd_updater did not end within 5 s")
    clock.now += 1
    attributes.step()
    assert ran == ["ok", "failed", "ok"]


def test_an_attribute_no_longer_shown_is_no_reason_to_hurry(attributes, fp, clock):
    fp.register(command(), returncode=102)
    attributes.show(STATE)
    attributes.step()
    attributes.show({})
    clock.now += 30
    assert attributes.step() == 30


def test_a_missing_command_is_named(clock):
    def run(*_, **__):
        raise FileNotFoundError

    attributes = Attributes("node-1", 1, 60, run=run, clock=clock)
    attributes.show(STATE)
    attributes.step()
    assert attributes.error == "attrd_updater is not installed; install Pacemaker's command line tools"


def test_new_settings_hold_at_once(attributes, fp):
    fp.register(command())
    attributes.show(STATE)
    attributes.step()
    attributes.configure("node-2", dampening=5, reassert=10)
    fp.register(command(dampening="5s", node="node-2"))
    attributes.step()
    assert calls(fp)[1:] == [command(dampening="5s", node="node-2")]


def test_the_thread_follows_what_is_shown_and_ends_when_told():
    seen, arrived = [], threading.Semaphore(0)

    def run(words, **_):
        seen.append(words[2])
        arrived.release()
        return subprocess.CompletedProcess(words, 0, b"", b"")

    attributes = Attributes("node-1", 1, 3600, run=run)
    attributes.start()
    for value in ("ok", "failed"):
        attributes.show({"qga-state": value})
        assert arrived.acquire(timeout=60)
    attributes.stop()
    assert seen == ["ok", "failed"]
    assert not attributes._thread.is_alive()
