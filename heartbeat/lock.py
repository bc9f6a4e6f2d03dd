"""The lock that the helper holds for its whole life: whether it is held is whether the helper runs."""

from __future__ import annotations

import fcntl
import os
import time

from heartbeat import procfs

# Seconds: a monitor holds the lock for an instant while it looks whether it is free.
PATIENCE = 2.0


class Taken(Exception):
    """Another process holds the lock; `holder` is what that process wrote into it."""

    def __init__(self, path: str, holder: str) -> None:
        super().__init__(f"another helper runs on this node: {path} is held by {holder or 'an unknown process'}")
        self.path, self.holder = path, holder


class Lock:
    """Held from construction to the end of the process. Raises Taken, OSError."""

    def __init__(self, path: str, version: str) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    holder = ascii(os.read(self._file, 100).decode("ascii", "replace").strip())
                    os.close(self._file)
                    raise Taken(path, holder) from None
                time.sleep(0.02)
        process = procfs.find(os.getpid())
        started = process.started if process else 0
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()} {started} {version}\n".encode(), 0)

    def lost(self) -> bool:
        """Whether the file is not at its path any more: another helper could start beside us."""
        try:
            return not os.path.samestat(os.fstat(self._file), os.stat(self._path))
        except OSError:
            return True
