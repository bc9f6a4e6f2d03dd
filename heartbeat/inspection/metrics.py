"""Metrics, where they are switched on: whether somebody who wants them gets them."""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Iterator

from heartbeat import belongings, privileges, trial
from heartbeat.configuration import Configuration
from heartbeat.inspection.finding import OK, WARNING, Finding
from heartbeat.metrics import LISTEN, TEXTFILE, places
from heartbeat.metrics.outlet import LIBRARY, MISSING

STEP = "metrics"
FRESH = 60.0  # seconds; the file is replaced every 15
LIMIT = 5.0


def obstacle(config: Configuration) -> str:
    """What keeps the helper's user from writing metrics.textfile, "" if nothing does or there is none. To be called
    before any thread is started."""
    path = config.text(TEXTFILE)
    return trial.answer(lambda: _as_helper(config, path), LIMIT) if path else ""


def look(config: Configuration, running: bool, obstacle: str) -> Iterator[Finding]:
    """Nothing, while nothing is switched on. running: whether a helper is. obstacle: see there."""
    listen, path = config.text(LISTEN), config.text(TEXTFILE)
    if not listen and not path:
        return
    if importlib.util.find_spec(LIBRARY) is None:
        yield Finding(WARNING, STEP, "there are none: the Python module prometheus_client is missing", MISSING)
        return
    if listen:
        yield _port(listen, running)
    if path:
        yield _file(path, running, obstacle)


def _port(listen: str, running: bool) -> Finding:
    who = places.listening(listen)
    if who == places.OURS:
        return Finding(OK, STEP, f"metrics are served at http://{listen}/metrics")
    if who == places.OTHERS:
        return Finding(WARNING, STEP, f"{listen} is another program's", f"ss -ltnp tells whose; or change {LISTEN}")
    if running:
        return Finding(WARNING, STEP, f"nobody answers at {listen}", f"see the log; {_anew(LISTEN)}")
    return Finding(OK, STEP, f"{listen} is free for metrics")


def _file(path: str, running: bool, obstacle: str) -> Finding:
    if obstacle:
        text, _, remedy = obstacle.partition(": ")
        return Finding(WARNING, STEP, f"{TEXTFILE} is not written: {text}", remedy)
    if not running:
        return Finding(OK, STEP, f"metrics can be written to {path}")
    try:
        age = time.time() - os.stat(path).st_mtime
    except OSError as error:
        return Finding(WARNING, STEP, f"{path}: {error.strerror}", f"see the log; {_anew(TEXTFILE)}")
    if age > FRESH:
        return Finding(WARNING, STEP, f"{path} was last written {age:.0f} s ago", f"see the log; {_anew(TEXTFILE)}")
    return Finding(OK, STEP, f"metrics are written to {path}")


def _anew(option: str) -> str:
    return f"if {option} is new, the helper takes it with a reload: pcs resource update"


def _as_helper(config: Configuration, path: str) -> str:
    """In a process of its own, which stays that user."""
    user = belongings.ROOT
    if os.geteuid() == 0:
        try:
            user = privileges.find(config.text("state.user"))
        except belongings.Unfit:
            pass  # then it stays root, and another step says so
        os.setgroups(user.groups)
        os.setegid(user.gid)
        os.seteuid(user.uid)
    return places.obstacle(path, user.name)
