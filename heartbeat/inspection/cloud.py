"""Those who are told of failed guests: Keystone and Masakari at length, each in words of its own; of the other backends
whether they are ready. With leave, one notification that causes nothing.

HTTP is spoken by children only, as in the helper: heartbeat/backends/enquiry.py asks, and the test notification goes
the way of every report, through heartbeat/sender.py.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from functools import partial
from typing import Any

from heartbeat import connections
from heartbeat.backends import Delivered, Report
from heartbeat.configuration import Configuration
from heartbeat.incident import RECORD
from heartbeat.inspection.finding import FAILED, NOTE, OK, Finding
from heartbeat.inspection.steps import Step
from heartbeat.sender import ENVIRONMENT, Sender
from heartbeat.settings import plain

MASAKARI = "masakari"
ENQUIRY = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "backends", "enquiry.py")
ASKING, FOLLOWING = 60.0, 40.0  # s, for a child; the other steps of a check are over sooner
SENDING = 60.0  # s, for the test notification, which may take twice masakari.timeout and the start of its child
READY = 45.0  # s, for any other backend
VERDICT = "installation-check"


def steps(config: Configuration, hostname: str, send: bool) -> list[Step]:
    """One for each backend to which reports are delivered. hostname: this host's in Masakari."""
    names = [party.recipient.name for party in connections.parties(config)]
    seconds = ASKING + (SENDING + FOLLOWING if send else 0) + 5
    others = [Step(plain(name, 12), READY, partial(ready, config, name)) for name in names if name != MASAKARI]
    return [Step(MASAKARI, seconds, partial(masakari, config, hostname, send)), *others]


def masakari(config: Configuration, hostname: str, send: bool) -> Iterator[Finding]:
    if MASAKARI not in config.words("report.backends"):
        yield Finding(NOTE, MASAKARI, "masakari is not among report.backends: neither it nor Keystone has been asked")
        return
    if connections.missing(config, {MASAKARI: None}):
        remedy = f"set masakari.auth_url, username and password in {config.path}"
        yield Finding(FAILED, "token", "there are no credentials for Keystone", remedy, 2)
        return
    options = connections.options(config, MASAKARI)
    asked = {"options": options, "hostname": hostname, "hostname_option": "report.hostname", "seconds": ASKING * 2 / 3}
    failed = False
    for finding in enquiry({**asked, "follow": ""}, "token", ASKING):
        failed = failed or finding.level == FAILED
        yield finding
    if send and failed:
        yield Finding(NOTE, "send", "no test notification was sent: see above")
    elif send:
        yield from _sent(options, asked, hostname)


def _sent(options: Mapping[str, Any], asked: Mapping[str, Any], hostname: str) -> Iterator[Finding]:
    # A guest that nobody has: the engine would not find it either, did it look.
    guest, now = str(uuid.uuid4()), datetime.now(timezone.utc).isoformat(timespec="microseconds")
    report = Report(0, guest, VERDICT, now, hostname, False, action=RECORD)
    about = f"a notification of type VM from host {hostname}, event QGA_RECORD / INSTALLATION_CHECK, guest {guest}"
    yield Finding(NOTE, "send", f"sending {about}, which is nobody's: Masakari stores it and its engine ignores it")
    sender = Sender(options, MASAKARI)
    try:
        outcome = sender.deliver(report)
    finally:
        sender.close()
    if not isinstance(outcome, Delivered):
        what, _, remedy = outcome.reason.partition("; ")
        yield Finding(FAILED, "send", f"not accepted: {what}", remedy, 1)
        return
    yield Finding(OK, "send", f"accepted, as notification {outcome.reference or 'without a uuid'}")
    if outcome.reference:
        for finding in enquiry({**asked, "follow": outcome.reference}, "send", FOLLOWING):
            if finding.step == "send" or finding.level == FAILED:
                yield finding


def ready(config: Configuration, name: str) -> Iterator[Finding]:
    """Whether a backend could deliver now, as far as it can be told without a report."""
    sender = Sender(connections.options(config, name), name)
    try:
        refusal = sender.prepare()
    finally:
        sender.close()
    step, who = plain(name, 12), f"backend {plain(name, 40)}"
    if refusal:
        what, _, remedy = refusal.reason.partition("; ")
        yield Finding(FAILED, step, f"{who} is not ready: {what}", remedy, 1)
    else:
        yield Finding(OK, step, f"{who} is ready")


def enquiry(request: Mapping[str, Any], step: str, seconds: float) -> Iterator[Finding]:
    """What a child finds, as it finds it. A child that is not over in time is ended, and what it was at is told."""
    process = subprocess.Popen(
        [sys.executable or "/usr/bin/python3", "-I", ENQUIRY],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, cwd="/", env=ENVIRONMENT,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    until, stage, late, ended = time.monotonic() + seconds, "it was being begun", False, False
    try:
        process.stdin.write(json.dumps(request).encode() + b"\n")
        for line in _lines(process.stdout.fileno(), until):
            if line is None:
                late = True
                break
            document = json.loads(line)
            if "stage" in document:
                stage = str(document["stage"])
            else:
                yield Finding(**document)
        ended = not late
    finally:
        if not ended:
            process.kill()
        words = _last(process)
    if late:
        remedy = "see whether DNS, the network and these services answer at all"
        yield Finding(FAILED, step, f"no answer after {seconds:g} s, while {stage}", remedy, 1)
    elif process.returncode:
        text = f"the process that asks ended with status {process.returncode}, while {stage}: {words}"
        yield Finding(FAILED, step, text, "reinstall masakari-qga with its dependencies, or report it", 5)


def _lines(descriptor: int, until: float) -> Iterator[bytes | None]:
    """Each line as it comes; None when the time is over."""
    unread = b""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    while True:
        left = until - time.monotonic()
        if left <= 0 or not poll.poll(max(1.0, left * 1000)):
            yield None
            return
        part = os.read(descriptor, 65536)
        if not part:
            return
        *lines, unread = (unread + part).split(b"\n")
        yield from lines


def _last(process: subprocess.Popen[bytes]) -> str:
    """Reaps the child; the last line that it said of its own end."""
    _, said = process.communicate()
    return plain(said.decode("utf-8", "replace").strip().rpartition("\n")[2], 200) or "no word"
