"""masakari-qga status: the guests of this node and what is being reported about them, once or again and again."""

from __future__ import annotations

import argparse
import os
import re
import signal
import threading
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, Callable

from qga_ra import table
from qga_ra.enquiry import Failed, ask
from qga_ra.overview import frame, header
from qga_ra.screen import Gone, Screen, Wakings, animated, coloured
from qga_ra.supervision import Places
from qga_ra.terminal import plain, records, show

USUAL, SHORTEST, LONGEST = 2.0, 1.0, 3600.0  # seconds between two tables
CLOCK = 1.0  # seconds between two looks at a screen on which nothing came: it says how old it is
QUIT, REDRAW = b"qQ\x04", b"\x0c"  # keys


def add(commands: Any) -> None:
    """commands: argparse's subparsers."""
    sub = commands.add_parser("status", help="the guests of this node and what is being reported about them")
    form = sub.add_mutually_exclusive_group()
    form.add_argument("--watch", nargs="?", type=seconds, const=USUAL, metavar="SECONDS",
                      help="again and again, every 2 seconds or so many, until q or Ctrl-C: what needs attention"
                           " first, in whatever room the terminal has; where there is none, one table after the"
                           " other")  # fmt: skip
    form.add_argument("--json", action="store_true", help="everything, for programs")
    sub.set_defaults(call=status)


def status(options: argparse.Namespace, places: Places) -> int:
    if options.watch is not None:
        return watch(options.watch, places)
    reply = ask({"do": "status"}, places)
    if options.json:
        show(reply)
    else:
        print("\n".join(told(reply)))
    return 0


def told(reply: Mapping[str, Any]) -> list[str]:
    return [*header(reply), "", *table.whole(records(reply.get("guests")))]


def watch(interval: float, places: Places) -> int:
    """Until it is ended. A helper that does not answer is said to be so, and asked again."""
    if not animated(1, os.environ):
        return _print(interval, places)
    keys = 0 if os.isatty(0) else None
    with Wakings() as wakings:
        try:
            with Screen(1, keys, coloured(os.environ)) as screen:
                _Live(screen, wakings, interval, places).run(keys)
        except Gone:
            if not wakings.ended:
                return 1
    if wakings.ended not in (0, signal.SIGINT):  # the terminal is as it was: end as whoever sent that expects it
        signal.signal(wakings.ended, signal.SIG_DFL)
        os.kill(os.getpid(), wakings.ended)
    return 0


class _Live:
    """The table on a screen. Asks in a thread: a helper that is stuck keeps neither keys nor signals waiting."""

    def __init__(self, screen: Screen, wakings: Wakings, interval: float, places: Places) -> None:
        self._screen, self._wakings, self._interval, self._places = screen, wakings, interval, places
        self._came: Callable[[], dict[str, Any]] | None = None  # set by the thread at its end: the reply, or raises
        self._asking = False
        self._reply: dict[str, Any] | None = None
        self._heard, self._trouble = 0.0, ""

    def run(self, keys: int | None) -> None:
        """Until a signal or a key ends it. keys: where they are typed. Raises Gone."""
        due = time.monotonic()
        while not self._wakings.ended:
            now = time.monotonic()
            self._take(now)
            if now >= due and not self._asking:
                self._asking, due = True, now + self._interval
                threading.Thread(target=self._ask, name="asking", daemon=True).start()
            width, height = self._screen.size()
            self._screen.draw(frame(self._reply, self._trouble, now - self._heard, width, height, _utc()))
            until = min(due, now + CLOCK) if not self._asking else now + CLOCK
            numbers, typed = self._wakings.wait(until - now, keys)
            if typed is None:
                keys, typed = None, b""
            if any(key in QUIT for key in typed):
                return
            if signal.SIGTSTP in numbers:
                self._stand_by()
            elif signal.SIGCONT in numbers:
                self._screen.resume()
            if signal.SIGWINCH in numbers or any(key in REDRAW for key in typed):
                self._screen.redraw()

    def _ask(self) -> None:
        try:
            reply = ask({"do": "status"}, self._places)
            self._came = lambda: reply
        except Exception as error:
            failure = error

            def fail() -> dict[str, Any]:
                raise failure

            self._came = fail
        self._wakings.wake()

    def _take(self, now: float) -> None:
        came, self._came = self._came, None
        if came is None:
            return
        self._asking = False
        try:
            self._reply, self._heard, self._trouble = came(), now, ""
        except Failed as error:
            self._trouble = str(error)

    def _stand_by(self) -> None:
        """As the shell wants it: stopped, with the terminal as it was, until it continues us."""
        self._screen.leave()
        before = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, before)
        self._screen.resume()


def _print(interval: float, places: Places) -> int:
    """One table after the other, for a file, a pipe or a terminal that can do no more."""
    try:
        while True:
            due = time.monotonic() + interval
            try:
                lines = told(ask({"do": "status"}, places))
            except Failed as error:
                lines = [f"no answer: {plain(error, 1000)}"]
            print("\n".join([f"time      {_utc()}", *lines, ""]), flush=True)
            time.sleep(max(due - time.monotonic(), 0.0))
    except KeyboardInterrupt:  # how it is meant to be ended
        return 0


def seconds(text: str) -> float:
    """Raises argparse's error, which ends the command with 2."""
    found = re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,3})?", text)
    if not found or not SHORTEST <= float(text) <= LONGEST:
        raise argparse.ArgumentTypeError(f"{plain(text, 20)}: give {SHORTEST:g} to {LONGEST:g} seconds")
    return float(text)


def _utc() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
