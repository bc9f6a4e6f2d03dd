"""masakari-qga, the command: what it prints is for a terminal, and nothing that a guest says reaches it raw."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from heartbeat import __version__
from qga_ra import client, command
from qga_ra.supervision import Places

GUEST = {
    "uuid": "6f5e0a2c-0000-4000-8000-000000000001",
    "name": "instance-00000001",
    "state": "healthy",
    "since": "2025-01-01T00:00:00+00:00",
    "last_answer": "2025-01-01T00:00:10+00:00",
    "armed": True,
    "detail": "",
    "incident": None,
}
INCIDENT = {
    "id": 7,
    "verdict": "hung",
    "action": "recover",
    "opened": "2025-01-01T00:00:20+00:00",
    "deliveries": {"masakari": "pending", "attributes": "delivered"},
}
REPLY = {
    "state": "ok",
    "node": "node-1",
    "version": "0.1.0",
    "hostname": "compute-1",
    "libvirt": {"connected": True, "since": "2025-01-01T00:00:00+00:00", "error": None},
    "backends": [{"name": "masakari", "pending": 1, "error": "Keystone: 503", "delivered": 4}],
    "guests": [
        GUEST,
        {**GUEST, "name": "instance-00000002", "state": "hung", "incident": INCIDENT},
        {**GUEST, "name": "instance-00000003", "state": "suspect", "last_answer": None},
    ],
}


@pytest.fixture
def answer(monkeypatch):
    def with_reply(reply: object) -> None:
        monkeypatch.setattr(client, "ask", lambda request, path: reply)

    return with_reply


def status(capsys, *arguments: str) -> str:
    assert command.main(["status", *arguments], Places("/nowhere")) == 0
    return capsys.readouterr().out


def test_status_shows_each_guest_and_what_is_reported_about_it(answer, capsys):
    answer(REPLY)
    lines = status(capsys).splitlines()
    assert lines[0] == "node      node-1, known to Masakari as compute-1"
    assert lines[2] == "libvirt   connected since 2025-01-01T00:00:00+00:00"
    assert lines[3] == "backend   masakari: 4 delivered, 1 pending: Keystone: 503"
    table = lines[5:]
    assert [line.split()[1] for line in table] == [
        *("NAME", "instance-00000002", "instance-00000003", "instance-00000001")
    ]
    assert table[1].endswith("hung, recover: masakari pending, attributes delivered")
    assert table[2].endswith("  -                          -")
    assert GUEST["uuid"] in table[3]


def test_status_shows_how_it_stands_with_a_recovery_and_who_needs_a_human(answer, capsys):
    guests = [{**GUEST, "state": "hung", "incident": INCIDENT, "recovery": "awaited, Masakari says running"},
              {**GUEST, "state": "stopped", "recovery": "not recovered, needs a human"}]  # fmt: skip
    answer({**REPLY, "guests": guests, "lost": [GUEST["uuid"]]})
    text = status(capsys)
    assert f"attention 1 guests were not recovered and need a human: {GUEST['uuid']}\n" in text
    assert "attributes delivered; recovery: awaited, Masakari says running\n" in text
    human, recovered = text.splitlines()[-2:]
    assert human.endswith("  recovery: not recovered, needs a human"), "who needs a human is the first of all"
    assert recovered.endswith("awaited, Masakari says running")


def test_status_for_programs_is_all_of_it_as_json(answer, capsys):
    answer(REPLY)
    assert json.loads(status(capsys, "--json")) == REPLY


def test_a_name_with_control_characters_does_not_reach_the_terminal(answer, capsys):
    evil = {**GUEST, "name": "\x1b]0;owned\x07\r\nnode x \u202e" + "y" * 5000, "incident": {"verdict": "\x1b[2J"}}
    answer({**REPLY, "guests": [evil]})
    for text in (status(capsys), status(capsys, "--json")):
        assert text.isascii()
        assert text.replace("\n", "").isprintable()
    answer({**REPLY, "guests": [evil]})
    assert len(status(capsys).splitlines()) == 7
    answer({**REPLY, "guests": [evil]})
    assert max(map(len, status(capsys).splitlines())) < 300


@pytest.mark.parametrize("reply", [
    {}, {"guests": 5, "libvirt": [], "backends": {}, "lost": 5}, {"guests": [None, {"x": 1}]},
])  # fmt: skip
def test_a_reply_of_another_version_is_shown_as_far_as_it_goes(answer, capsys, reply):
    answer(reply)
    assert "not connected" in status(capsys)


def test_a_node_without_guests_says_so(answer, capsys):
    answer({**REPLY, "guests": []})
    assert status(capsys).splitlines()[-1] == "no guests"


def test_a_helper_that_does_not_run_is_a_clear_message_and_1(tmp_path, capsys):
    assert command.main(["status"], Places(str(tmp_path))) == 1
    assert "the helper does not run on this node" in capsys.readouterr().err


def test_a_stuck_helper_is_a_clear_message_and_1(monkeypatch, capsys):
    def stuck(request, path):
        raise client.Unanswered("the helper does not answer within 5 s: stopped or stuck")

    monkeypatch.setattr(client, "ask", stuck)
    assert command.main(["status"], Places("/nowhere")) == 1
    assert capsys.readouterr().err == "masakari-qga: the helper does not answer within 5 s: stopped or stuck\n"


def test_what_the_helper_knows_best_is_asked_of_its_own_program(fp):
    argv = ["/usr/bin/python3", "-I", "/usr/lib/masakari-qga/heartbeat", "--config", "/etc/x", "--show-config"]
    fp.register(argv, returncode=3)
    assert command.main(["show-config", "--config", "/etc/x"]) == 3


def test_the_version_is_the_installed_one(capsys):
    with pytest.raises(SystemExit) as end:
        command.main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"masakari-qga {__version__}\n"


def test_a_wrong_command_line_is_explained(capsys):
    with pytest.raises(SystemExit) as end:
        command.main([])
    assert end.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


def test_the_installed_script_finds_its_code_in_the_private_directory():
    script = (Path(__file__).parents[2] / "qga_ra" / "masakari-qga").read_text()
    assert script.startswith("#!/usr/bin/python3 -IS\n")
    assert '"/usr/lib/masakari-qga"' in script


def test_status_shows_how_guests_are_by_their_checks_where_there_are_any(answer, capsys):
    answer(REPLY)
    assert "CHECKS" not in status(capsys)
    well = {"name": "web", "status": "healthy", "text": "", "failures": 0}
    ill = [{**well, "name": f"app{number}", "status": "unhealthy"} for number in range(5)]
    unhealthy = {**INCIDENT, "verdict": "unhealthy"}
    other = {**GUEST, "name": "ill", "checks": [*ill, well], "unhealthy": unhealthy}
    guests = [{**GUEST, "checks": [well, well]}, other, {**GUEST, "name": "none"}]
    answer({**REPLY, "guests": guests, "checks": {"held": "9 of 10 guests became unhealthy\x1b[2J"}})
    shown = status(capsys).splitlines()
    first, *rest = [line for line in shown if line.startswith(GUEST["uuid"])]
    assert "ill" in first, "whoever has an incident comes first"
    assert "app0 unhealthy, app1 unhealthy, app2 unhealthy, +2, 1 healthy" in first
    assert "unhealthy, recover: masakari pending" in first
    assert "2 healthy" in rest[0]
    [held] = [line for line in shown if line.startswith("attention")]
    assert held == "attention nobody is recovered because of a health check: 9 of 10 guests became unhealthy\\x1b[2J"
