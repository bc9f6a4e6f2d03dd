"""An SQLite file that is opened whatever state it is in, and whose failures say what an operator can do."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator, Mapping
from typing import Any

log = logging.getLogger(__name__)

_SET_ASIDE_SLOTS = 3
_REMEDIES = (
    ("full", "make room on its filesystem"),
    ("No space", "make room on its filesystem"),
    ("readonly", "mount its filesystem read-write"),
    ("Read-only", "mount its filesystem read-write"),
    ("locked", "another program has it open; end that program"),
    ("Permission", "state.directory must belong to the user of state.user"),
)


class LedgerError(Exception):
    """The ledger cannot be used. path: its file. why: cause and remedy, for people.

    restart: trying again cannot help; a new start of the helper begins a clean ledger.
    """

    def __init__(self, path: str, why: str, restart: bool = False) -> None:
        super().__init__(f"ledger {path}: {why}")
        self.path, self.why, self.restart = path, why, restart


class Database:
    """One file, one connection, any number of threads. Every method raises LedgerError when the disk or SQLite fails.

    One connection under a lock, and not one per thread: SQLite has a single writer anyway, and a thread that waits for
    our lock gets it as soon as it is free, while SQLite's own busy handler polls with growing sleeps.

    path: the file, in a directory that only we may write. schema: statements that make an empty file ours, and their
    version, which a change of the schema raises. migrations: by version, the statements that lead to the next one.
    """

    def __init__(self, path: str, schema: str, version: int, migrations: Mapping[int, str]) -> None:
        self.path = path
        self._migrations = migrations
        self._lock = threading.Lock()
        try:
            self._connection = self._open(schema, version)
            self._identity = self._find()
        except (sqlite3.Error, OSError) as error:
            raise self._error(error) from error

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the block's statements, on disk when it ends; or none of them, if anything raises."""
        with self._lock:
            try:
                self._check_in_place()
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    self._connection.execute("COMMIT")
                except BaseException:
                    with contextlib.suppress(sqlite3.Error):  # SQLite has rolled back by itself after some errors
                        self._connection.execute("ROLLBACK")
                    raise
            except (sqlite3.Error, OSError) as error:
                raise self._error(error) from error

    def rows(self, query: str, *values: object) -> list[Any]:
        """What one SELECT finds."""
        with self._lock:
            try:
                return self._connection.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise self._error(error) from error

    def _open(self, schema: str, version: int) -> sqlite3.Connection:
        directory = os.path.dirname(self.path)
        os.makedirs(directory, mode=0o700, exist_ok=True)
        if stat.S_IMODE(os.stat(directory).st_mode) & 0o022:
            raise LedgerError(self.path, f"its directory can be written by others; run: chmod 0700 {directory}")
        for _ in range(2):
            # Made here, because SQLite would make it, and after it the WAL, with whatever umask there is.
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                os.fchmod(file, 0o600)
            finally:
                os.close(file)
            connection = sqlite3.connect(self.path, timeout=3, isolation_level=None, check_same_thread=False)
            try:
                self._prepare(connection, schema, version)
            except BaseException as error:
                connection.close()
                if not _is_corrupt(error):
                    raise
                self._set_aside(error)
            else:
                return connection
        raise LedgerError(self.path, "a new file is damaged as soon as it is written; check the disk")

    def _prepare(self, connection: sqlite3.Connection, schema: str, version: int) -> None:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "journal_size_limit = 1048576"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        damage = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if damage != "ok":
            raise sqlite3.DatabaseError(damage)
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found > version:
            raise LedgerError(
                self.path,
                f"was written by a newer version of masakari-qga (schema {found}, we know {version}); install that"
                " version again, or move the file away to begin without its incidents",
            )
        if found == 0:
            # One transaction: a kill in it leaves version 0 and no tables, which is where we are now.
            connection.executescript(f"BEGIN IMMEDIATE; {schema} PRAGMA user_version = {version}; COMMIT;")
            return
        for step in range(found, version):
            script = f"BEGIN IMMEDIATE; {self._migrations[step]} PRAGMA user_version = {step + 1}; COMMIT;"
            connection.executescript(script)

    def _set_aside(self, error: BaseException) -> None:
        """Keeps the damaged file for whoever wants to look, and its WAL with it, where SQLite's tools expect that."""
        slots = [f"{self.path}.corrupt-{number}" for number in range(1, _SET_ASIDE_SLOTS + 1)]
        free = [slot for slot in slots if not os.path.lexists(slot)]
        target = free[0] if free else min(slots, key=lambda slot: os.lstat(slot).st_mtime)
        for suffix in ("-wal", "-shm", ""):  # the file itself last: killed in between, we come here again
            with contextlib.suppress(FileNotFoundError):
                os.replace(self.path + suffix, target + suffix)
        log.error(
            "The ledger was damaged (%s). It is kept as %s, and a clean one was begun: a guest that hung before now is"
            " found only once it has answered again. Check the disk.",
            error,
            target,
        )

    def _find(self) -> tuple[int, int]:
        found = os.stat(self.path)
        return found.st_dev, found.st_ino

    def _check_in_place(self) -> None:
        # SQLite would go on writing to a file that is no longer in the directory, and call it success.
        try:
            in_place = self._find() == self._identity
        except FileNotFoundError:
            in_place = False
        if not in_place:
            raise LedgerError(self.path, "was removed or replaced while in use; restart the resource", restart=True)

    def _error(self, error: BaseException) -> LedgerError:
        if _is_corrupt(error):
            return LedgerError(self.path, f"is damaged ({error}); a new start sets it aside", restart=True)
        why = str(error)
        remedy = next((remedy for sign, remedy in _REMEDIES if sign in why), "check the disk and state.directory")
        return LedgerError(self.path, f"{why}; {remedy}")


def _is_corrupt(error: BaseException) -> bool:
    # "malformed" and "not a database" are the only failures that Python raises as the bare class.
    return type(error) is sqlite3.DatabaseError
