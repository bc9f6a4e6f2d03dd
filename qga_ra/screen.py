"""A terminal that is drawn on as a whole, and given back as it was, however that ends; and what wakes who draws."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import termios
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any

from qga_ra.terminal import BAD, BOLD, DIM, GOOD, WARN, Line

# xterm's control sequences, which every terminal in use knows, or leaves alone. The alternate screen keeps what was on
# the terminal; one without any is left with its last line cleared for the prompt.
ENTER, LEAVE = b"\x1b[?1049h\x1b[?25l", b"\x1b[0m\x1b[%d;1H\x1b[?25h\x1b[?1049l\r\x1b[J"
HIDE, CLEAR, REST = b"\x1b[?25l", b"\x1b[0m\x1b[2J", b"\x1b[K"
COLOURS = {BAD: "1;31", WARN: "33", GOOD: "32", BOLD: "1", DIM: "2"}
USUAL_SIZE = (80, 24)  # columns and lines of a terminal that does not say; serial lines don't
LARGEST = 1000  # columns and lines
STALLED = 2  # seconds that a terminal which takes nothing keeps us from ending

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
OTHERS = (signal.SIGWINCH, signal.SIGTSTP, signal.SIGCONT)
ASKED = 0  # in the place of a signal's number: somebody has called `wake`


class Gone(Exception):
    """The terminal is not there any more, or takes nothing."""


def animated(descriptor: int, environment: Mapping[str, str]) -> bool:
    """Whether this is a terminal on which a cursor can be moved."""
    return os.isatty(descriptor) and environment.get("TERM", "dumb") not in ("", "dumb")


def coloured(environment: Mapping[str, str]) -> bool:
    """See no-color.org. Of a terminal."""
    return not environment.get("NO_COLOR")


class Wakings:
    """The signals that come, in a queue: a handler that did more could come in the midst of anything.

    ended: the one that is to end us, 0 for none.
    """

    def __init__(self) -> None:
        # Never closed: a thread may call `wake` until the process ends.
        self._reading, self._writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._before: dict[int, Any] = {}
        self.ended = 0

    def __enter__(self) -> Wakings:
        signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        handlers: dict[int, Callable[[int, FrameType | None], None]] = {
            **dict.fromkeys(OTHERS, lambda *_: None),
            **dict.fromkeys(ENDS, self._end),
            signal.SIGALRM: _stalled,
        }
        for number, handler in handlers.items():
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                self._before[number] = signal.signal(number, handler)
        return self

    def __exit__(self, *_: object) -> None:
        signal.alarm(0)
        for number, handler in self._before.items():
            signal.signal(number, handler or signal.SIG_DFL)
        signal.set_wakeup_fd(-1)

    def wake(self) -> None:
        """From any thread."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._writing, bytes([ASKED]))

    def wait(self, seconds: float, keys: int | None) -> tuple[list[int], bytes | None]:
        """What has come, after at most so many seconds: numbers of signals, and what was typed; None if nobody can type
        there any more."""
        watched = [self._reading] if keys is None else [self._reading, keys]
        ready = select.select(watched, [], [], max(seconds, 0.0))[0]
        numbers = os.read(self._reading, 4096) if self._reading in ready else b""
        typed: bytes | None = b""
        if keys is not None and keys in ready:
            try:
                typed = os.read(keys, 4096) or None
            except OSError:
                typed = None
        return list(numbers), typed

    def _end(self, number: int, _: FrameType | None) -> None:
        self.ended = number
        signal.alarm(STALLED)


class Screen:
    """terminal: its descriptor. keys: one of the same terminal to read from, None if nothing is typed there. colour:
    whether looks are shown."""

    def __init__(self, terminal: int, keys: int | None, colour: bool) -> None:
        self._terminal, self._keys, self._colour = terminal, keys, colour
        self._modes = None if keys is None else termios.tcgetattr(keys)
        self._drawn: list[bytes] = []
        self._ours = False

    def __enter__(self) -> Screen:
        self.resume()
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def resume(self) -> None:
        """Take the terminal. If it is ours already, somebody else may have used it meanwhile. Raises Gone."""
        try:
            self._set(0, termios.ECHO | termios.ICANON)
            self._write(HIDE if self._ours else ENTER)
        except BaseException:
            self.leave()
            raise
        self._ours = True
        self.redraw()

    def leave(self) -> None:
        """Give it back. One that is gone, or takes nothing, keeps nobody."""
        self._set(termios.IXON, 0)  # what was stopped with Ctrl-S goes on
        signal.alarm(STALLED)
        with contextlib.suppress(Gone):
            self._write(LEAVE % self.size()[1])
        signal.alarm(0)
        self._set(0, 0)
        self._ours = False

    def redraw(self) -> None:
        """What is on it is not known any more."""
        self._drawn = []

    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        try:
            found: Sequence[int] = os.get_terminal_size(self._terminal)
        except OSError:
            found = (0, 0)
        columns, lines = (own or usual for own, usual in zip(found, USUAL_SIZE))
        return min(columns, LARGEST), min(lines, LARGEST)

    def draw(self, lines: Sequence[Line]) -> None:
        """Only what is different from before is written, and in one piece, so that nothing flickers. Raises Gone."""
        width, height = self.size()
        wanted = [self._painted(line, width) for line in lines[:height]]
        wanted += [REST] * (height - len(wanted))
        afresh = len(self._drawn) != height
        before = [REST] * height if afresh else self._drawn
        parts = [b"\x1b[%d;1H%b" % (number + 1, line) for number, line in enumerate(wanted) if line != before[number]]
        self._drawn = wanted
        self._write(b"".join([CLEAR, *parts] if afresh else parts))

    def _set(self, no_input: int, no_local: int) -> None:
        """The modes as they were found, without these of input and of what is local."""
        if self._keys is not None and self._modes is not None:
            modes = [self._modes[0] & ~no_input, *self._modes[1:3], self._modes[3] & ~no_local, *self._modes[4:]]
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._keys, termios.TCSANOW, modes)

    def _painted(self, line: Line, width: int) -> bytes:
        parts = [f"\x1b[{COLOURS[look]}m{text}\x1b[0m" if look and self._colour else text for text, look in line]
        # Behind a text that fills the line the cursor still stands on its last sign, and would clear that.
        full = sum(len(text) for text, _ in line) >= width
        return "".join(parts).encode("ascii") + (b"" if full else REST)

    def _write(self, content: bytes) -> None:
        try:
            while content:
                select.select([], [self._terminal], [])  # whoever shares it may have made it one that does not wait
                content = content[os.write(self._terminal, content) :]
        except OSError as error:
            raise Gone(error.strerror or str(error)) from None


def _stalled(*_: object) -> None:
    raise TimeoutError("it takes nothing")
