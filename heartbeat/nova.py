"""Asks Nova once in each interval what it expects of this host: a thread that owns no guest's state.

Each round is a process that ends (heartbeat/backends/nova.py), so that nothing of its 43 MB stays. Its answer goes into
the owner's queue whole, or not at all.
"""

from __future__ import annotations

import json
import logging
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from heartbeat.expectation import Answer, Question, Server
from heartbeat.message import Heard, Message, Unheard
from heartbeat.sender import ENVIRONMENT, START_SECONDS
from heartbeat.settings import plain
from heartbeat.terms import Consent, truth, wish

log = logging.getLogger(__name__)

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "backends", "nova.py")
ROUND = 60.0  # seconds that a round may take at most; longer, and its beginning is too old to stand beside its end
SPREAD = 0.25  # of the interval, by which a round is earlier or later
SLOWEST = 600.0  # seconds between two rounds while it does not answer


class Wanted(NamedTuple):
    """options: to reach Nova, from heartbeat.connections. host: this host's name there. key: of the metadata that opt
    in. interval: seconds."""

    options: Mapping[str, Any]
    host: str
    key: str
    interval: float


class Nova:
    """wanted: None while it is not to be asked. question: fetches from the owner loop what to ask, None for nothing.
    post: puts what comes of it into the owner's queue. chance: a number from 0 to 1."""

    def __init__(
        self,
        wanted: Wanted | None,
        question: Callable[[], Question | None],
        post: Callable[[Message], None],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._wanted, self._question, self._post, self._chance = wanted, question, post, chance
        self._auth = ""
        self._process: subprocess.Popen[str] | None = None
        self._stopping, self._changed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="nova", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def configure(self, wanted: Wanted | None) -> None:
        """From any thread; from the next round on."""
        if wanted != self._wanted:
            self._wanted, self._auth = wanted, ""
            self._changed.set()

    def stop(self) -> None:
        self._stopping.set()
        self._changed.set()
        process = self._process
        if process:
            process.kill()
        if self._thread.is_alive():
            self._thread.join(5.0)

    def _run(self) -> None:
        failures = -1  # the first round comes anywhere in the interval: a thousand helpers may have begun at once
        while not self._stopping.is_set():
            wanted = self._wanted
            pause = None if wanted is None else pace(wanted.interval, failures, self._chance())
            if self._changed.wait(pause):
                self._changed.clear()
                failures = -1
                continue
            if wanted is None or self._stopping.is_set():
                continue
            try:
                heard = self.round(wanted)
            except Exception:
                log.exception("a round with Nova failed")
                heard = False
            failures = 0 if heard else max(failures, 0) + 1

    def round(self, wanted: Wanted) -> bool:
        """Ask, and post what comes of it. Whether that is an answer."""
        question = self._question()
        if question is None:
            return True
        asked = time.monotonic()
        try:
            lines = self._spoken(wanted, question)
            answer, self._auth = understood(lines, question, asked)
        except (Unusable, OSError, subprocess.TimeoutExpired) as error:
            self._auth = ""
            if not self._stopping.is_set():
                self._post(Unheard(_why(error)))
            return False
        self._post(Heard(answer))
        return True

    def _spoken(self, wanted: Wanted, question: Question) -> str:
        request = {
            "options": wanted.options, "host": wanted.host, "key": wanted.key, "since": question.since,
            "singles": question.singles, "auth": self._auth,
        }  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable or "/usr/bin/python3", "-I", SCRIPT],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd="/",
            env=ENVIRONMENT,
        )  # fmt: skip
        with self._process as process:
            try:
                return process.communicate(json.dumps(request) + "\n", START_SECONDS + ROUND)[0]
            except subprocess.TimeoutExpired:
                process.kill()
                raise
            finally:
                self._process = None


class Unusable(Exception):
    """No answer, for a reason that an operator can read."""


def pace(interval: float, failures: int, chance: float) -> float:
    """Seconds until the next round. failures: those in a row, -1 before the first round of all."""
    if failures < 0:
        return interval * chance
    usual = interval if not failures else min(interval * 2.0 ** min(failures, 10), SLOWEST)
    return usual * (1 - SPREAD + 2 * SPREAD * chance)


def understood(lines: str, question: Question, asked: float) -> tuple[Answer, str]:
    """What the process has said, and the token for the next. Raises Unusable for anything but a whole answer."""
    found: dict[str, list[Server]] = {"server": [], "single": []}
    try:
        for line in lines.splitlines():
            (word, content), = json.loads(line).items()
            if word in found:
                found[word].append(_server(content, asked))
            elif word == "later":
                raise Unusable(plain(str(content), 300))
            elif word == "end" and content["servers"] == len(found["server"]):
                servers, singles = (tuple(found[word]) for word in ("server", "single"))
                return Answer(asked, not question.since, servers, singles, content["date"]), str(content["auth"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Unusable("its process answers what we do not understand; check that our package is whole") from None
    raise Unusable("its process ended before its answer did; check the memory of this node")


def _server(it: Mapping[str, Any], asked: float) -> Server:
    enabled = None if it["enabled"] is None else truth(it["enabled"]) or it["enabled"].strip().lower() == "t"
    metadata, specs = (wish((key, value) for key, value in it[name]) for name in ("metadata", "specs"))
    consent = Consent(enabled, metadata, it["flavor"], specs)
    return Server(it["uuid"], it["host"], it["vm_state"], it["task"], it["up"], consent, asked)


def _why(error: Exception) -> str:
    if isinstance(error, subprocess.TimeoutExpired):
        return f"no answer within {error.timeout:g} s; check that Keystone and Nova answer"
    return f"it cannot be asked: {error.strerror}" if isinstance(error, OSError) else str(error)
