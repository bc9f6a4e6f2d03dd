"""One helper on a node: the lock is held for as long as the process lives, and by nobody else."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading

import pytest

from heartbeat import lock as lock_module
from heartbeat import procfs
from heartbeat.lock import Lock, Taken

HOLD = """
import sys
from heartbeat.lock import Lock
Lock(sys.argv[1], "0.1")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path) -> str:
    return str(tmp_path / "lock")


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(lock_module, "PATIENCE", 0.0)


def release(lock: Lock) -> None:
    os.close(lock._file)


def test_it_says_who_holds_it(path):
    lock = Lock(path, "1.2.3")
    with open(path) as file:
        pid, started, version = file.read().split()
    assert (int(pid), version) == (os.getpid(), "1.2.3")
    assert procfs.find(os.getpid()).started == int(started)
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert not lock.lost()
    release(lock)


def test_a_second_helper_is_refused_and_told_who_runs(path, impatient):
    lock = Lock(path, "1.2.3")
    with pytest.raises(Taken, match=f"another helper runs.*{os.getpid()}.*1.2.3"):
        Lock(path, "9.9.9")
    with open(path) as file:
        assert "1.2.3" in file.read()
    release(lock)


def test_a_killed_helper_leaves_the_lock_free_and_what_it_wrote_is_replaced(path, impatient):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(Taken, match=str(holder.pid)):
            Lock(path, "1")
        holder.kill()
    lock = Lock(path, "1")
    with open(path) as file:
        assert file.read().split()[0] == str(os.getpid())
    release(lock)


def test_a_monitor_that_holds_it_for_an_instant_does_not_refuse_us(path, monkeypatch):
    monkeypatch.setattr(lock_module, "PATIENCE", 60.0)
    monitor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(monitor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    tried = threading.Event()
    monkeypatch.setattr(lock_module.time, "sleep", lambda _: tried.set())

    def let_go() -> None:
        assert tried.wait(30)
        os.close(monitor)

    thread = threading.Thread(target=let_go)
    thread.start()
    release(Lock(path, "1"))
    thread.join()


def test_a_link_in_its_place_is_not_followed(path, tmp_path):
    target = tmp_path / "precious"
    target.write_text("kept")
    os.symlink(target, path)
    with pytest.raises(OSError, match=path):
        Lock(path, "1")
    assert target.read_text() == "kept"


@pytest.mark.parametrize("change", [os.unlink, lambda path: os.rename(path, path + ".old")], ids=["removed", "moved"])
def test_a_lock_file_that_is_not_there_any_more_is_noticed(path, change):
    lock = Lock(path, "1")
    change(path)
    assert lock.lost()
    with open(path, "w") as file:
        file.write("somebody else's")
    assert lock.lost()
    release(lock)


def test_garbage_in_the_file_is_shown_harmlessly(path, impatient):
    with open(path, "wb") as file:
        file.write(b"\x1b[2J\xff\n" + b"x" * 10_000)
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(Taken) as caught:
            Lock(path, "1")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


def test_a_child_does_not_inherit_it(path):
    lock = Lock(path, "1")
    assert not os.get_inheritable(lock._file)
    release(lock)
