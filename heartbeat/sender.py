"""The process that speaks to a receiver for the helper: both ends of its pipe.

keystoneauth1 costs 35 MB and 0.1 s of CPU, for something that most nodes do once a month, and what another package's
backend does nobody knows. So a backend is loaded by a child that is started when there is something to send and ends
when there is nothing more, or when the helper is gone. Lines of JSON go both ways; the first holds the credentials,
which therefore never stand in a command line or an environment.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

if __name__ == "__main__":  # python3 -I: nothing of ours is on the path
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from heartbeat import plugins, privileges
from heartbeat.backends import Delivered, Later, Outcome, Report, Sought
from heartbeat.outcome import DEEDS, LOST, STATUSES, Word
from heartbeat.settings import plain, printable

MAX_LINE = 8192
START_SECONDS = 10.0  # to load keystoneauth1 on a busy node
END_SECONDS = 2.0
_OUT_OF_TURN = "the sender answers out of turn"
# The caller's environment is Pacemaker's and says nothing that we need.
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


class Sender:
    """A backend, as its courier sees it. Every call ends within twice the timeout of a request and START_SECONDS.

    options: from heartbeat.connections. name: the backend's.
    """

    def __init__(self, options: Mapping[str, Any], name: str = "masakari") -> None:
        self.name = name
        self._options = self._started_with = options
        self._process: subprocess.Popen[bytes] | None = None
        self._unread = b""

    def configure(self, options: Mapping[str, Any]) -> None:
        """From the next start of the child on; it is ended when it is next asked. From any thread."""
        self._options = options

    def begin(self) -> None:
        """Starts the child, which loads keystoneauth1 and waits: no token is fetched."""
        with contextlib.suppress(OSError):  # whoever needs it tries again, and says why it fails
            self._start()

    def prepare(self) -> Later | None:
        outcome = self._ask({}, sends=False)
        return outcome if isinstance(outcome, Later) else None

    def deliver(self, report: Report) -> Outcome:
        outcome = self._ask({"report": report._asdict()}, sends=True)
        return outcome if isinstance(outcome, (Delivered, Later)) else Later(_OUT_OF_TURN, uncertain=True)

    def look(self, it: Sought) -> Word | Later:
        """How far the receiver has come with a report. Only of a backend that can tell."""
        found = self._ask({"look": it._asdict()}, sends=False)
        return found if isinstance(found, (Word, Later)) else Later(_OUT_OF_TURN)

    def close(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    def interrupt(self) -> None:
        process = self._process
        if process is not None:
            process.terminate()  # it may have something to end first; see main()

    def _ask(self, request: Mapping[str, Any], sends: bool) -> Outcome | Word | None:
        seconds = 2 * self._options["timeout"] + START_SECONDS
        until = time.monotonic() + seconds
        try:
            self._start()
        except OSError as error:
            return Later(f"the sender cannot be started: {error.strerror}", whole=True)
        try:
            self._write(request)
            return _outcome(self._line(until))
        except TimeoutError:
            self.interrupt()
            keystone = "Keystone and " if "auth" in self._options else ""
            who = plugins.OURS[self.name].label if self.name in plugins.OURS else self.name
            why = f"no answer within {seconds:g} s; check that {keystone}{who} answer, or raise {self.name}.timeout"
        except (OSError, EOFError):
            assert self._process is not None
            self._process.kill()  # it has closed its pipe, which it does only by ending
            status = self._process.wait()
            remedy = "check the memory of this node" if status < 0 else "masakari-qga check has more"
            why = f"the sender ended with status {status}; {remedy}"
        except ValueError as error:
            why = f"the sender answers what we do not understand: {error}; check that our package is installed whole"
        self.close()
        return Later(why, uncertain=sends, whole=True)

    def _start(self) -> None:
        if self._process is not None and (self._options is not self._started_with or self._process.poll() is not None):
            self.close()
        if self._process is None:
            self._started_with, self._unread = self._options, b""
            self._process = subprocess.Popen(
                [sys.executable or "/usr/bin/python3", "-I", os.path.abspath(__file__), self.name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                cwd="/",
                env=ENVIRONMENT,
            )
            with contextlib.suppress(OSError):  # a child that has ended already is found out when it is asked
                self._write(self._started_with)

    def _write(self, document: Mapping[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        # Far below the 64 KiB that a pipe holds, and never two of them unread: this does not block.
        self._process.stdin.write(json.dumps(document).encode() + b"\n")

    def _line(self, until: float) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        while b"\n" not in self._unread:
            if len(self._unread) > MAX_LINE:
                raise ValueError("a line without end")
            left = until - time.monotonic()
            if left <= 0 or not poll.poll(math.ceil(left * 1000)):
                raise TimeoutError
            part = os.read(descriptor, MAX_LINE)
            if not part:
                raise EOFError
            self._unread += part
        line, _, self._unread = self._unread.partition(b"\n")
        return line


def _outcome(line: bytes) -> Outcome | Word | None:
    """None: ready. Raises ValueError for what the child cannot have meant."""
    document = json.loads(line)
    if document == {"ready": True}:
        return None
    if isinstance(document, dict) and isinstance(document.get("delivered"), str):
        return Delivered(document["delivered"][:64])
    word = document.get("word") if isinstance(document, dict) else None
    if isinstance(word, list) and len(word) == len(Word._fields) and all(isinstance(it, str) for it in word):
        found = Word(*word)
        if found.status in {*STATUSES, LOST} and found.deed in DEEDS:
            known = found.said.isascii() and found.said.isprintable()  # as ours send it
            return found._replace(said=found.said[:200] if known else plain(found.said, 100))
    later = document.get("later") if isinstance(document, dict) else None
    if not isinstance(later, dict) or not isinstance(later.get("reason"), str):
        raise ValueError(printable(line.decode("utf-8", "replace")))
    after = later.get("after")
    if after is not None and not (isinstance(after, (int, float)) and 0 <= after <= 3600):
        raise ValueError(f"after {printable(str(after))}")
    flags = {name: later.get(name) is True for name in ("uncertain", "renew", "whole")}
    return Later(later["reason"][:500], after, **flags)


def main() -> None:
    """The child. Reads the options and then requests, each a line, and answers each with a line."""
    privileges.confine()
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)  # whatever a library prints must not stand among the answers
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    abandoned: list[Callable[[], None]] = []
    threading.Thread(target=_read, args=(requests, abandoned), daemon=True).start()
    options, name = json.loads(requests.get()), sys.argv[1]
    try:
        backend = plugins.load(name)(options)
    except Exception as error:
        missing = Later(_unloadable(name, error), 60.0, whole=True)
        while requests.get():
            answers.write(_answer(missing))
    if hasattr(backend, "abandon"):  # without, the signal ends us even in the midst of a name's resolution
        abandoned.append(backend.abandon)
        signal.signal(signal.SIGTERM, lambda *_: _end(abandoned))
    while True:
        request = json.loads(requests.get())
        try:
            if "report" in request:
                outcome = backend.deliver(Report(**request["report"]))
            elif "look" in request:
                outcome = backend.look(Sought(**request["look"]))
            else:
                outcome = backend.prepare()
        except Exception as error:  # of another package's backend; ours do not raise
            outcome = Later(f"backend {name} fails: {plain(repr(error))}", uncertain="report" in request)
        answers.write(_answer(outcome))


def _unloadable(name: str, error: Exception) -> str:
    if not isinstance(error, ImportError):
        return f"backend {name} cannot be begun: {plain(repr(error))}; check its section in the configuration"
    if name not in plugins.OURS:
        return f"backend {name} cannot be loaded: {plain(str(error))}; check the package that brings it"
    module = str(error.name).partition(".")[0]
    return f"{printable(module)} cannot be imported; install python3-{plain(module, 40)}"


def _read(requests: queue.SimpleQueue[bytes], abandoned: list[Callable[[], None]]) -> None:
    for line in sys.stdin.buffer:
        requests.put(line)
    # The helper is gone, or wants us gone. A request that is just being made must not be finished: nobody looks at the
    # guest any more, and whoever does next sends it again.
    _end(abandoned)


def _end(abandoned: list[Callable[[], None]]) -> None:
    for abandon in abandoned:
        abandon()
    os._exit(0)


def _answer(outcome: Outcome | Word | None) -> bytes:
    if outcome is None:
        document: dict[str, Any] = {"ready": True}
    elif isinstance(outcome, Delivered):
        document = {"delivered": outcome.reference}
    elif isinstance(outcome, Word):
        document = {"word": list(outcome)}
    else:
        document = {"later": outcome._asdict()}
    return json.dumps(document).encode() + b"\n"


if __name__ == "__main__":
    main()
