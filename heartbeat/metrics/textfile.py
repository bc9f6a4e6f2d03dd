"""Metrics as a file for node_exporter's textfile collector: replaced as a whole, so that it never reads half of one."""

from __future__ import annotations

import contextlib
import os
import pwd
from typing import Callable

from prometheus_client import generate_latest

from heartbeat.metrics.collector import registry
from heartbeat.metrics.outlet import Unable
from heartbeat.metrics.places import obstacle
from heartbeat.snapshot import Snapshot

EVERY = 15.0  # seconds


class Textfile:
    """path: as metrics.textfile has it. take: a snapshot."""

    def __init__(self, path: str, take: Callable[[], Snapshot]) -> None:
        self._path, self._registry = path, registry(take, process=False)

    def turn(self) -> float:
        try:
            _replace(self._path, generate_latest(self._registry))
        except OSError as error:
            raise Unable(obstacle(self._path, _user()) or f"{error.strerror}, look at its filesystem") from None
        return EVERY

    def wake(self) -> None:
        """No turn lasts."""

    def close(self) -> None:
        """What is not kept up to date any more must not be taken for true."""
        with contextlib.suppress(OSError):
            os.unlink(self._path)


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _replace(path: str, content: bytes) -> None:
    directory, name = os.path.split(path)
    new = os.path.join(directory, f".{name}.new")  # which node_exporter passes over
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new)  # left by a helper that was killed
    # O_EXCL: the directory may be another user's, who must not choose what we write to.
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(file, "wb") as stream:
            os.fchmod(stream.fileno(), 0o644)  # our umask keeps everybody out, and node_exporter is another user
            stream.write(content)
        os.replace(new, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(new)
        raise
