"""The helper as a process: real ones, with the kernel as witness."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qga_ra import client, holder, supervision
from qga_ra.errors import Failure
from qga_ra.parameters import Invocation
from qga_ra.supervision import ENVIRONMENT, Places
from tests.harness.wait import until

PYTHON = "/usr/bin/python3"
STANDIN = str(Path(__file__).with_name("standin.py"))


def given(config: Path, seconds: float = 30, **parameters: str) -> Invocation:
    now = time.monotonic()
    return Invocation({"config": str(config), **parameters}, "node-1", 0, now, now + seconds)


def end_of(pid: int) -> str:
    """The state of a process; "" once it is gone, reaped or not."""
    now = holder.status(pid)
    return "" if now is None or now.state == "Z" else now.state


def eventually(true: Callable[[], object], seconds: float = 20) -> None:
    """Waits for a condition that is bound to come."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "did not come about"
        time.sleep(0.02)


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Places]:
    (tmp_path / "run").mkdir(mode=0o700)
    places = Places(str(tmp_path / "run"), STANDIN, PYTHON)
    yield places
    for pid in holder.holders(places.lock):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def behave(tmp_path: Path) -> Callable[..., Path]:
    def written(**behaviour: object) -> Path:
        path = tmp_path / "behaviour.json"
        path.write_text(json.dumps({"run": str(tmp_path / "run"), **behaviour}))
        return path

    return written


