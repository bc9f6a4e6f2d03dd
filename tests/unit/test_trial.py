"""A question put by another process: whatever becomes of that one, we go on, in time, and it is gone."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from heartbeat.trial import LONGEST, answer

SOON, LONG = 0.2, 60.0


def test_its_answer_is_heard():
    assert answer(lambda: f"from {os.getppid()}", LONG) == f"from {os.getpid()}"


def test_an_answer_is_bounded_and_ascii():
    assert answer(lambda: "é" * (LONGEST + 1), LONG) == "?" * LONGEST


@pytest.mark.parametrize("end", [
    lambda: 1 / 0, lambda: os._exit(3), lambda: os.kill(os.getpid(), signal.SIGKILL), lambda: exec("raise SystemExit")])
def test_one_that_fails_says_nothing(end, capfd):
    assert answer(end, LONG) == ""
    assert capfd.readouterr() == ("", "")


def test_one_that_hangs_is_killed_and_reaped(tmp_path):
    noted = tmp_path / "pid"

    def hang() -> str:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        noted.write_text(str(os.getpid()))
        time.sleep(LONG)
        return "too late"

    assert answer(hang, 2.0) == ""
    assert not Path("/proc", noted.read_text()).exists()


def test_it_holds_nothing_of_ours_open(tmp_path):
    """Least of all the lock: a helper that is killed meanwhile must be replaced at once."""
    before = set(os.listdir("/proc/self/fd"))
    with open(tmp_path / "lock", "w"):
        held = answer(lambda: " ".join(map(os.path.realpath, Path("/proc/self/fd").iterdir())), LONG)
    assert "pipe:" in held
    assert str(tmp_path) not in held
    assert set(os.listdir("/proc/self/fd")) == before
