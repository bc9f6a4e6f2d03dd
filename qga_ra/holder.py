"""Which process holds the helper's lock.

The lock is the only proof. A pid in a file is a rumour, since pids come back; even what /proc/locks names may be a
process that took the lock long ago and left it to a child. So whoever is suspected has to have the locked file open,
and the kernel has to say that the lock is on that very descriptor.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from qga_ra import client

PROC = "/proc"


class Status(NamedTuple):
    """Of a process. state: a letter, as in ps; started: clock ticks after boot, which tells a pid's owners apart."""

    state: str
    started: int


def status(pid: int) -> Status | None:
    """None if there is no such process."""
    try:
        with open(f"{PROC}/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()  # the name before it may contain anything
        return Status(fields[0].decode(), int(fields[19]))
    except (OSError, IndexError, ValueError):
        return None


def holders(lock: str) -> list[int]:
    """The processes that hold the lock, usually one or none.

    Also found is a helper that holds a lock file which was deleted under it: left alone, it would go on reporting
    beside its successor.
    """
    suspects = [*_listed(lock), *_recorded(lock), *_pythons()]
    return [pid for pid in dict.fromkeys(suspects) if pid != os.getpid() and holds(pid, lock)]


def holds(pid: int, lock: str) -> bool:
    """Whether this process, now, holds the lock."""
    try:
        descriptors = os.listdir(f"{PROC}/{pid}/fd")
    except PermissionError:
        now = status(pid)  # hardened kernel: the second best proof is that the pid has not changed its owner
        return now is not None and record(lock) == (pid, now.started)
    except OSError:
        return False
    return any(_is_lock(pid, descriptor, lock) and _is_locked(pid, descriptor) for descriptor in descriptors)


def _is_lock(pid: int, descriptor: str, lock: str) -> bool:
    link = f"{PROC}/{pid}/fd/{descriptor}"
    try:
        if os.readlink(link) == f"{lock} (deleted)":
            # Another mount namespace, say a container's, has a file of this name too.
            return os.path.samestat(os.stat(f"{PROC}/{pid}/ns/mnt"), os.stat(f"{PROC}/self/ns/mnt"))
        return os.path.samestat(os.stat(link), os.stat(lock, follow_symlinks=False))
    except OSError:
        return False


def _is_locked(pid: int, descriptor: str) -> bool:
    try:
        with open(f"{PROC}/{pid}/fdinfo/{descriptor}", "rb") as file:
            words = [line.split() for line in file]
    except OSError:
        return False
    return any(line[:1] == [b"lock:"] and b"FLOCK" in line and b"WRITE" in line for line in words)


def _listed(lock: str) -> Iterator[int]:
    try:
        inode = os.stat(lock, follow_symlinks=False)
        with open(f"{PROC}/locks", encoding="ascii") as file:
            lines = [line.split() for line in file]
    except OSError:
        return
    name = f"{os.major(inode.st_dev):02x}:{os.minor(inode.st_dev):02x}:{inode.st_ino}"
    for words in lines:  # N: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE 0 EOF; who waits has -> as second word
        if len(words) > 5 and words[1] == "FLOCK" and words[3] == "WRITE" and words[5] == name:
            yield int(words[4])


def _recorded(lock: str) -> Iterator[int]:
    found = record(lock)
    if found:
        yield found[0]


def record(path: str) -> tuple[int, int] | None:
    """The pid and its start time as they stand in such a file; None for anything else that may stand there."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        words = os.read(descriptor, 128).split()
    except OSError:
        return None
    finally:
        os.close(descriptor)
    if len(words) < 2 or not (words[0].isdigit() and words[1].isdigit() and len(words[0]) < 10):
        return None
    return int(words[0]), int(words[1])


def _pythons() -> Iterator[int]:
    """Every Python process, known by its executable: to read another's command line may block for as long as that one
    hangs in the kernel."""
    for name in os.listdir(PROC):
        if name.isdigit():
            try:
                program = os.readlink(f"{PROC}/{name}/exe")
            except OSError:
                continue
            if os.path.basename(program).startswith("python"):
                yield int(name)


def gone(lock: str) -> bool:
    """Whether nobody holds the lock. What cannot even be opened is nobody's: the helper could not have either."""
    try:
        return client.look(lock) != client.HELD
    except OSError:
        return True