@pytest.fixture
def running(places: Places, behave: Callable[..., Path]) -> Callable[..., int]:
    """Starts a helper and returns its pid."""

    def started(**behaviour: object) -> int:
        supervision.launch(places, given(behave(**behaviour)))
        # One that leaves the lock to a child is about to end, and holds it together with the child until then.
        found = until(lambda: len(pids := holder.holders(places.lock)) == 1 and pids, "one process to hold the lock")
        return found[0]

    return started


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is none of our business."""
    with subprocess.Popen([PYTHON, "-c", "import time; time.sleep(600)"]) as process:
        yield process
        process.kill()


def stop(places: Places, patience: float = 20, seconds: float = 30) -> None:
    now = time.monotonic()
    supervision.stop(places, now + patience, now + seconds)


# Starting


def test_the_command_line_is_the_one_that_was_agreed(places, behave):
    config = behave()
    assert supervision.command(places, given(config, interval="5", backends="masakari, attributes")) == [
        *(PYTHON, "-I", STANDIN, "--config", str(config), "--node", "node-1"),
        *("--set", "interval=5", "--set", "backends=masakari, attributes"),
    ]


def test_the_installed_helper_is_started_from_its_private_directory():
    now = Invocation({}, None, 0, 0, 1)
    assert supervision.command(Places(), now) == [
        *("/usr/bin/python3", "-I", "/usr/lib/masakari-qga/heartbeat"),
        *("--config", "/etc/masakari-qga/masakari-qga.conf"),
    ]


def test_a_started_helper_has_nothing_of_ours(running, places):
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    with open("/dev/null") as open_here:
        os.set_inheritable(open_here.fileno(), True)
        proc = Path(f"/proc/{running()}")
    fields = (proc / "stat").read_text().rpartition(")")[2].split()
    assert fields[3] == proc.name, "leads a session of its own"
    assert dict(line.split("=", 1) for line in (proc / "environ").read_text().split("\0") if line) == ENVIRONMENT
    assert os.readlink(proc / "cwd") == "/"
    status = dict(line.split(":\t", 1) for line in (proc / "status").read_text().splitlines())
    assert status["Umask"] == "0077"
    assert int(status["SigBlk"], 16) == 0
    links = {os.readlink(entry) for entry in (proc / "fd").iterdir()}
    own = {f"{places.run}/{name}" for name in ("lock", "helper.err", "asked")} | {"/dev/null"}
    assert {link for link in links if not link.startswith("socket:")} == own
    assert os.stat(places.stderr).st_mode & 0o777 == 0o600


def test_a_started_helper_is_ready_when_launch_returns(running, places):
    running()
    assert client.state(places.run) == (0, "")


def test_the_last_words_of_an_earlier_helper_are_forgotten(running, places):
    Path(places.stderr).write_text("old\n" * 10000)
    running(words="new\n")
    assert Path(places.stderr).read_text() == "new\n"


@pytest.mark.parametrize(
    ("behaviour", "code", "reason"),
    [
        ({"exit": 2, "words": "Traceback\n  x\n/etc/x line 3: wrong\n\n"}, 2, "/etc/x line 3: wrong"),
        ({"exit": 4, "words": "no permission"}, 4, "no permission"),
        ({"exit": 5, "words": "libvirt is missing"}, 5, "libvirt is missing"),
        ({"exit": 6, "words": "parameter interval"}, 6, "parameter interval"),
        ({"exit": 77, "words": "odd"}, 1, "odd"),
        ({"exit": 7, "words": "not 'not running'"}, 1, "not 'not running'"),
        ({"exit": 0}, 1, "the helper ended before it was ready, exit code 0, without a word"),
        ({"signal": 9}, 1, "the helper ended before it was ready, signal 9, without a word"),
        ({"exit": 1, "words": "a\x1b[31m\xe9\tb"}, 1, "a?[31m? b"),
        ({"exit": 1, "words": "x" * 100_000}, 1, "x" * 10),
    ],
)
def test_a_helper_that_dies_at_once_is_a_failure_with_its_own_code_and_last_words(
    places, behave, behaviour, code, reason
):
    with pytest.raises(Failure) as failure:
        supervision.launch(places, given(behave(**behaviour)))
    assert failure.value.code == code
    assert failure.value.reason.startswith(reason)
    assert len(failure.value.reason) <= 128
    assert failure.value.reason.isascii()
    assert failure.value.reason.isprintable()


def test_a_helper_that_is_not_ready_in_time_is_killed(places, behave):
    with pytest.raises(Failure, match="not ready after 1 s and was killed; its last words: busy") as failure:
        supervision.launch(places, given(behave(hang=True, words="busy\n"), seconds=1))
    assert failure.value.code == 1
    assert holder.holders(places.lock) == []


def test_a_helper_that_is_not_installed_is_said_so(places, behave):
    with pytest.raises(Failure, match="/none is missing; reinstall") as failure:
        supervision.launch(Places(places.run, "/none", PYTHON), given(behave()))
    assert failure.value.code == 5


def test_a_link_where_the_last_words_go_is_not_followed(places, behave, tmp_path):
    (tmp_path / "precious").write_text("precious")
    os.symlink(tmp_path / "precious", places.stderr)
    with pytest.raises(Failure, match="remove it"):
        supervision.launch(places, given(behave()))
    assert (tmp_path / "precious").read_text() == "precious"


# Who holds the lock


def test_the_holder_is_found_and_nobody_else(running, places):
    pid = running()
    assert holder.holds(pid, places.lock)
    assert not holder.holds(os.getpid(), places.lock)
    assert not holder.holds(1, places.lock)


def test_a_lock_that_was_left_to_a_child_is_the_childs(running, places):
    pid = running(leave_to_child=True)
    recorded = int(Path(places.lock).read_text().split()[0])
    assert pid != recorded
    stop(places)
    assert end_of(pid) == ""


def test_having_the_lock_file_open_is_not_holding_it(running, places):
    code = f"import time; f = open({places.lock!r}, 'a'); print(flush=True); time.sleep(600)"
    with subprocess.Popen([PYTHON, "-c", code], stdout=subprocess.PIPE) as reader:
        assert reader.stdout.readline()
        running()
        stop(places)
        assert end_of(reader.pid) != ""
        reader.kill()


def test_where_descriptors_cannot_be_looked_at_pid_and_start_time_must_agree(running, places, monkeypatch):
    pid = running()

    def forbidden(path: str) -> list[str]:
        raise PermissionError(path)

    monkeypatch.setattr(holder.os, "listdir", forbidden)
    assert holder.holds(pid, places.lock)
    Path(places.lock).write_text(f"{pid} 1 0.1.0\n")
    assert not holder.holds(pid, places.lock)


# Stopping


def test_stop_without_a_helper_is_a_success(places):
    stop(places)
    os.rmdir(places.run)
    stop(places)


def test_a_helper_is_asked_to_end_and_ends(running, places):
    pid = running()
    stop(places)
    assert end_of(pid) == ""
    assert os.path.exists(places.lock), "who deletes a lock file allows a second helper"


def test_a_helper_that_ignores_term_is_killed(running, places):
    pid = running(ignore_term=True)
    stop(places, patience=0.3)
    assert end_of(pid) == ""


def test_a_stopped_helper_is_killed_without_waiting_for_an_answer_it_cannot_give(running, places):
    pid = running()
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: end_of(pid) == "T")
    stop(places, patience=3600, seconds=3600)
    assert end_of(pid) == ""


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_what_a_killed_helper_leaves_behind_is_ended_and_nobody_else(running, places, stranger):
    pid = running(ignore_term=True, child=True)
    (child,) = children(pid)
    assert os.getsid(child) == pid
    stop(places, patience=0.2)
    assert (end_of(pid), end_of(child)) == ("", "")
    assert stranger.poll() is None


def test_a_helper_that_was_started_by_hand_does_not_take_its_terminals_session_along(places, behave, stranger):
    config = behave(child=True)
    with subprocess.Popen([PYTHON, STANDIN, "--config", config], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        (child,) = children(process.pid)
        assert os.getsid(process.pid) == os.getsid(0) == os.getsid(stranger.pid)
        stop(places)
        assert process.wait(20) is not None
    assert stranger.poll() is None
    assert end_of(child) != ""
    os.kill(child, signal.SIGKILL)


def test_a_helper_that_survives_kill_is_reported_in_time_with_its_state(running, places, monkeypatch):
    pid = running()
    monkeypatch.setattr(supervision.signal, "pidfd_send_signal", lambda handle, number: None)
    before = time.monotonic()
    with pytest.raises(Failure, match=f"process {pid}, survives KILL in state S: .* reboot if it stays") as failure:
        stop(places, patience=0.1, seconds=0.5)
    assert time.monotonic() - before >= 0.5
    assert failure.value.code == 1


def test_a_helper_whose_lock_file_was_deleted_is_ended_too(running, behave, places):
    old = running()
    os.unlink(places.lock)
    supervision.launch(places, given(behave()))
    (new,) = set(holder.holders(places.lock)) - {old}
    stop(places)
    assert (end_of(old), end_of(new)) == ("", "")


def test_a_lock_file_of_the_same_name_elsewhere_is_not_ours(running, places, tmp_path):
    pid = running()
    (tmp_path / "other").mkdir()
    other = Places(str(tmp_path / "other"), STANDIN, PYTHON)
    stop(other)
    assert holder.holders(other.lock) == []
    assert end_of(pid) != ""


@pytest.mark.parametrize("start", [True, False])
def test_a_stranger_whose_pid_stands_in_the_lock_file_is_left_alone(running, places, stranger, start):
    """Pids come back: the number of a helper that died long ago may be anybody's now."""
    pid = running() if start else 0
    started = holder.status(stranger.pid).started
    Path(places.lock).write_text(f"{stranger.pid} {started} 0.1.0\n")
    stop(places)
    assert stranger.poll() is None
    assert not pid or end_of(pid) == ""


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"-1 1", b"0 0", b"1", b"nonsense\n", b"\xff\0" * 100, b"9" * 100_000, b"99999999999 1 x"]
)
def test_garbage_in_the_lock_file_stops_nobody_from_stopping(running, places, content):
    pid = running()
    Path(places.lock).write_bytes(content)
    stop(places)
    assert end_of(pid) == ""


