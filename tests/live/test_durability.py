"""A helper that is killed or stands still loses no report and sends none twice, and misses nothing of what happened
meanwhile."""
from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.harness.endpoint_http import Fault
from tests.harness.wait import until
from tests.harness.ward import settle, together


def senders(helper: int) -> list[int]:
    """The processes that speak HTTP for a helper."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent, command = stat.read_text().rpartition(")")[2].split()[1], (stat.parent / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(parent) == helper and b"sender.py" in command:
            found.append(int(stat.parent.name))
    return found


def kill(ward) -> None:
    """SIGKILL to the helper; its sender has to end by itself."""
    left = senders(ward.helper.pid)
    ward.helper.kill()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in left), f"the sender {left} to end")


@pytest.fixture(scope="module")
def ward(module_ward):
    """Masakari is away; some guests fail, then the helper is killed; more happens; and both come back."""
    ward = module_ward()
    ward.boot("sound", "hung before", "died before", "recovered", "hung meanwhile", "died meanwhile",
              "stopped meanwhile", "restarted meanwhile", "hung at last")
    ward.watch()
    ward.endpoint.refuse()
    together(ward["hung before"].halt, ward["recovered"].halt, ward["died before"].kill_qemu)
    ward.wait("hung", "hung before", "recovered")
    ward.wait("qemu-died", "died before")
    until(lambda: ward.backend()["error"], "status to say that Masakari is away")
    assert [ward.deliveries(part) for part in ("hung before", "recovered", "died before")] == ["pending"] * 3
    kill(ward)
    together(
        ward["hung meanwhile"].halt,
        ward["died meanwhile"].kill_qemu,
        ward["stopped meanwhile"].destroy,
        ward["restarted meanwhile"].destroy,
        ward["recovered"].domain.reset,
    )
    ward["restarted meanwhile"].domain.create()
    ward["recovered"].wait_agent()
    ward.endpoint.open()
    ward.helper.start()
    ward.back_at = time.monotonic()
    return ward


@pytest.mark.parametrize(("part", "verdict"), [
    ("hung before", "hung"), ("died before", "qemu-died"), ("hung meanwhile", "hung"), ("died meanwhile", "qemu-died"),
])
def test_who_failed_before_the_helper_was_killed_or_while_it_was_away_is_reported_once(ward, part, verdict):
    until(lambda: ward.stored(part), f"the report of {part}", 90)
    until(lambda: ward.deliveries(part) == "delivered", "the helper to know it")
    assert len(ward.attempts(part)) == 1
    assert [it[0::3] for it in ward.incidents(part)] == [(verdict, "delivered")]


def test_who_recovered_while_the_helper_was_away_is_not_reported(ward):
    ward.wait("healthy", "recovered")
    assert ward.incidents("recovered") == [("hung", "recover", "the agent answers again", "expired")]
    settle(ward.back_at)
    assert ward.attempts("recovered") == []


@pytest.mark.parametrize(("part", "state"), [
    ("stopped meanwhile", "stopped"), ("restarted meanwhile", "healthy"), ("sound", "healthy"),
])
def test_who_was_stopped_or_started_while_the_helper_was_away_is_no_incident(ward, part, state):
    settle(ward.back_at)
    assert ward.state(part) == state
    assert ward.incidents(part) == []
    assert ward.attempts(part) == []


def test_who_was_reported_is_not_reported_again_by_the_next_helper(ward):
    until(lambda: len(ward.endpoint.notifications) == 4, "all reports", 90)
    kill(ward)
    ward.helper.start()
    ward.wait("hung", "hung before", "hung meanwhile")      # judged anew
    ward.answers("sound")
    assert [ward.deliveries(part) for part in ("hung before", "hung meanwhile", "died before")] == ["delivered"] * 3
    assert len(ward.endpoint.attempts) == 4


@pytest.mark.parametrize(("fault", "answers"), [
    (Fault.HANG, [None, 202]), (Fault.HANG_AFTER_STORING, [None, 409]),
])
def test_a_helper_that_is_killed_while_masakari_owes_it_an_answer_says_the_same_again(new_ward, fault, answers):
    ward = new_ward()
    ward.boot("died", "sound")
    ward.watch()
    ward.endpoint.fail(fault)
    ward["died"].kill_qemu()
    until(lambda: ward.attempts("died"), "the first attempt")
    kill(ward)
    ward.endpoint.heal()
    ward.helper.start()
    until(lambda: ward.deliveries("died") == "delivered", "the report to count as delivered")
    ward.answers("sound")
    first, second = ward.attempts("died")
    assert [first.status, second.status] == answers
    assert first.notification == second.notification       # the time as well
    assert len(ward.stored("died")) == 1
    assert [it[0::3] for it in ward.incidents("died")] == [("qemu-died", "delivered")]


def test_a_helper_that_stood_still_blames_no_guest_and_finds_who_hung_meanwhile(ward):
    ward.wait("healthy", "sound", "restarted meanwhile", "hung at last")
    ward.helper.signal(signal.SIGSTOP)
    ward["hung at last"].halt()
    time.sleep(20)
    ward.helper.signal(signal.SIGCONT)
    until(lambda: ward.deliveries("hung at last") == "delivered", "the report", 90)
    ward.answers("sound", "restarted meanwhile")
    assert "held up" in ward.helper.log()
    assert ward.incidents("sound") == ward.incidents("restarted meanwhile") == []
    assert len(ward.attempts("hung at last")) == 1
    assert ward.attempts("sound", "restarted meanwhile") == []
