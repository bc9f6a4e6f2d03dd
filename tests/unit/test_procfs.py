"""What /proc tells of QEMU: from a tree of ours with what no process does on demand, and from this process's own."""

from __future__ import annotations

import os
import threading

import pytest

from heartbeat import procfs
from heartbeat.procfs import Process
from heartbeat.witness import Slices

UUID = "25efc0bf-1659-4c83-b4e6-4e0e6d0f0b01"
# The fields after the name, as proc(5) counts them: state is the 3rd, the start time the 22nd.
STAT = "{pid} ({name}) {state} 1 1 1 0 -1 4194560 100 0 0 0 5 5 0 0 20 0 4 0 {started} 500000 1000 0 0"


class Tree:
    """A /proc with as much in it as we read."""

    def __init__(self, path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def process(self, pid: int, *command: str, name: str = "qemu", state: str = "S", started: int = 555) -> None:
        self.write(f"{pid}/cmdline", "".join(word + "\0" for word in command))
        self.write(f"{pid}/stat", STAT.format(pid=pid, name=name, state=state, started=started))

    def thread(self, pid: int, thread: int, name: str, schedstat: str, state: str = "S") -> None:
        self.write(f"{pid}/task/{thread}/comm", name + "\n")
        self.write(f"{pid}/task/{thread}/schedstat", schedstat)
        self.write(f"{pid}/task/{thread}/stat", STAT.format(pid=thread, name=name, state=state, started=1))

    def write(self, path: str, text: str) -> None:
        file = self.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode("latin1"))


@pytest.fixture
def tree(tmp_path) -> Tree:
    tree = Tree(tmp_path)
    tree.process(100, "/usr/bin/qemu-system-x86_64", "-name", "guest=vm,debug-threads=on", "-uuid", UUID, "-S")
    tree.write("self-test", "not a process")
    return tree


def test_a_guests_qemu_is_found_by_its_uuid_among_other_processes(tree):
    tree.process(1, "/sbin/init")
    tree.process(2, "")
    tree.process(3, "/bin/grep", "-uuid", UUID)
    tree.process(4, "/usr/bin/qemu-system-x86_64", "-uuid")
    tree.process(5, "/usr/bin/qemu-img", "convert")
    tree.process(6, "/usr/libexec/qemu-kvm", "-uuid", "another")
    (tree.path / "7").mkdir()
    assert procfs.qemu_processes(str(tree)) == {UUID: Process(100, 555), "another": Process(6, 555)}


def test_a_name_full_of_brackets_and_blanks_does_not_shift_the_fields(tree):
    tree.process(100, "qemu", name="a) R 1 (b ) S 99", state="D", started=777)
    assert procfs.find(100, str(tree)) == Process(100, 777)
    assert procfs.state(Process(100, 777), str(tree)) == "D"


@pytest.mark.parametrize("state", ["R", "S", "D", "T", "t", "Z"])
def test_the_state_of_a_process_is_its_letter(tree, state):
    tree.process(100, "qemu", state=state)
    assert procfs.state(Process(100, 555), str(tree)) == state


def test_a_pid_that_belongs_to_another_process_now_is_not_ours(tree):
    assert procfs.state(Process(100, 554), str(tree)) == ""
    assert procfs.vcpus(Process(100, 554), str(tree)) == {}


def test_a_process_that_is_gone_has_no_state_and_no_threads(tree):
    assert procfs.find(999, str(tree)) is None
    assert procfs.state(Process(999, 1), str(tree)) == ""
    assert procfs.vcpus(Process(999, 1), str(tree)) == {}


def test_the_vcpu_threads_are_told_by_their_names(tree):
    tree.thread(100, 100, "qemu-system-x86", "9 9 9")
    tree.thread(100, 101, "CPU 0/KVM", "1000 20 3")
    tree.thread(100, 102, "CPU 1/TCG", "4000 50 6\n", "R")
    tree.thread(100, 103, "IO mon_iothread", "9 9 9")
    tree.thread(100, 104, "vnc_worker", "9 9 9")
    assert procfs.vcpus(Process(100, 555), str(tree)) == {101: Slices(1000, 20, 3), 102: Slices(4000, 50, 6, "R")}


@pytest.mark.parametrize("schedstat", ["", "1 2", "1 2 3 4"])
def test_a_thread_whose_numbers_cannot_be_read_is_left_out(tree, schedstat):
    """A kernel without CONFIG_SCHED_INFO has no such file."""
    tree.thread(100, 101, "CPU 0/KVM", schedstat)
    tree.thread(100, 102, "CPU 1/KVM", "1 2 3")
    (tree.path / "100/task/103").mkdir()
    assert procfs.vcpus(Process(100, 555), str(tree)) == {102: Slices(1, 2, 3)}


def test_of_a_huge_command_line_the_beginning_is_read(tree):
    tree.process(100, "/usr/bin/qemu-system-x86_64", "-uuid", UUID, "x" * 500_000)
    assert procfs.qemu_processes(str(tree)) == {UUID: Process(100, 555)}


def test_our_own_process_is_found_in_the_real_one():
    me = procfs.find(os.getpid())
    assert me is not None
    assert procfs.state(me) in ("R", "S")
    assert procfs.state(Process(me.pid, me.started + 1)) == ""
    assert len(procfs.boot_id()) == 36
    assert isinstance(procfs.qemu_processes(), dict)


def test_a_real_thread_of_that_name_is_counted_and_grows():
    ready, go, end = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        with open(f"/proc/self/task/{threading.get_native_id()}/comm", "w") as name:
            name.write("CPU 0/KVM")
        ready.set()
        go.wait(30)
        sum(number for number in range(200_000))
        ready.set()
        end.wait(30)

    thread = threading.Thread(target=work)
    thread.start()
    assert ready.wait(30)
    me = procfs.find(os.getpid())
    [(first_id, first)] = procfs.vcpus(me).items()
    ready.clear()
    go.set()
    assert ready.wait(30)
    [(last_id, last)] = procfs.vcpus(me).items()
    end.set()
    thread.join()
    assert first_id == last_id
    assert last.ran > first.ran
    assert last.got > first.got
    assert last.state in ("S", "R")