def test_something_else_where_the_lock_should_be_is_nobodys_lock(places, tmp_path):
    held = tmp_path / "held"
    with open(held, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        os.symlink(held, places.lock)
        stop(places)
        os.unlink(places.lock)
    os.mkdir(places.lock)
    stop(places)
    os.rmdir(places.lock)
    os.mkfifo(places.lock)
    stop(places)


def test_a_lock_whose_holder_cannot_be_found_is_a_failure_that_says_so(places, monkeypatch):
    monkeypatch.setattr(holder, "holders", lambda lock: [])
    with open(places.lock, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(Failure, match="held by no process that can be found; lslocks has"):
            stop(places, seconds=0.2)


# One agent at a time


def test_a_second_action_waits_for_the_first(places):
    path = f"{places.run}/agent.lock"
    order: list[str] = []

    def second() -> None:
        with supervision.exclusive(path, time.monotonic() + 20):
            order.append("second")

    with supervision.exclusive(path, time.monotonic() + 20):
        thread = threading.Thread(target=second)
        thread.start()
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_an_action_that_never_ends_is_named_when_time_is_up(places):
    path = f"{places.run}/agent.lock"
    with supervision.exclusive(path, time.monotonic() + 20):
        second = supervision.exclusive(path, time.monotonic())
        with pytest.raises(Failure, match="another action of the agent holds"):
            second.__enter__()


# Looking at the host


def test_a_check_is_the_helpers_own_with_its_findings(fp, tmp_path):
    code = tmp_path / "heartbeat"
    code.touch()
    argv = [PYTHON, "-I", str(code), "--config", "/c", "--node", "node-1", "--set", "interval=5", "--check"]
    fp.register(argv, stdout=b"libvirt: connection refus\xe9d\n", returncode=1)
    found = supervision.check(Places("/none", str(code), PYTHON), given(Path("/c"), interval="5"))
    assert found == (1, "libvirt: connection refus\\xe9d\n")


def test_an_odd_exit_of_a_check_is_a_plain_failure(fp, tmp_path):
    fp.register([fp.any()], returncode=-11)
    assert supervision.check(Places("/none", str(tmp_path), PYTHON), given(Path("/c"))) == (1, "")
