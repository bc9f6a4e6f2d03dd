"""The log: every event is one harmless line, and no trouble of the log's delays or stops the helper."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

# Logging is the process's: each case has one of its own, whose end is part of what is tested.
BEGIN = """
import logging, os, sys, time
from heartbeat import eventlog
log = logging.getLogger("heartbeat.test")
to = sys.argv[1]
if to.endswith("dev-log"):
    eventlog.SYSLOG = to
    to = "syslog"
eventlog.begin(to, "info")
"""
DEADLINE = 60


def run(script: str, to: object, *more: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", BEGIN + script, str(to), *more], capture_output=True, text=True, timeout=DEADLINE
    )


@pytest.fixture
def syslog(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "dev-log"))
        server.settimeout(DEADLINE)
        yield server


def test_lines_go_to_syslog_with_ident_pid_and_level(tmp_path, syslog):
    done = run("log.warning('guest %s is hung', 'x'); print(os.getpid())", tmp_path / "dev-log")
    line = syslog.recv(9000).decode()
    assert line.rstrip("\0") == f"<28>masakari-qga[{done.stdout.strip()}]: guest x is hung"
    assert done.stderr == ""


def test_lines_go_to_a_file_with_time_and_level_and_are_there_after_the_end(tmp_path):
    run("for n in range(100): log.info('line %d', n)", tmp_path / "log")
    lines = (tmp_path / "log").read_text().splitlines()
    assert [line.split(" ", 3)[2:] for line in lines] == [["INFO", f"line {n}"] for n in range(100)]


def test_what_the_level_leaves_out_is_not_written(tmp_path):
    run("log.debug('no'); log.info('yes')", tmp_path / "log")
    assert "no" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize("text", [
    "two\\nlines", "return\\rto the start", "\\x1b[2Jclears the screen", "\\x00 and \\x7f and \\x9b",
    "\\u202e backwards", "\\ud800 alone", "caf\\xe9 \\U0001f4a3", "x" * 100_000,
])  # fmt: skip
def test_whatever_is_logged_is_one_line_of_printable_ascii(tmp_path, text):
    run(f"log.info('%s', '{text}')", tmp_path / "log")
    content = (tmp_path / "log").read_bytes()
    assert content.count(b"\n") == 1
    assert content[:-1].decode("ascii").isprintable()
    assert len(content) < 9000


def test_a_traceback_is_one_line_too(tmp_path):
    run("try:\n    {}['a\\nb']\nexcept KeyError:\n    log.exception('failed')", tmp_path / "log")
    [line] = (tmp_path / "log").read_text().splitlines()
    assert "failed" in line
    assert "KeyError" in line


@pytest.mark.parametrize("to", ["missing/log", "a file/log", ".", "/dev/full"])
def test_a_log_that_cannot_be_written_is_no_trouble_of_ours(tmp_path, to):
    (tmp_path / "a file").write_text("")
    done = run("log.error('lost'); print('went on')", tmp_path / to)
    assert (done.returncode, done.stdout, done.stderr) == (0, "went on\n", "")


def test_a_log_that_cannot_be_written_at_first_is_written_once_it_can(tmp_path):
    done = run(
        "log.error('lost')\n"
        "eventlog._end(logging.getLogger().handlers[0].queue)\n"
        "os.mkdir(os.path.dirname(to))\n"
        "log.error('kept')", tmp_path / "missing/log"
    )
    assert done.stderr == ""
    assert "kept" in (tmp_path / "missing/log").read_text()


def test_without_a_syslog_we_go_on_and_find_it_when_it_comes(tmp_path):
    done = run(
        "import socket\n"
        "log.error('lost')\n"
        "eventlog._end(logging.getLogger().handlers[0].queue)\n"
        "server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
        "server.bind(eventlog.SYSLOG)\n"
        "log.error('kept')\n"
        "print(server.recv(9000))", tmp_path / "dev-log"
    )
    assert done.stderr == ""
    assert "kept" in done.stdout


def test_a_syslog_that_takes_nothing_delays_neither_our_work_nor_our_end(tmp_path, syslog):
    """A stopped journald: its socket is full after a few lines."""
    done = run("for n in range(5000): log.info('line %d', n)\nprint('went on')", tmp_path / "dev-log")
    assert (done.returncode, done.stdout, done.stderr) == (0, "went on\n", "")


def test_a_log_on_a_pipe_that_nobody_reads_delays_neither_our_work_nor_our_end(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    done = run("for n in range(5000): log.info('line %d', n)\nprint('went on')", tmp_path / "pipe")
    assert (done.returncode, done.stdout, done.stderr) == (0, "went on\n", "")


def test_a_file_that_was_rotated_away_is_begun_anew(tmp_path):
    run(
        "log.info('old')\n"
        "eventlog._end(logging.getLogger().handlers[0].queue)\n"
        "os.rename(to, to + '.1')\n"
        "log.info('new')", tmp_path / "log"
    )
    assert "old" in (tmp_path / "log.1").read_text()
    assert "new" in (tmp_path / "log").read_text()
