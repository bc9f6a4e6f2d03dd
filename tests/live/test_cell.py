"""A cell keeps what happens in it to itself, reaps its dead, and ends with its command."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

from tests.harness.wait import until

CELL = (sys.executable, "-m", "tests.harness.cell", "--without-guests", "--hostname", "inner", "--")


def running(mark: str) -> list[int]:
    """Processes, of this world and of worlds inside it, whose arguments hold the mark; zombies have none."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def inside(script: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([*CELL, "sh", "-c", script, "sh", *arguments], capture_output=True, text=True, timeout=60)


def test_the_status_of_the_command_is_the_status_of_the_cell():
    assert inside("exit 7").returncode == 7
    assert inside("kill -9 $$").returncode == 128 + signal.SIGKILL


def test_what_is_written_in_a_cell_is_not_seen_outside():
    name = uuid.uuid4().hex
    folders = ("/run", "/var/log", "/var/lib/masakari-qga", "/dev/shm")
    script = "name=$1; shift; for folder; do touch $folder/$name; done; hostname; ip -o link | wc -l"
    ran = inside(script, name, *folders)
    assert ran.stdout.split() == ["inner", "1"]     # its own name, and no network but the loopback
    assert not [folder for folder in folders if os.path.exists(f"{folder}/{name}")]
    assert os.uname().nodename != "inner"


def test_orphans_are_reaped_and_do_not_outlive_the_command():
    mark = uuid.uuid4().hex
    # the orphan of a subshell ends before us and must not stay a zombie; the other one would outlive us
    ran = inside('(sleep 0.1 &); (setsid sh -c "sleep 1000; : $1" &); sleep 0.5; '
                 'grep -h "^State:.Z" /proc/[0-9]*/status; true', mark)
    assert ran.stdout == ""
    assert running(mark) == []


def test_a_cell_that_is_told_to_end_tells_its_command():
    command = [*CELL, "sh", "-c", 'trap "echo told; exit 3" TERM; echo ready; while :; do sleep 0.1; done']
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as cell:
        assert cell.stdout.readline() == "ready\n"
        cell.terminate()
        assert cell.stdout.read() == "told\n"
    assert cell.returncode == 3


def test_nothing_survives_a_cell_that_is_killed():
    mark = uuid.uuid4().hex
    with subprocess.Popen([*CELL, "sh", "-c", f"echo ready; setsid sleep 1000 & : {mark}; wait"],
                          stdout=subprocess.PIPE, text=True) as cell:
        assert cell.stdout.readline() == "ready\n"
        assert running(mark)
        cell.kill()
    until(lambda: not running(mark), "everything in the killed cell to be gone")
