"""masakari-qga check, the command: what is asked of whom, what is printed, and what a program can tell from its end."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from heartbeat import __version__
from qga_ra import check, client, command
from qga_ra.supervision import Places
from tests.harness.helper import CODE, Helper, settings

GUEST = "6f5e0a2c-0000-4000-8000-000000000001"
EVIL = "\x1b]0;owned\x07\r\nok all is well \u202e" + "y" * 5000
# Stands in for the helper's program: keeps how it was begun, and says what it is told to.
PROGRAM = """
import json, pathlib, sys, time
here = pathlib.Path(__file__).parent
(here / "begun").write_text(json.dumps([sys.argv[1:], json.loads(sys.stdin.readline())]))
print((here / "said").read_text(), end="", flush=True)
exec((here / "end").read_text())
"""


@pytest.fixture
def places(tmp_path) -> Places:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "end").touch()
    tell(tmp_path, {"level": "ok", "step": "modules", "text": "python modules are there", "remedy": ""})
    return Places(str(tmp_path / "run"), str(tmp_path / "program.py"), sys.executable)


def tell(folder: Path, *findings: object) -> None:
    (folder / "said").write_text("".join(json.dumps(it) + "\n" for it in findings))


def begun(folder: Path) -> tuple[list[str], dict]:
    words, asked = json.loads((folder / "begun").read_text())
    return words, asked


def finding(level: str, text: str = "text", remedy: str = "") -> dict:
    return {"level": level, "step": "guests", "text": text, "remedy": remedy}


def run(capsys, places: Places, *arguments: str) -> tuple[int, str]:
    code = command.main(["check", *arguments], places)
    return code, capsys.readouterr().out


def test_each_finding_is_a_line_with_its_remedy_below_it(places, tmp_path, capsys):
    tell(tmp_path, finding("ok", "2 guests"), finding("warning", "1 silent", "look into it"))
    code, out = run(capsys, places)
    assert code == 1
    assert out.splitlines()[-4:] == [
        "ok       guests    2 guests",
        "WARNING  guests    1 silent",
        "                   -> look into it",
        "0 failed, 1 warnings",
    ]


@pytest.mark.parametrize(("levels", "code", "last"), [
    (["ok", "note"], 0, "all is well"), (["ok", "warning", "note"], 1, "0 failed, 1 warnings"),
    (["warning", "failed", "failed", "ok"], 2, "2 failed, 1 warnings"), (["unheard-of"], 2, "1 failed, 0 warnings"),
])  # fmt: skip
def test_the_exit_status_is_the_gravest(places, tmp_path, capsys, levels, code, last):
    tell(tmp_path, *map(finding, levels))
    status, out = run(capsys, places)
    assert (status, out.splitlines()[-1]) == (code, last)


def test_programs_get_one_document(places, tmp_path, capsys):
    tell(tmp_path, finding("warning", EVIL, "look"))
    code, out = run(capsys, places, "--json")
    document = json.loads(out)
    assert (code, document["status"], document["version"]) == (1, "warning", __version__)
    assert document["findings"][-1] == finding("warning", EVIL, "look")
    assert out.isascii()
    assert out.replace("\n", "").isprintable()


def test_nothing_that_anybody_chose_reaches_the_terminal_raw_or_unbounded(places, tmp_path, capsys):
    tell(tmp_path, dict.fromkeys(finding(""), EVIL), {"level": None}, 5)
    code, out = run(capsys, places)
    assert code == 2
    assert out.isascii()
    assert out.replace("\n", "").isprintable()
    assert max(map(len, out.splitlines())) < 1100


def test_without_a_helper_that_is_no_failure_and_the_usual_file_is_looked_at(places, tmp_path, capsys):
    code, out = run(capsys, places)
    assert (code, out.splitlines()[0]) == (0, "note     helper    the helper does not run on this node")
    assert begun(tmp_path) == (
        ["--config", "/etc/masakari-qga/masakari-qga.conf", "--run-directory", places.run, "--inspect"],
        {"state": "absent", "view": {}, "send": False},
    )


def test_a_file_and_a_test_notification_can_be_asked_for(places, tmp_path, capsys):
    run(capsys, places, "--config", "/etc/x", "--send")
    words, asked = begun(tmp_path)
    assert words[:2] == ["--config", "/etc/x"]
    assert asked["send"] is True


def test_who_is_not_root_is_told_so_and_nothing_is_begun(places, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    code, out = run(capsys, places)
    assert (code, out.splitlines()[1]) == (2, "                   -> sudo masakari-qga check")
    assert not (tmp_path / "begun").exists()


def test_what_ends_badly_or_cannot_begin_is_a_failure(places, tmp_path, capsys):
    (tmp_path / "end").write_text("import keystone\\x1bauth".replace("\\x1b", "_"))
    code, out = run(capsys, places)
    assert code == 2
    assert "it ended with status 1: ModuleNotFoundError: No module named 'keystone_auth'" in out
    code, out = run(capsys, Places(places.run, places.code, "/nowhere/python3"))
    assert code == 2
    assert "/nowhere/python3 cannot be started: No such file or directory" in out


def test_what_does_not_end_is_ended_with_all_that_it_has_started(places, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(check, "LONGEST", 2.0)
    (tmp_path / "end").write_text(
        "import os, subprocess\nchild = subprocess.Popen(['sleep', '600'])\n"
        "(here / 'pids').write_text(f'{os.getpid()} {child.pid}')\ntime.sleep(600)"
    )
    code, out = run(capsys, places)
    assert code == 2
    assert "it was not over after 2 s" in out
    for pid in (tmp_path / "pids").read_text().split():
        status = Path(f"/proc/{pid}/stat")
        assert not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z"


# With a helper


class Answers:
    """Stands in for the control socket."""

    def __init__(self, monkeypatch, age: int = 12, version: str = __version__, **replies: object) -> None:
        self.replies = {"status": {"guests": [{"uuid": GUEST}]}, "settings": {"config": "/etc/x", "parameters": {}}}
        self.replies.update(replies)
        monkeypatch.setattr(client, "ping", lambda *_: (age, version, 4711))
        monkeypatch.setattr(client, "ask", self._ask)

    def _ask(self, request, path, patience):
        reply = self.replies[request["do"]]
        if isinstance(reply, Exception):
            raise reply
        return reply


def test_a_running_helper_is_asked_for_its_guests_its_file_and_its_parameters(places, tmp_path, capsys, monkeypatch):
    Answers(monkeypatch, settings={"config": "/etc/x", "parameters": {"interval": "5"}})
    code, out = run(capsys, places)
    assert (code, out.splitlines()[0]) == (0, f"ok       helper    it runs, process 4711, version {__version__}")
    words, asked = begun(tmp_path)
    assert words == ["--config", "/etc/x", "--run-directory", places.run, "--set", "interval=5", "--inspect"]
    assert asked == {"state": "running", "view": {"guests": [{"uuid": GUEST}]}, "send": False}


def test_another_file_than_the_helpers_is_looked_at_without_its_parameters(places, tmp_path, capsys, monkeypatch):
    Answers(monkeypatch, settings={"config": "/etc/x", "parameters": {"interval": "5"}})
    _, out = run(capsys, places, "--config", "/etc/y")
    assert "note     config    the helper has another configuration, /etc/x" in out
    assert begun(tmp_path)[0] == ["--config", "/etc/y", "--run-directory", places.run, "--inspect"]


def test_an_older_helper_is_a_warning_and_may_not_know_every_question(places, capsys, monkeypatch):
    Answers(monkeypatch, version="0.0.9", settings=client.Refused("not understood"))
    code, out = run(capsys, places)
    assert code == 1
    assert f"the helper, process 4711, version 0.0.9, runs, and {__version__} is installed" in out


def test_what_troubles_the_helper_is_told(places, capsys, monkeypatch):
    Answers(monkeypatch, status={
        "fitness": {"able": False, "why": "libvirt is slow"},
        "backends": [{"name": "masakari", "pending": 3, "error": f"Keystone answers 503 {EVIL}"}, {"name": "other"}],
        "nova": {"error": "Nova answers 403; give masakari.username the role admin"},
    })  # fmt: skip
    code, out = run(capsys, places)
    assert code == 1
    assert "WARNING  helper    no guest is judged: libvirt is slow" in out
    assert "WARNING  helper    backend masakari: Keystone answers 503 \\x1b]0;owned" in out
    assert "(3 reports wait)" in out
    assert "WARNING  helper    Nova: Nova answers 403\n                   -> give masakari.username the role" in out


def test_a_helper_that_makes_no_progress_or_says_nothing_leaves_the_guests_alone(places, tmp_path, capsys, monkeypatch):
    Answers(monkeypatch, age=60000)
    code, out = run(capsys, places)
    assert (code, begun(tmp_path)[1]["state"]) == (2, "stuck")
    assert "makes no progress since 60 s" in out
    Answers(monkeypatch, status=client.Unanswered("the helper does not answer within 10 s"))
    code, out = run(capsys, places)
    assert (code, begun(tmp_path)[1]["state"]) == (1, "stuck")


def test_a_real_helper_and_the_real_program_understand_each_other(tmp_path, capsys):
    text = settings(tmp_path, libvirt={"connection_uri": "qemu+unix:///system?socket=/nowhere"})
    with Helper(tmp_path, text, "--set", "interval=7", "--set", "backends="):
        code, out = run(capsys, Places(str(tmp_path / "run"), str(CODE), "/usr/bin/python3"), "--json")
    document = json.loads(out)
    found = {it["step"]: it for it in document["findings"]}
    assert code == 2, "there is no libvirt"
    assert found["helper"]["level"] == "ok"
    assert found["libvirt"]["text"].startswith("libvirt at qemu+unix:///system?socket=/nowhere: Failed to connect")
    assert found["config"]["text"] == "as the resource sets them: interval, backends"
    assert found["name"]["text"] == "reports name this host one, from the helper"
    assert not [it for it in document["findings"] if "defect" in it["text"]]
