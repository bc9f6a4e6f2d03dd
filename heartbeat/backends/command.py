"""One run of the operator's executable, as Pacemaker runs alerts: what happened stands in its environment.

Never through a shell, in a process group of its own, which is killed when the time is over, when the executable has
ended and left something behind, and when the helper goes. Runs in a process of its own: see heartbeat/sender.py.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shlex
import signal
import stat
import subprocess
import time
from collections.abc import Mapping
from typing import Any

from heartbeat import __version__
from heartbeat.backends import CLEARED, SLOW, Delivered, Later, Outcome, Report
from heartbeat.settings import plain, printable

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/"}
MAX_OUTPUT = 4096  # bytes that are looked at; what follows is read and dropped
GRACE = 2.0  # seconds between TERM and KILL


class Command:
    """options: path, arguments, timeout."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        self._group = 0

    def prepare(self) -> Later | None:
        why = _objection(str(self._options["path"]), str(self._options["arguments"]))
        return Later(why, SLOW, whole=True) if why else None

    def deliver(self, report: Report) -> Outcome:
        refusal = self.prepare()
        if refusal:
            return refusal
        path, arguments = str(self._options["path"]), shlex.split(str(self._options["arguments"]))
        try:
            process = subprocess.Popen(
                [path, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={**ENVIRONMENT, **variables(report)},
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            return Later(f"{plain(path)} cannot be run: {error.strerror}; check command.path", SLOW, whole=True)
        self._group = process.pid
        output, in_time = self._follow(process)
        return self._meaning(process.returncode, output, in_time)

    def abandon(self) -> None:
        """Ends what is running, and all that it has started. From any thread."""
        if self._group:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._group, signal.SIGKILL)

    def _follow(self, process: subprocess.Popen[bytes]) -> tuple[bytes, bool]:
        """The beginning of its output, and whether it ended in time."""
        assert process.stdout is not None
        descriptor, output = process.stdout.fileno(), b""
        until, asked = time.monotonic() + float(self._options["timeout"]), False
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        with process.stdout:
            # Not reaped before its group is killed: until then nobody else's group can have this number.
            while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                if time.monotonic() >= until:
                    if asked:
                        break
                    os.killpg(self._group, signal.SIGTERM)
                    until, asked = until + GRACE, True
                # Its end is no event here: it may have closed its output long before, or left it to a child.
                if poll.poll(50):
                    part = os.read(descriptor, MAX_OUTPUT)
                    output = (output + part)[:MAX_OUTPUT]
                    if not part:
                        poll.unregister(descriptor)
            self.abandon()
            self._group = 0
            process.wait()
            with contextlib.suppress(OSError, ValueError):
                os.set_blocking(descriptor, False)
                output = (output + (os.read(descriptor, MAX_OUTPUT) or b""))[:MAX_OUTPUT]
        return output, not asked

    def _meaning(self, status: int, output: bytes, in_time: bool) -> Outcome:
        path = str(self._options["path"])
        said = output.decode("utf-8", "replace").strip().rpartition("\n")[2]
        ending = f": {plain(said, 160)}" if said else ""
        if not in_time:
            why = f"{plain(path)} did not end within {self._options['timeout']:g} s and was killed{ending}"
            return Later(f"{why}; correct it, or raise command.timeout", uncertain=True)
        if status == 0:
            return Delivered("")
        how = f"was ended by signal {-status}" if status < 0 else f"ends with status {status}"
        return Later(f"{plain(path)} {how}{ending}", uncertain=True)


def variables(report: Report) -> dict[str, str]:
    """What the command finds in its environment: short, printable, ASCII, one line each."""
    document = report.document()
    found = {
        "QGA_VERSION": __version__,
        "QGA_EVENT": report.kind,
        "QGA_ID": report.key,
        "QGA_REPEATED": "yes" if report.resend else "no",
        "QGA_INCIDENT": str(report.id),
        "QGA_UUID": report.uuid,
        "QGA_NAME": document["guest"]["name"],
        "QGA_HOST": report.hostname,
        "QGA_VERDICT": report.verdict,
        "QGA_ACTION": report.action,
        "QGA_OPENED": document["opened"],
        "QGA_EVIDENCE": json.dumps(document["evidence"]),
    }
    if report.kind == CLEARED:
        found["QGA_CLEARED"], found["QGA_WHY"] = document["cleared"]["at"], document["cleared"]["why"]
        found["QGA_OUTCOME"] = document["cleared"].get("outcome", "")
    return found


def _objection(path: str, arguments: str) -> str | None:
    """Why the executable is not run: what others can write, they would run as us."""
    if not path:
        return "set command.path to an executable"
    try:
        shlex.split(arguments)
    except ValueError as error:
        return f"command.arguments = {printable(arguments)}: {str(error).lower()}"
    try:
        real = os.path.realpath(path)
        found, directory = os.stat(path), os.stat(os.path.dirname(real))
    except OSError as error:
        return f"command.path = {plain(path)}: {error.strerror}"
    if not stat.S_ISREG(found.st_mode) or not os.access(path, os.X_OK):
        return f"command.path = {plain(path)}: not an executable file"
    for place, it in ((path, found), (os.path.dirname(real), directory)):
        sticky = it.st_mode & stat.S_ISVTX
        if it.st_uid not in (0, os.geteuid()) or (it.st_mode & 0o022 and not sticky):
            name = plain(place)
            return f"{name} can be changed by others; run: chown root {name}; chmod go-w {name}"
    return None
