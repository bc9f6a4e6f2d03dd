"""A terminal for programs that draw on one: a real pty, with a terminal emulator (pyte) at its other end."""
from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Callable, Mapping, Sequence

import pyte

from tests.harness.wait import until

ALTERNATE, CURSOR = 1049 << 5, 25 << 5      # pyte's numbers of private modes
# All that may come beside printable ASCII: what we draw with, and the ends of lines.
OURS = re.compile(rb"\x1b\[(?:\?(?:1049|25)[hl]|[0-9;]*m|[0-9]+;1H|2?J|K)|\r|\n")


class Terminal:
    """A program in a terminal of its own, until the end of the `with`. modes: as they were before."""

    def __init__(self, arguments: Sequence[str], columns: int, lines: int, environment: Mapping[str, str],
                 prepare: Callable[[], object] = lambda: None) -> None:
        self.screen = pyte.HistoryScreen(columns, lines, history=10_000)
        self._stream, self._lock, self.raw = pyte.ByteStream(self.screen), threading.Lock(), b""
        self.master, slave = os.openpty()
        self._slave = slave     # kept open: a terminal outlives the programs in it
        self.resize(columns, lines)
        self.modes = termios.tcgetattr(slave)

        def begin() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            prepare()

        self.process = subprocess.Popen(arguments, stdin=slave, stdout=slave, stderr=slave, env=dict(environment),
                                        start_new_session=True, preexec_fn=begin)
        self._reading = threading.Event()
        self._over = False
        self.listen()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._over = True
        self._reading.set()
        self._thread.join()
        for descriptor in (self.master, self._slave):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def listen(self, on: bool = True) -> None:
        """Off: what the program writes stays in the pty, until that is full."""
        self._reading.set() if on else self._reading.clear()

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def resize(self, columns: int, lines: int) -> None:
        with self._lock:
            self.screen.resize(lines, columns)
            fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def display(self) -> list[str]:
        with self._lock:
            return [line.rstrip() for line in self.screen.display]

    def shows(self, text: str) -> None:
        """Wait until it stands on the screen."""
        until(lambda: text in "\n".join(self.display()), f"{text!r} on the screen")

    def ends(self) -> int:
        """Wait for it; the status as of subprocess."""
        until(lambda: self.process.poll() is not None, "the end of it")
        assert self.process.returncode is not None
        return self.process.returncode

    def given_back(self) -> None:
        """Wait until the terminal is as it was found."""
        until(lambda: self.restored, "the terminal as it was found")

    @property
    def alternate(self) -> bool:
        return ALTERNATE in self.screen.mode

    @property
    def restored(self) -> bool:
        """Whether the terminal is as it was found: its modes, its screen and its cursor."""
        modes = termios.tcgetattr(self._slave) == self.modes
        with self._lock:
            return modes and not self.alternate and not self.screen.cursor.hidden

    @property
    def scrolled(self) -> int:
        """Lines that went away at the top."""
        return len(self.screen.history.top)

    def foreign(self) -> bytes:
        """What was written beside printable ASCII and our own control sequences."""
        with self._lock:
            return bytes(sign for sign in OURS.sub(b"", self.raw) if not 32 <= sign < 127)

    def _read(self) -> None:
        while not self._over:
            self._reading.wait()
            try:
                if not select.select([self.master], [], [], 0.05)[0]:
                    continue
                part = os.read(self.master, 65536)
            except OSError:  # a test has closed it
                return
            with self._lock:
                self.raw += part
                self._stream.feed(part)
