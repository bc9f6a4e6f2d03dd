"""The operator's command: what it is told, that no shell sees it, and that nothing of it outlives its time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from heartbeat.backends import CLEARED, Delivered, Report
from heartbeat.backends.command import Command, variables
from heartbeat.incident import HUNG
from heartbeat.sender import Sender
from tests.harness.wait import until

ROOT = Path(__file__).resolve().parents[2]
GUEST = "25efc0bf-1659-4c83-b4e6-4e0e6d0f0b01"
OPENED, CLOSED = "2026-11-20T05:00:00.123456+00:00", "2026-11-20T05:03:00+00:00"
REPORT = Report(
    7, GUEST, HUNG, OPENED, "compute1", False, name="instance-00000001", opened=OPENED,
    evidence='{"silent":16.2,"kernel":"still"}',
)  # fmt: skip
HOSTILE = "\x1b[31m'; $(reboot) \u202e\n=" + "x" * 5000


@pytest.fixture
def command(tmp_path):
    """Makes one of a script's text."""
    tmp_path.chmod(0o700)

    def make(script: str, timeout: float = 60, arguments: str = "") -> Command:
        path = tmp_path / "alert"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o700)
        return Command({"path": str(path), "arguments": arguments, "timeout": timeout})

    return make


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_it_is_told_what_has_happened_in_its_environment_and_nothing_else_of_ours(command, tmp_path):
    assert command(f"env -0 > {tmp_path}/seen").deliver(REPORT) == Delivered("")
    seen = dict(it.split("=", 1) for it in (tmp_path / "seen").read_text().split("\0") if it)
    assert {name: text for name, text in seen.items() if name.startswith("QGA_")} == {
        "QGA_VERSION": seen["QGA_VERSION"], "QGA_EVENT": "failed", "QGA_ID": REPORT.key, "QGA_REPEATED": "no",
        "QGA_INCIDENT": "7", "QGA_UUID": GUEST, "QGA_NAME": "instance-00000001", "QGA_HOST": "compute1",
        "QGA_VERDICT": "hung", "QGA_ACTION": "recover", "QGA_OPENED": OPENED,
        "QGA_EVIDENCE": '{"silent": 16.2, "kernel": "still"}',
    }  # fmt: skip
    assert {name for name in seen if not name.startswith("QGA_")} <= {"PATH", "LANG", "HOME", "PWD", "SHLVL", "_"}


def test_it_is_told_when_and_why_it_is_over_and_whether_this_is_a_repetition():
    over = variables(REPORT._replace(kind=CLEARED, closed=CLOSED, why="answers again", resend=True))
    assert [over[name] for name in ("QGA_EVENT", "QGA_CLEARED", "QGA_WHY", "QGA_REPEATED")] == [
        "cleared", CLOSED, "answers again", "yes",
    ]  # fmt: skip
    assert over["QGA_OUTCOME"] == "", "not known yet"
    assert variables(REPORT._replace(kind=CLEARED, closed=CLOSED, outcome="recovered"))["QGA_OUTCOME"] == "recovered"


def test_what_a_guest_is_called_is_one_printable_line_that_no_shell_has_seen(command, tmp_path):
    report = REPORT._replace(name=HOSTILE, evidence=json.dumps({"reason": HOSTILE}))
    assert command(f'printf %s "$QGA_NAME" > {tmp_path}/seen').deliver(report) == Delivered("")
    seen = (tmp_path / "seen").read_text()
    assert seen.startswith(r"\x1b[31m'; $(reboot) \u202e\n=x")
    assert len(seen) < 200
    assert all(len(text) < 1000 and text.isascii() and text.isprintable() for text in variables(report).values())


def test_its_arguments_are_split_at_blanks_and_expanded_by_nobody(command, tmp_path):
    arguments = f"{tmp_path}/seen 'two words' $HOME * ;"
    assert command('file=$1; shift; printf "%s|" "$@" > "$file"', arguments=arguments).deliver(REPORT) == Delivered("")
    assert (tmp_path / "seen").read_text() == "two words|$HOME|*|;|"


def test_a_status_that_is_not_0_is_said_with_the_last_line_of_its_output(command):
    outcome = command("echo first; echo '\033[31mno route' >&2; exit 3").deliver(REPORT)
    assert (outcome.uncertain, outcome.whole, outcome.after) == (True, False, None)
    assert outcome.reason.endswith(r"/alert ends with status 3: \x1b[31mno route")
    assert "was ended by signal 9" in command("kill -KILL $$").deliver(REPORT).reason


