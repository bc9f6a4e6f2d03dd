"""`--check`, for an agent's validate-all: whether this host has what the helper needs to begin. Quick, and quiet: asks
no guest and sends nothing. heartbeat.inspection is the whole of it, for people."""

from __future__ import annotations

from itertools import chain

from heartbeat import privileges
from heartbeat.configuration import Configuration
from heartbeat.hostname import resolve
from heartbeat.inspection import guests, host
from heartbeat.inspection.finding import FAILED, OK, WARNING, Finding


def examine(config: Configuration) -> int:
    """Print a line for each finding; returns the exit code of the first one that failed."""
    name, origin = resolve(config)
    named = Finding(OK, "name", f"reports name this host {name}, from {origin}")
    before = [*chain(host.modules(), host.file(config.path)), named]
    standing = privileges.drop(config)  # libvirt is asked as whoever the helper will be
    user = Finding(WARNING if standing.unwanted else OK, "user", standing.text)
    findings = [*before, user, guests.reachable(config.text("libvirt.connection_uri"))]
    for it in findings:
        word = {FAILED: "FAILED", WARNING: "warn  "}.get(it.level, "ok    ")
        print(f"{word} {it.text}" + (f"; {it.remedy}" if it.remedy else ""))
    for note in config.notes:
        print(f"note: {note}")
    return next((it.code for it in findings if it.code), 0)
