"""The helper's end of the process that reads guests' consoles (heartbeat.evidence.reader)."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import re
import socket
import subprocess
import sys
import threading
import time

from heartbeat import privileges
from heartbeat.evidence import reader
from heartbeat.sender import ENVIRONMENT
from heartbeat.settings import plain

log = logging.getLogger(__name__)

SCRIPT = os.path.abspath(reader.__file__)
START_LIMIT = 3.0  # seconds until it has given up what it has to: it is a Python that begins
LIMIT = 0.4  # seconds for one console, which is a local file; on a server that is away it may take for ever
REPLY = reader.TAIL + 256
TEXT = 2 * reader.TAIL  # characters that a tail may have, once what a terminal would obey is spelled out
_COLOURS = re.compile(r"\x1b\[[0-9;?]{0,32}[A-Za-z]")
_UNPRINTABLE = re.compile(r"[^\n\t -~]")


class Console:
    """Asked by the threads that capture, one at a time. Its end costs the consoles, and nothing else."""

    def __init__(self, pattern: str) -> None:
        """To be made while we are root. pattern: of a console's path, with {uuid}; "" for none."""
        self._lock, self._numbers = threading.Lock(), itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._owed = 0  # answers that have not come yet, to requests that were given up
        self._why = "evidence.console is empty" if not pattern else ""
        if pattern:
            self._start(pattern)

    def _start(self, pattern: str) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [sys.executable or "/usr/bin/python3", "-I", "-S", SCRIPT, pattern],
                    stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
                    env=ENVIRONMENT,
                    # No thread has been started yet, and this one lives as long as the helper. Whoever has seen that
                    # end finds nothing of it, not even a Python that begins.
                    preexec_fn=privileges.leash,  # noqa: PLW1509
                )  # fmt: skip
            except OSError as error:
                self._why = f"the console reader cannot be started: {error.strerror}"
                ours.close()
                return
        self._channel = ours

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def become(self, uid: int, gid: int) -> None:
        """Has the process give up what it does not need, and be whom we are from now on."""
        if self._channel is None:
            return
        with self._lock:
            try:
                self._channel.settimeout(START_LIMIT)
                self._channel.send(b"become %d %d" % (uid, gid))
                if self._channel.recv(REPLY) != b"ready":
                    raise EOFError
            except (OSError, EOFError):
                self._gone("the console reader did not begin")

    def tail(self, uuid: str) -> tuple[str, str]:
        """The end of this guest's console, plain ASCII, and "", or "" and the reason why there is none."""
        with self._lock:
            if self._channel is None:
                return "", self._why
            number = b"%d" % next(self._numbers)
            try:
                self._channel.settimeout(LIMIT)
                if self._owed and not self._settled():
                    return "", "the console reader still waits for another guest's console; see where that lies"
                self._channel.send(number + b" " + uuid.encode("ascii", "replace")[:64])
                return self._answer(number)
            except socket.timeout:
                self._owed += 1
                return "", f"the console did not come within {LIMIT:g} s; see what it lies on"
            except (OSError, EOFError):
                self._gone("the console reader has ended; a restart of the resource starts it again")
                return "", self._why

    def close(self) -> None:
        """Ends the process."""
        with self._lock:
            self._gone("the helper ends", quiet=True)

    def _answer(self, number: bytes) -> tuple[str, str]:
        assert self._channel is not None
        until = time.monotonic() + LIMIT
        while True:
            packet = self._channel.recv(REPLY)
            if not packet:
                raise EOFError
            came, _, answer = packet.partition(b" ")
            if came == number:
                break
            if time.monotonic() > until:
                raise socket.timeout
        word, _, content = answer.partition(b"\n")
        if word == b"ok":
            return shown(content), ""
        return "", plain(answer[3:].decode("ascii", "replace"), 120) or "no reason given"

    def _settled(self) -> bool:
        """Whether the answers that are owed have come meanwhile."""
        assert self._channel is not None
        self._channel.settimeout(0.0)
        with contextlib.suppress(BlockingIOError):
            while self._owed:
                if not self._channel.recv(REPLY):
                    raise EOFError
                self._owed -= 1
        self._channel.settimeout(LIMIT)
        return not self._owed

    def _gone(self, why: str, quiet: bool = False) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
            self._why = why
            if not quiet:
                log.warning("no console is kept from now on: %s", why)
        if self._process is not None:
            # Without its channel it ends by itself, unless it hangs in the kernel, where no signal would end it either.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(LIMIT)
                self._process = None


def shown(raw: bytes) -> str:
    """What a guest has written, so that a terminal, an editor or a mail has nothing to obey in it."""
    text = raw.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
    text = _COLOURS.sub("", text)
    return _UNPRINTABLE.sub(_spelled, text)[-TEXT:]


def _spelled(found: re.Match[str]) -> str:
    number = ord(found.group())
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"
