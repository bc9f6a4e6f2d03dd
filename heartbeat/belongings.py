"""Whose the helper's files are: root makes them and hands them over, and takes them back where it stays."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import NamedTuple

from heartbeat.configuration import Configuration
from heartbeat.evidence.archive import DIRECTORY as EVIDENCE

KEPT = "ledger.sqlite"
OURS = (EVIDENCE, "lost+found")  # what else may be beside it


class Unfit(Exception):
    """The user cannot do the helper's work. The text says why and what to do, for people."""


class User(NamedTuple):
    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]


ROOT = User("root", 0, 0, (0,))


def make_ways(config: Configuration, user: User) -> None:
    """What only root can make: the directory above the ledger's, and the log file. Raises OSError."""
    before = os.umask(0o022)
    try:
        os.makedirs(os.path.dirname(config.text("state.directory")), exist_ok=True)
    finally:
        os.umask(before)
    log = config.text("log.to")
    if log.startswith("/"):
        # One that is there already may be of a helper that was root; it cannot be made: that stops nobody.
        with contextlib.suppress(OSError):
            os.close(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        _give(log, None, ROOT.uid, user)


def hand_over(config: Configuration, run_directory: str, user: User) -> None:
    """Gives the ledger to the user, and lets it see, but not change, what is in the run directory.

    Raises Unfit for a directory that is not the ledger's alone: /var/lib, say, is nobody's to be given.
    """
    os.chown(run_directory, 0, user.gid)
    os.chmod(run_directory, 0o750 if user.uid else 0o700)
    state = config.text("state.directory")
    if user.uid:
        os.makedirs(state, 0o700, exist_ok=True)
    elif not os.path.isdir(state):
        return
    directory = os.open(state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Its owner may have put there anything, a link to a file of somebody else too: only its own becomes another's.
        owner = os.fstat(directory).st_uid
        if owner == user.uid:
            return
        names = os.listdir(directory)
        if owner == ROOT.uid and any(not name.startswith(KEPT) and name not in OURS for name in names):
            raise Unfit(f"{state} holds other things than the ledger; give state.directory a place of its own")
        for name in names:
            if name.startswith(KEPT):
                _give(name, directory, owner, user)
            elif name == EVIDENCE:
                _give_all(name, directory, owner, user)
        os.fchown(directory, user.uid, user.gid)
    finally:
        os.close(directory)


def _give(name: str, directory: int | None, owner: int, user: User) -> None:
    """If it is as we make them: nobody else's in any way, and known by no other name."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        file = os.open(name, flags, dir_fd=directory)
    except OSError:
        return
    try:
        if givable(file, owner):
            os.fchown(file, user.uid, user.gid)
    finally:
        os.close(file)


def _give_all(name: str, directory: int, owner: int, user: User, depth: int = 2) -> None:
    """A directory of ours with what is in it: the archive of evidence has one below it for each incident."""
    try:
        folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except OSError:
        return
    try:
        if os.fstat(folder).st_uid == owner:
            for inner in os.listdir(folder):
                _give(inner, folder, owner, user)
                if depth > 1:
                    _give_all(inner, folder, owner, user, depth - 1)
            os.fchown(folder, user.uid, user.gid)
    finally:
        os.close(folder)


def givable(file: int | str, owner: int) -> bool:
    """Whether this is a file of its owner's alone, known by no other name."""
    try:
        found = os.stat(file)
    except OSError:
        return False
    private = stat.S_ISREG(found.st_mode) and not found.st_mode & 0o077
    return private and found.st_nlink == 1 and found.st_uid == owner
