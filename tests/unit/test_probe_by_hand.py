"""`masakari-qga probe`: what an operator is told who asks a guest, or its application, by hand."""

from __future__ import annotations

import json
import threading

import pytest

from heartbeat.control import Refused
from heartbeat.health import byhand
from heartbeat.health.byhand import probing
from heartbeat.health.definition import RECORD
from heartbeat.observation import ChannelChanged, Paused, Stopped
from qga_ra import client, command
from qga_ra.supervision import Places
from tests.harness.observations import UUID
from tests.harness.wards import APP, BAD, INTERVAL, Ward


def probe(node: Ward, check: str | None = None, seconds: float = 30.0) -> dict[str, object]:
    """What a request in a thread of its own is answered, while the loop goes on in logical time."""
    replies: list[object] = []

    def ask() -> None:
        try:
            replies.append(probing(node.owner, lambda _: UUID)({"uuid": UUID, "check": check}))
        except Refused as error:
            replies.append(error)

    def call(function):
        asked.set()
        return function()

    asked, node.owner.call = threading.Event(), call
    thread = threading.Thread(target=ask)
    # Its own clock is the real one; here only the order of things matters.
    node.owner.ward.by_hand = lambda *it, by_hand=node.owner.ward.by_hand: by_hand(*it[:-1], node.now)
    thread.start()
    assert asked.wait(10)
    for _ in range(200):
        thread.join(0.01)
        if not thread.is_alive():
            break
        node.run(seconds / 100)
    thread.join(10)
    del node.owner.ward.by_hand
    [reply] = replies
    if isinstance(reply, Refused):
        raise reply
    return json.loads(json.dumps(reply))


def test_a_guest_that_answers_says_so_and_in_which_time():
    found = probe(Ward(checks=()))
    assert found == {"uuid": UUID, "status": "answered", "text": "", "took": 0.002, "good": True, "check": None}


@pytest.mark.parametrize("silent", [True, False])
def test_a_guest_that_does_not_answer_says_that(silent):
    node = Ward(checks=())
    if silent:
        node.machine().kernel = node.now
    else:
        node.closes()
        node.about(ChannelChanged(False))
    node.run(1)
    found = probe(node)
    assert (found["status"], found["good"]) == ("not answered", False)
    assert found["text"] == ("no answer in time" if silent else "libvirt has no connection to the agent")


def test_a_check_is_run_at_once_and_its_result_counts_for_nothing():
    node = Ward(checks=(APP._replace(failures=1),))
    node.says(*BAD)
    node.run(max(node.runs()[-1] + 5 - node.now, 0))
    for _ in range(5):
        found = probe(node, "app", 5)
        assert (found["status"], found["text"], found["good"]) == ("unhealthy", BAD[1], False)
    assert node.verdicts == []
    assert node.status() == "healthy", "as its last regular run said"
    node.run(INTERVAL)
    assert len(node.verdicts) == 1


def test_a_check_that_the_guest_does_not_have_can_be_tried_in_it():
    node = Ward()
    node.has[UUID] = ()
    node.owner.ward.reconsider([UUID], node.now)
    found = probe(node, "app")
    assert (found["status"], found["good"]) == ("healthy", True)
    assert node.owner.ward.known(UUID) == []


def test_a_run_that_is_under_way_is_waited_for_and_none_is_begun_beside_it():
    node = Ward()
    node.machine().commands.takes = 3
    node.run(node.runs()[-1] + INTERVAL + 1 - node.now)
    runs = len(node.runs())
    found = probe(node, "app")
    assert found["status"] == "healthy"
    assert len(node.runs()) == runs


def test_a_trial_in_a_guest_that_goes_meanwhile_comes_to_an_end():
    node = Ward()
    node.has[UUID] = ()
    node.owner.ward.reconsider([UUID], node.now)
    node.machine().commands.takes = 5
    node.about(Stopped(False, "shutdown"), 2)
    found = probe(node, "app")
    assert (found["status"], found["good"]) == ("unknown", None)
    assert not node.owner.ward.rounds._jobs


def test_a_command_that_the_agent_does_not_allow_is_nobody_s_failure():
    node = Ward()
    node.machine().commands.disabled = frozenset({"guest-exec"})
    node.closes()
    node.run(1)
    node.machine().channel = type(node.machine().channel).OPEN
    node.about(ChannelChanged(True))
    node.run(20)
    found = probe(node, "app")
    assert (found["status"], found["good"]) == ("cannot check", None)


def test_a_guest_that_is_held_is_not_checked_by_hand_either():
    node = Ward()
    node.about(Paused("paused by user", "user"))
    node.run(1)
    found = probe(node, "app")
    assert (found["status"], found["good"]) == ("unknown", None)
    assert found["text"].startswith("not checked: the guest is paused")


def test_a_check_of_another_name_is_refused_with_those_that_there_are():
    node = Ward(checks=(APP, APP._replace(name="other", action=RECORD)))
    with pytest.raises(Refused, match="check nope: no check is called so; defined are: app, other"):
        probe(node, "nope")


def test_a_probe_ends_though_nothing_comes_of_it(monkeypatch):
    monkeypatch.setattr(byhand, "SLACK", 0.05)
    node = Ward()
    node.define(APP._replace(timeout=0.05))
    node.owner.ward.rounds.by_hand = lambda *_: None
    found = probe(node, "app")
    assert (found["status"], found["good"]) == ("unknown", None)
    assert found["text"].startswith("no result within")


@pytest.mark.parametrize(("reply", "code", "line"), [
    ({"uuid": "g1", "check": None, "status": "answered", "text": "", "took": 0.0021, "good": True}, 0,
     "guest g1: answered after 0.002 s"),
    ({"uuid": "g1", "check": "web", "status": "unhealthy", "text": "\x1b[2J no", "took": 1, "good": False}, 1,
     "guest g1, check web: unhealthy after 1.000 s: \\x1b[2J no"),
    ({"uuid": "g1", "check": "web", "status": "cannot check", "text": "", "took": 0, "good": None}, 3,
     "guest g1, check web: cannot check after 0.000 s"),
    ({}, 3, "guest -: -"),
])  # fmt: skip
def test_the_command_prints_a_line_and_ends_with_what_it_says(monkeypatch, capsys, reply, code, line):
    asked = []
    monkeypatch.setattr(client, "ask", lambda request, path, patience: asked.append((request, patience)) or reply)
    assert command.main(["probe", "g1", "--check", "web"], Places("/nowhere")) == code
    assert capsys.readouterr().out == f"{line}\n"
    [(request, patience)] = asked
    assert request == {"do": "probe", "uuid": "g1", "check": "web"}
    assert patience > 600


def test_without_a_helper_nobody_can_tell(capsys, tmp_path):
    assert command.main(["probe", "g1"], Places(str(tmp_path))) == 3
    assert "masakari-qga:" in capsys.readouterr().err
