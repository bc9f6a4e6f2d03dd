"""Where the evidence of incidents lies: a directory for each, made whole or not at all, and never more than is allowed.

Standard library only: the operator's command reads it as well, as root, in a directory that is not root's. So nothing
here follows a link, waits for a pipe, or takes more than what was written.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import stat
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, NamedTuple

DIRECTORY = "evidence"  # below the ledger's
MANIFEST = "incident.json"
VERSION = 1
# What a bundle may hold beside its manifest, in the order in which people want to see it.
WHY, EVENTS, ERRORS, COUNTERS = "why.txt", "events.txt", "errors.txt", "counters.json"
CONSOLE, SCREENSHOT, DOMAIN = "console.log", "screenshot.png", "domain.xml"
FILES = (WHY, EVENTS, ERRORS, CONSOLE, SCREENSHOT, COUNTERS, DOMAIN)
MIB = 1 << 20
# Bytes that stay free on the file system: the ledger is on the same one, and comes first.
RESERVE = 32 * MIB
LARGEST = 32 * MIB  # bytes of one file that are read back
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BUNDLE = re.compile(r"(\d{1,18})(-\d{8}T\d{6})?")
_UNFINISHED = re.compile(r"\.\d{1,18}\.new")


class Full(OSError):
    """There is no room for a bundle. The text says where and why."""


class Missing(Exception):
    """There is no bundle that can be shown. The text says why, for people."""


class Limits(NamedTuple):
    """number: of bundles. size: bytes of all. age: seconds."""

    number: int = 100
    size: int = 100 * MIB
    age: float = 30 * 86400.0


class Found(NamedTuple):
    """A bundle on disk. changed: seconds since 1970."""

    name: str
    changed: float
    size: int


class Bundle(NamedTuple):
    """What is kept of one incident. manifest: what incident.json says. files: name -> content; whatever is damaged or
    strange is in `troubles` instead, with the reason. path: of its directory."""

    path: str
    manifest: Mapping[str, Any]
    files: Mapping[str, bytes]
    troubles: Mapping[str, str]


class Archive:
    """The bundles of one node. state: the ledger's directory. For one thread at a time; reading is for any process.

    volume: how many there were, and their bytes, when it was last tidied.
    """

    def __init__(self, state: str) -> None:
        self.path = os.path.join(state, DIRECTORY)
        self.volume = (0, 0)

    def put(self, incident: int, manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
        """Keeps a bundle. It appears under its name when all of it is written: who is killed before leaves nothing that
        looks like one. An older one of the same number, of a ledger that is gone, makes room. Raises OSError."""
        os.makedirs(self.path, 0o700, exist_ok=True)
        folder = os.open(self.path, _FOLDER)
        name, work = str(int(incident)), f".{int(incident)}.new"
        try:
            self._room(folder, sum(map(len, files.values())))
            _remove(folder, work)
            os.mkdir(work, 0o700, dir_fd=folder)
            try:
                self._write(folder, work, {**manifest, "version": VERSION}, files)
                if _there(folder, name):
                    os.rename(name, _aside(folder, name), src_dir_fd=folder, dst_dir_fd=folder)
                os.rename(work, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with contextlib.suppress(OSError):
                    _remove(folder, work)
                raise
        finally:
            os.close(folder)

    def tidy(self, limits: Limits, now: float, unfinished: bool = False) -> int:
        """Removes what is too old or too much, the oldest first; how many. now: seconds since 1970. unfinished: also
        what a killed helper has left, as at our start. Raises OSError, once all is gone that can be."""
        try:
            folder = os.open(self.path, _FOLDER)
        except FileNotFoundError:
            return 0
        try:
            left = [name for name in os.listdir(folder) if _UNFINISHED.fullmatch(name)] if unfinished else []
            troubles = [error for error in (_hindrance(folder, name) for name in left) if error]
            kept = self.found(folder)
            size, removed = sum(it.size for it in kept), 0
            for it in kept:
                # A time that lies ahead is of a clock that was set back since; it ends with the others.
                number = len(kept) - removed
                if number <= limits.number and size <= limits.size and now - it.changed <= limits.age:
                    continue
                error = _hindrance(folder, it.name)
                if error:  # somebody else's file is in it: a later one goes in its place
                    troubles.append(error)
                else:
                    size, removed = size - it.size, removed + 1
            self.volume = (len(kept) - removed, size)
            if troubles:
                raise troubles[0]
            return removed
        finally:
            os.close(folder)

    def found(self, folder: int) -> list[Found]:
        """Every bundle, the oldest first. folder: descriptor of the archive's directory."""
        names = [name for name in os.listdir(folder) if _BUNDLE.fullmatch(name)]
        bundles = []
        for name in names:
            with contextlib.suppress(OSError):
                known = os.stat(name, dir_fd=folder, follow_symlinks=False)
                bundles.append(Found(name, known.st_mtime, _size(folder, name, known)))
        return sorted(bundles, key=lambda it: (it.changed, len(it.name), it.name))

    def read(self, incident: int) -> Bundle:
        """What is kept of an incident. Raises Missing."""
        path = os.path.join(self.path, str(int(incident)))
        folder = -1
        try:
            above = os.open(self.path, _FOLDER)
            try:
                folder = os.open(str(int(incident)), _FOLDER, dir_fd=above)
            finally:
                os.close(above)
            manifest = json.loads(_content(folder, MANIFEST, MIB))
            sizes = manifest["files"]
            files, troubles = {}, {}
            for name in [name for name in FILES if name in sizes]:
                try:
                    content = _content(folder, name, LARGEST)
                except (OSError, ValueError) as error:
                    troubles[name] = (error.strerror or "?") if isinstance(error, OSError) else str(error)
                    continue
                if len(content) == sizes[name]:
                    files[name] = content
                else:
                    troubles[name] = f"{len(content)} bytes where {sizes[name]} were written: it is damaged"
            return Bundle(path, manifest, files, troubles)
        except FileNotFoundError:
            raise Missing("no evidence is kept of it") from None
        except OSError as error:
            raise Missing(f"{path} cannot be read: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, RecursionError):
            raise Missing(f"{path} is damaged: {MANIFEST} is not what was written") from None
        finally:
            if folder >= 0:
                os.close(folder)

    def _room(self, folder: int, size: int) -> None:
        known = os.fstatvfs(folder)
        free = known.f_bavail * known.f_frsize
        if free < size + RESERVE:
            raise Full(f"{self.path} has {free // MIB} MiB left, and {RESERVE // MIB} are the ledger's")

    def _write(self, folder: int, work: str, manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
        below = os.open(work, _FOLDER, dir_fd=folder)
        try:
            sizes = {name: len(content) for name, content in files.items()}
            document = json.dumps({**manifest, "files": sizes}, indent=1, sort_keys=True).encode("ascii") + b"\n"
            for name, content in {**files, MANIFEST: document}.items():
                _create(below, name, content)
        finally:
            os.close(below)


def _create(folder: int, name: str, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(name, flags, 0o600, dir_fd=folder)
    try:
        while content:
            content = content[os.write(file, content) :]
    finally:
        os.close(file)


def _content(folder: int, name: str, most: int) -> bytes:
    """Raises OSError, and ValueError for what is no plain file of ours."""
    file = os.open(name, _READ, dir_fd=folder)
    with open(file, "rb") as opened:
        known = os.fstat(file)
        if not stat.S_ISREG(known.st_mode) or known.st_nlink != 1:
            raise ValueError("not a plain file")
        content = opened.read(most + 1)
    if len(content) > most:
        raise ValueError(f"larger than {most} bytes")
    return content


def _size(folder: int, name: str, known: os.stat_result) -> int:
    """Bytes that a bundle takes, in whole blocks."""
    if not stat.S_ISDIR(known.st_mode):
        return known.st_blocks * 512
    below = os.open(name, _FOLDER, dir_fd=folder)
    try:
        return sum(os.stat(file, dir_fd=below, follow_symlinks=False).st_blocks * 512 for file in os.listdir(below))
    finally:
        os.close(below)


def _there(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _aside(folder: int, name: str) -> str:
    """Another name for a bundle of the same number: with the time of its making."""
    changed = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime
    other = f"{name}-{datetime.fromtimestamp(changed, timezone.utc):%Y%m%dT%H%M%S}"
    _remove(folder, other)
    return other


def _hindrance(folder: int, name: str) -> OSError | None:
    """Removes it, or says why that cannot be."""
    try:
        _remove(folder, name)
    except OSError as error:
        return error
    return None


def _remove(folder: int, name: str, depth: int = 4) -> None:
    """A bundle with all in it, or whatever has its name. A link goes, not what it leads to: all is done in directories
    that are open, wherever their paths lead to by now.

    Not by shutil, whose rmtree takes such a one only since Python 3.11, and which costs the helper half a MiB.
    """
    if not _there(folder, name):
        return
    if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=folder)
        return
    if not depth:
        raise OSError(errno.ELOOP, f"directories within directories: {name}")
    below = os.open(name, _FOLDER, dir_fd=folder)
    try:
        for inner in os.listdir(below):
            _remove(below, inner, depth - 1)
    finally:
        os.close(below)
    os.rmdir(name, dir_fd=folder)