def test_output_without_end_does_not_block_it_and_is_not_kept(command):
    outcome = command("head -c 20000000 /dev/zero | tr '\\0' x; exit 1").deliver(REPORT)
    assert len(outcome.reason) < 400


def test_when_its_time_is_over_it_is_killed_with_all_it_has_started(command, tmp_path):
    script = f"trap '' TERM; (trap '' TERM; exec sleep 600) & echo $! > {tmp_path}/child; wait"
    outcome = command(script, timeout=0.5).deliver(REPORT)
    assert (outcome.uncertain, outcome.whole) == (True, False)
    assert "did not end within 0.5 s and was killed; correct it, or raise command.timeout" in outcome.reason
    child = int((tmp_path / "child").read_text())
    until(lambda: not alive(child), "the end of what it has started", 60)


def test_what_it_leaves_behind_does_not_hold_up_the_next_report(command, tmp_path):
    assert command(f"sleep 600 & echo $! > {tmp_path}/child").deliver(REPORT) == Delivered("")
    child = int((tmp_path / "child").read_text())
    until(lambda: not alive(child), "the end of what it has left", 60)


def test_what_others_could_change_is_not_run_as_root(command, tmp_path):
    made = command("touch never")
    path = tmp_path / "alert"
    path.chmod(0o777)
    assert "can be changed by others; run: chown root" in made.prepare().reason
    path.chmod(0o755)
    assert made.prepare() is None
    tmp_path.chmod(0o777)
    assert f"{tmp_path} can be changed by others" in made.deliver(REPORT).reason
    tmp_path.chmod(0o700)
    os.chown(path, 65534, 65534)
    assert "can be changed by others" in made.prepare().reason


@pytest.mark.parametrize(("path", "arguments", "why"), [
    ("", "", "set command.path"), ("/nowhere/alert", "", "No such file"), ("/etc/passwd", "", "not an executable"),
    ("/usr/bin", "", "not an executable"), ("/usr/bin/true", "'open", "no closing quotation"),
])  # fmt: skip
def test_what_cannot_be_run_is_said_before_anything_is_attempted(path, arguments, why):
    made = Command({"path": path, "arguments": arguments, "timeout": 5})
    assert (made.prepare().after, made.prepare().whole) == (60.0, True)
    assert why in made.deliver(REPORT).reason


def test_what_is_no_program_is_said(tmp_path):
    tmp_path.chmod(0o700)
    (tmp_path / "alert").write_bytes(b"\x7fELFgarbage")
    (tmp_path / "alert").chmod(0o700)
    outcome = Command({"path": str(tmp_path / "alert"), "arguments": "", "timeout": 5}).deliver(REPORT)
    assert "cannot be run: Exec format error" in outcome.reason


def started(tmp_path) -> int:
    file = tmp_path / "child"
    until(lambda: file.exists() and file.read_text().strip(), "the command to run", 60)
    return int(file.read_text())


@pytest.mark.parametrize("end", ["interrupted", "closed"])
def test_it_ends_with_the_sender(command, tmp_path, end):
    options = command(f"sleep 600 & echo $! > {tmp_path}/child; wait")._options
    code = (
        "import sys, threading; from heartbeat.sender import *; from heartbeat.backends import Report\n"
        f"sender = Sender({options!r}, 'command')\n"
        f"threading.Thread(target=sender.deliver, args=({REPORT!r},), daemon=True).start()\n"
        "sys.stdin.readline(); sender.interrupt(); sys.stdin.read()\n"
    )
    helper = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE)
    child = started(tmp_path)
    if end == "interrupted":
        helper.stdin.write(b"\n")
        helper.stdin.flush()
    else:
        helper.send_signal(signal.SIGKILL)
    until(lambda: not alive(child), "the end of what the command has started", 60)
    helper.kill()
    helper.communicate()


def test_through_the_sender_it_is_run_and_its_result_arrives(command, tmp_path):
    sender = Sender(command("exit 4")._options, "command")
    assert sender.prepare() is None
    assert "ends with status 4" in sender.deliver(REPORT).reason
    sender.close()
