"""The host's /proc: which process is a guest's QEMU, how its vCPU threads were scheduled, and in which state it is."""

from __future__ import annotations

import os
from typing import NamedTuple

from heartbeat.witness import Slices

ENDED = ("", "Z", "X")  # states of a process that is gone, or is not reaped yet


class Process(NamedTuple):
    """A process as the kernel knows it for its whole life: a pid alone may be somebody else's tomorrow.

    started: clock ticks after boot.
    """

    pid: int
    started: int


def boot_id(proc: str = "/proc") -> str:
    return _read(f"{proc}/sys/kernel/random/boot_id").decode().strip()


def qemu_processes(proc: str = "/proc") -> dict[str, Process]:
    """The QEMU process of each domain uuid: libvirt gives every QEMU `-uuid`. Readable without any privilege."""
    found = {}
    for entry in os.listdir(proc):
        if entry.isdigit():
            words = _read(f"{proc}/{entry}/cmdline").split(b"\0")
            if b"-uuid" in words[:-2] and b"qemu" in words[0]:
                process = find(int(entry), proc)
                if process:
                    found[words[words.index(b"-uuid") + 1].decode("ascii", "replace")] = process
    return found


def find(pid: int, proc: str = "/proc") -> Process | None:
    """The process that has this pid now."""
    fields = _stat(pid, proc)
    return Process(pid, int(fields[19])) if fields else None


def state(process: Process, proc: str = "/proc") -> str:
    """Its state letter: T stopped, D waiting for a device, Z dead but not reaped; "" if it is gone."""
    fields = _stat(process.pid, proc)
    return fields[0] if fields and int(fields[19]) == process.started else ""


def vcpus(process: Process, proc: str = "/proc") -> dict[int, Slices]:
    """Of each vCPU thread, how it was scheduled so far. Costs no monitor job, so it works with a stuck QEMU too.

    QEMU names these threads `CPU n/KVM` or `CPU n/TCG`: libvirt always starts it with debug-threads.
    """
    threads = {}
    tasks = f"{proc}/{process.pid}/task"
    for thread in _list(tasks):
        if _read(f"{tasks}/{thread}/comm").startswith(b"CPU "):
            numbers = _read(f"{tasks}/{thread}/schedstat").split()
            fields = _fields(f"{tasks}/{thread}/stat")
            if len(numbers) == 3 and fields:
                ran, waited, got = map(int, numbers)
                threads[int(thread)] = Slices(ran, waited, got, fields[0])
    return threads if state(process, proc) else {}


def _stat(pid: int, proc: str) -> list[str]:
    return _fields(f"{proc}/{pid}/stat")


def _fields(path: str) -> list[str]:
    """The fields of a stat file after the command's name, which may itself hold blanks and brackets."""
    return _read(path).rpartition(b")")[2].decode("ascii", "replace").split()


def _list(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []


def _read(path: str) -> bytes:
    """The file's content; empty where the process has just ended."""
    try:
        with open(path, "rb") as file:
            return file.read(1 << 17)
    except OSError:
        return b""
