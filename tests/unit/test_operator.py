"""masakari-qga why, incidents, hold and release: what an operator types, what is asked, and what is read back."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from heartbeat.incident import HUNG, RECOVER, Close, Open
from heartbeat.ledger import Ledger
from qga_ra import client, command, holds
from qga_ra.supervision import Places

GUEST, OTHER = "6f5e0a2c-0000-4000-8000-000000000001", "6f5e0a2c-0000-4000-8000-000000000002"
HOLD = {"id": 1, "scope": GUEST, "owner": "alice", "reason": "Windows updates",
        "begun": "2026-11-20T05:00:00.000000+00:00", "until": "2026-11-20T07:00:00.000000+00:00"}  # fmt: skip
INCIDENT = {
    "id": 7, "uuid": GUEST, "name": "instance-00000001", "verdict": "hung", "action": "recover",
    "opened": "2026-11-20T05:00:00.123456+00:00", "evidence": '{"silent":16.2,"kernel":"still"}',
    "closed": "2026-11-20T05:01:00.123456+00:00", "why": "the guest was started again",
    "deliveries": [{"backend": "masakari", "status": "delivered"}],
}  # fmt: skip
HOLDING = ["hold", GUEST, "--for", "1h", "--reason", "x"]
EVIL = "\x1b]0;owned\x07\r\nnext all is well \u202e" + "y" * 5000


@pytest.fixture
def answer(monkeypatch):
    """Replies to the next question, and keeps it."""
    asked: list[dict] = []

    def with_reply(reply: dict):
        monkeypatch.setattr(client, "ask", lambda request, path: asked.append(request) or reply)
        return asked

    return with_reply


def run(capsys, *arguments: str) -> str:
    assert command.main([*arguments], Places("/nowhere")) == 0
    return capsys.readouterr().out


def test_why_prints_the_helpers_lines(answer, capsys):
    asked = answer({"lines": ["state     suspect", "next      counts as hung in 3 s"]})
    assert run(capsys, "why", GUEST[:6]) == "state     suspect\nnext      counts as hung in 3 s\n"
    assert asked == [{"do": "why", "uuid": GUEST[:6]}]


def test_why_for_programs_is_all_of_it(answer, capsys):
    answer({"state": "suspect", "lines": []})
    assert json.loads(run(capsys, "why", GUEST, "--json"))["state"] == "suspect"


def test_a_refusal_is_the_helpers_own_words_and_1(monkeypatch, capsys):
    def refuse(request, path):
        raise client.Refused("abcd may be 2 guests \x1b[2J")

    monkeypatch.setattr(client, "ask", refuse)
    for arguments in (["why", "abcd"], ["release", "abcd"], ["incidents"], [*HOLDING]):
        assert command.main(arguments, Places("/nowhere")) == 1
        assert capsys.readouterr().err == "masakari-qga: the helper refuses: abcd may be 2 guests \\x1b[2J\n"


def test_incidents_are_a_table(answer, capsys):
    asked = answer({"incidents": [INCIDENT, {**INCIDENT, "id": 6, "closed": None, "deliveries": []}]})
    lines = run(capsys, "incidents", "--guest", "instance-00000001", "--limit", "5").splitlines()
    assert asked == [{"do": "incidents", "limit": 5, "uuid": "instance-00000001"}]
    assert lines[0].split() == "ID OPENED GUEST NAME VERDICT ACTION EVIDENCE REPORTED OUTCOME ENDED".split()
    assert lines[1].split("  ")[0] == "7"
    for text in ("2026-11-20T05:00:00Z", GUEST, "hung", "recover", "silent 16.2, kernel still", "masakari delivered",
                 "2026-11-20T05:01:00Z the guest was started again"):  # fmt: skip
        assert text in lines[1]
    assert lines[2].endswith("-                   -        open")


@pytest.mark.parametrize(("about", "text"), [
    ({"recovery": {"outcome": "", "status": "", "human": False}}, "awaited"),
    ({"recovery": {"outcome": "recovered", "status": "finished", "human": False}}, "recovered"),
    ({"recovery": {"outcome": "not recovered", "status": "failed", "human": True}}, "not recovered, needs a human"),
    ({"recovery": None, "action": "suspended", "closed": None}, "needs a human"),
    ({"recovery": None, "action": "suspended"}, "-"), ({"recovery": 5}, "-"),
    ({"recovery": {"outcome": EVIL, "human": 1}}, "all is well"),
])  # fmt: skip
def test_an_incident_says_what_became_of_the_recovery(answer, capsys, about, text):
    answer({"incidents": [{**INCIDENT, **about}]})
    heading, line = run(capsys, "incidents").splitlines()
    at = heading.index("OUTCOME")
    assert text in line[at:heading.index("ENDED")]
    assert line.isprintable()


def test_no_incidents_is_said(answer, capsys):
    answer({"incidents": []})
    assert run(capsys, "incidents") == "no incidents\n"


@pytest.mark.parametrize("word", ["0", "1001", "-1", "x", "5" * 5000, "\u0665"])
def test_a_wrong_number_of_incidents_is_explained(capsys, word):
    with pytest.raises(SystemExit) as end:
        command.main(["incidents", f"--limit={word}"])
    assert end.value.code == 2
    assert "give a number from 1 to 1000" in capsys.readouterr().err


def test_a_hold_says_until_when_and_how_to_end_it(answer, capsys, monkeypatch):
    monkeypatch.setenv("SUDO_USER", "alice")
    asked = answer({"hold": HOLD, "here": True})
    out = run(capsys, "hold", GUEST, "--for", "2h", "--reason", "Windows updates")
    assert asked == [
        {"do": "hold", "scope": GUEST, "seconds": 7200.0, "reason": "Windows updates", "owner": "alice"}
    ]  # fmt: skip
    assert out.splitlines() == [
        f"{GUEST} held by alice until 2026-11-20T07:00:00Z: Windows updates",
        f"recoveries wait until then, or until: masakari-qga release {GUEST}",
    ]


def test_a_hold_of_a_guest_elsewhere_says_so(answer, capsys):
    answer({"hold": HOLD, "here": False})
    assert "is not on this node now; the hold counts if it comes here" in run(
        capsys, "hold", GUEST, "--for", "2h", "--reason", "x"
    )


@pytest.mark.parametrize(("text", "length"), [
    ("90s", 90), ("30m", 1800), ("2h", 7200), ("1.5d", 129600), ("30d", 2592000),
])  # fmt: skip
def test_lengths_of_time(text, length):
    assert holds.seconds(text) == length


@pytest.mark.parametrize("text", ["", "2", "h", "-2h", "31d", "0s", "2h30m", "1e3s", "nan", "\u0662h", "9" * 400 + "d"])
def test_a_hold_without_a_proper_end_is_explained(capsys, text):
    with pytest.raises(SystemExit) as end:
        command.main(["hold", "all", f"--for={text}", "--reason", "x"])
    assert end.value.code == 2
    assert "give 1s to 30d, such as 30m, 2h or 1d" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [
    ["all", "--for", "1h"], ["all", "--reason", "x"], ["--for", "1h", "--reason", "x"],
])  # fmt: skip
def test_a_hold_that_lacks_a_word_is_explained(capsys, arguments):
    with pytest.raises(SystemExit) as end:
        command.main(["hold", *arguments])
    assert end.value.code == 2
    assert "required" in capsys.readouterr().err


@pytest.mark.parametrize(("environment", "name"), [
    ({"SUDO_USER": "alice", "LOGNAME": "root"}, "alice"), ({"LOGNAME": "bob"}, "bob"), ({}, "root"),
])  # fmt: skip
def test_the_owner_is_whoever_logged_in(environment, name):
    assert holds.owner(environment) == name


def test_a_release_says_whose_hold_ended_and_what_still_holds(answer, capsys):
    node = {**HOLD, "scope": "all", "owner": "bob"}
    answer({"scope": GUEST, "released": [HOLD], "holds": [node, {**HOLD, "scope": OTHER}]})
    assert run(capsys, "release", GUEST).splitlines() == [
        f"released: {GUEST} held by alice until 2026-11-20T07:00:00Z: Windows updates",
        "still held: all held by bob until 2026-11-20T07:00:00Z: Windows updates",
    ]


def test_a_release_of_the_node_says_which_guests_still_are_held(answer, capsys):
    answer({"scope": "all", "released": [], "holds": [HOLD]})
    assert run(capsys, "release", "all").splitlines() == [
        "nothing was held by hand for all",
        f"still held: {GUEST} held by alice until 2026-11-20T07:00:00Z: Windows updates",
    ]


def test_status_shows_holds_fitness_and_who_needs_a_human(answer, capsys):
    guest = {"uuid": GUEST, "name": "vm", "state": "hung", "armed": True, "holds": ["libvirt's job: backup"],
             "incident": {"verdict": "hung", "action": "suspended", "deliveries": {}}}  # fmt: skip
    answer({"guests": [guest], "holds": [HOLD], "fitness": {"able": False, "why": "libvirt is slow", "stretch": 3.0}})
    lines = run(capsys, "status").splitlines()
    assert "fitness   no guest is judged: libvirt is slow" in lines
    assert "fitness   this host is slow: every time of silence x 3.0" in lines
    assert f"hold      {GUEST} held by alice until 2026-11-20T07:00:00Z: Windows updates" in lines
    assert "attention 1 guests were recovered too often and need a human; marked below" in lines
    assert "hung (held)" in lines[-1]
    assert lines[-1].endswith("hung, suspended (needs a human)")


def test_status_of_a_well_node_has_no_line_too_many(answer, capsys):
    answer({"guests": [], "holds": [], "fitness": {"able": True, "why": "", "stretch": 1.0}})
    lines = run(capsys, "status").splitlines()
    assert not [line for line in lines if line.startswith(("fitness", "hold", "attention"))]


@pytest.mark.parametrize(("arguments", "reply"), [
    (["why", GUEST], {"lines": [EVIL, 5, None]}),
    (["incidents"], {"incidents": [{**dict.fromkeys(INCIDENT, EVIL), "deliveries": [{"backend": EVIL}]}]}),
    (["incidents"], {"incidents": [{**INCIDENT, "evidence": json.dumps({EVIL: EVIL})}]}),
    (HOLDING, {"hold": dict.fromkeys(HOLD, EVIL)}),
    (["release", GUEST], {"scope": EVIL, "released": [dict.fromkeys(HOLD, EVIL)], "holds": [{**HOLD, "scope": "all"}]}),
    (["status"], {"holds": [dict.fromkeys(HOLD, EVIL)], "fitness": {"able": False, "why": EVIL, "stretch": EVIL}}),
])  # fmt: skip
def test_nothing_that_anybody_chose_reaches_the_terminal_raw_or_unbounded(answer, capsys, arguments, reply):
    answer(reply)
    text = run(capsys, *arguments)
    assert text.isascii()
    assert text.replace("\n", "").isprintable()
    assert max(map(len, text.splitlines())) < 1100
    answer(reply)
    assert run(capsys, *arguments, "--json").replace("\n", "").isprintable()


@pytest.mark.parametrize("reply", [
    {}, dict.fromkeys(("lines", "incidents", "hold", "released", "holds"), 5), {"holds": [5]},
])  # fmt: skip
def test_a_reply_of_another_version_is_shown_as_far_as_it_goes(answer, capsys, reply):
    for arguments in (["why", GUEST], ["incidents"], [*HOLDING], ["release", "all"]):
        answer(reply)
        run(capsys, *arguments)


# The helper does not run: its ledger is read.


@pytest.fixture
def state(tmp_path) -> Path:
    """A state directory with one incident that is over and one that is open, and a configuration that names it."""
    directory = tmp_path / "state"
    ledger = Ledger(str(directory))
    owed, now = {RECOVER: ["masakari"]}, "2026-11-20T05:00:00.000000+00:00"
    ledger.apply([Open(GUEST, "vm-1", "i1", HUNG, RECOVER, '{"silent":16.2}')], now, owed)
    ledger.apply([Close(1, "the agent answers again"), Open(OTHER, "vm-2", "i1", HUNG, RECOVER, "{}")], now, owed)
    ledger.close()
    (tmp_path / "conf").write_text(f"[state]\ndirectory = {directory}\n")
    return directory


def offline(tmp_path, *arguments: str) -> int:
    return command.main(["incidents", "--config", str(tmp_path / "conf"), *arguments], Places(str(tmp_path)))


def test_without_a_helper_incidents_come_from_its_ledger_and_that_is_said(state, tmp_path, capsys):
    assert offline(tmp_path) == 0
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == ["ID", "2", "1"]
    assert err.startswith("masakari-qga: the helper does not run on this node.")
    assert err.endswith(f"read from {state}/ledger.sqlite\n")
    assert offline(tmp_path, "--guest", "vm-1", "--json") == 0
    assert [it["id"] for it in json.loads(capsys.readouterr().out)["incidents"]] == [1]


def test_the_ledger_of_a_killed_helper_is_read_with_its_last_words_and_left_as_it_is(state, tmp_path, capsys):
    code = (
        "import os, signal, sys\nfrom heartbeat.ledger import Ledger\nfrom heartbeat.incident import *\n"
        "Ledger(sys.argv[1]).apply([Open('g', 'last', 'i1', HUNG, RECORD, '{}')], '2026-11-20T06:00:00+00:00', {})\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(state)], cwd=os.getcwd()).returncode == -signal.SIGKILL
    before = {path.name: path.read_bytes() for path in state.iterdir() if not path.name.endswith("-shm")}
    assert "ledger.sqlite-wal" in before
    assert offline(tmp_path, "--limit", "1") == 0
    assert " last " in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in state.iterdir() if not path.name.endswith("-shm")} == before


def test_a_ledger_that_is_not_there_is_not_made(tmp_path, capsys):
    (tmp_path / "conf").write_text(f"[state]\ndirectory = {tmp_path}/none\n")
    assert offline(tmp_path) == 1
    assert "cannot be read either: unable to open database file; be root, and see whether" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_a_ledger_of_another_version_or_damaged_is_no_traceback(state, tmp_path, capsys):
    connection = sqlite3.connect(state / "ledger.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert offline(tmp_path) == 1
    assert "of another version (schema 99); start the helper" in capsys.readouterr().err
    (state / "ledger.sqlite").write_bytes(b"garbage" * 1000)
    assert offline(tmp_path) == 1
    assert "file is not a database" in capsys.readouterr().err


def test_a_broken_configuration_does_not_hide_the_usual_ledger(tmp_path, capsys):
    (tmp_path / "conf").write_text("garbage\n")
    offline(tmp_path)
    assert "/var/lib/masakari-qga/ledger.sqlite" in capsys.readouterr().err


def test_a_place_with_strange_characters_is_a_place(tmp_path, capsys):
    (tmp_path / "conf").write_text(f"[state]\ndirectory = {tmp_path}/a?mode=rwc&b%20#\n")
    assert offline(tmp_path) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["conf"]
