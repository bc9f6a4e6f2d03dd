"""masakari-qga check: whether all is as it must be on this node after the installation, line by line, with remedies.

What is looked at, and how, is heartbeat/inspection, in a process of its own: it loads what nothing here may load, and a
library that hangs in it cannot keep us. Here it is begun, bounded, and told to people and programs; and the helper is
asked, so that its guests need not be.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from heartbeat import FORMAT, __version__, settings
from qga_ra import client
from qga_ra.supervision import ENVIRONMENT, Places
from qga_ra.terminal import plain, record, records, show

OK, NOTE, WARNING, FAILED = "ok", "note", "warning", "failed"  # as in heartbeat.inspection
STATUS = {OK: 0, NOTE: 0, WARNING: 1, FAILED: 2}
WORDS = {OK: "ok", NOTE: "note", WARNING: "WARNING", FAILED: "FAILED"}
LONGEST = 180.0  # s for all of it; each step has its own time, and nearly always it is over in three
WIDEST = 1000  # characters of a finding's text
PATIENCE = 10.0  # s for the helper's own view

Finding = Mapping[str, Any]


def add(commands: Any) -> None:
    """commands: argparse's subparsers."""
    sub = commands.add_parser(
        "check",
        help="whether all is well on this node: modules, files, libvirt, guests, Keystone, Masakari, the cluster",
        description="Looks at everything that the helper needs, and changes nothing. Exit status: 0 all is well, 1"
        " there are warnings, 2 something has failed.",
    )
    sub.add_argument("--send", action="store_true",
                     help="send Masakari a notification as well, which it stores and its engine ignores")  # fmt: skip
    sub.add_argument("--json", action="store_true", help="all findings in one document, for programs")
    sub.add_argument("--config", metavar="PATH",
                     help=f"default: the running helper's, or else {settings.CONFIG}")  # fmt: skip
    sub.set_defaults(call=check)


def check(options: argparse.Namespace, places: Places) -> int:
    findings = []
    for it in _all(options, places):
        findings.append({name: it.get(name) for name in ("level", "step", "text", "remedy")})
        if not options.json:
            print("\n".join(lines(it)), flush=True)
    worst = max((_level(it) for it in findings), key=lambda level: STATUS[level])
    if options.json:
        word = worst if STATUS[worst] else OK
        show({"format": FORMAT, "version": __version__, "status": word, "findings": findings})
    else:
        print(summary(findings))
    return STATUS[worst]


def lines(it: Finding) -> list[str]:
    """A finding for a terminal, and its remedy below it."""
    found = f"{WORDS[_level(it)]:<8} {plain(it.get('step'), 12):<9} {plain(it.get('text'), WIDEST)}"
    return [found, *([f"{'':<18} -> {plain(it['remedy'], WIDEST)}"] if it.get("remedy") else [])]


def summary(findings: Sequence[Finding]) -> str:
    failed, warned = (sum(_level(it) == level for it in findings) for level in (FAILED, WARNING))
    return "all is well" if not failed + warned else f"{failed} failed, {warned} warnings"


def _level(it: Finding) -> str:
    """One of another version's is taken seriously."""
    level = it.get("level")
    return level if level in STATUS else FAILED


def _all(options: argparse.Namespace, places: Places) -> Iterator[Finding]:
    if os.geteuid() != 0:
        yield _finding(FAILED, "user", "this must be root, as the helper is", "sudo masakari-qga check")
        return
    state, view, found = helper(places)
    yield found
    yield from told(view)
    running = _asked({"do": "settings"}, places) if state == "running" else {}
    config = options.config or str(running.get("config") or settings.CONFIG)
    if options.config and running.get("config") not in (None, options.config):
        text = f"the helper has another configuration, {plain(running['config'], 200)}; its parameters are left out"
        yield _finding(NOTE, "config", text)
        running = {}
    command = [places.python, "-I", places.code, "--config", config, "--run-directory", places.run]
    for name, value in record(running.get("parameters")).items():
        command += ["--set", f"{name}={value}"]
    yield from _inspected([*command, "--inspect"], {"state": state, "view": view, "send": options.send})


def helper(places: Places) -> tuple[str, dict[str, Any], Finding]:
    """running, absent or stuck; what it says of itself; and that as a finding."""
    try:
        age, version, pid = client.ping(places.socket, client.PATIENCE)
    except client.Unanswered:
        code, why = client.state(places.run, 1)
        if code == client.NOT_RUNNING:
            remedy = "after pcs resource create it is Pacemaker that starts it; if it was there: crm_mon -1"
            return "absent", {}, _finding(NOTE, "helper", "the helper does not run on this node", remedy)
        return "stuck", {}, _finding(FAILED, "helper", why or "it does not answer", "Pacemaker replaces it; or kill it")
    who = f"process {pid}, version {version:.20}"
    if age > client.FRESH:
        text = f"the helper, {who}, makes no progress since {age // 1000} s"
        return "stuck", {}, _finding(FAILED, "helper", text, "pcs resource restart, and see its log")
    view = _asked({"do": "status"}, places)
    if not view:
        text = f"the helper, {who}, lives, and does not say what it sees"
        return "stuck", {}, _finding(WARNING, "helper", text, "see its log")
    if version != __version__:
        text = f"the helper, {who}, runs, and {__version__} is installed"
        return "running", view, _finding(WARNING, "helper", text, "pcs resource restart, when convenient")
    return "running", view, _finding(OK, "helper", f"it runs, {who}")


def told(view: Mapping[str, Any]) -> Iterator[Finding]:
    """What the helper itself is troubled by."""
    fitness = record(view.get("fitness"))
    if fitness.get("able") is False and record(view.get("libvirt")).get("connected") is not False:
        yield _finding(WARNING, "helper", f"no guest is judged: {plain(fitness.get('why'), 200)}",
                       "it judges again when this host does better")  # fmt: skip
    for backend in records(view.get("backends")):
        if backend.get("error"):
            why, _, remedy = plain(backend["error"], 400).partition("; ")
            wait = f" ({plain(backend['pending'])} reports wait)" if backend.get("pending") else ""
            yield _finding(WARNING, "helper", f"backend {plain(backend.get('name'))}: {why}{wait}", remedy)
    if nova := record(view.get("nova")).get("error"):
        why, _, remedy = plain(nova, 400).partition("; ")
        yield _finding(WARNING, "helper", f"Nova: {why}", remedy)


def _asked(request: Mapping[str, object], places: Places) -> dict[str, Any]:
    """The helper's answer, {} if there is none: an older one does not know every request."""
    try:
        return client.ask(request, places.socket, PATIENCE)
    except (client.Unanswered, client.Refused):
        return {}


def _inspected(command: Sequence[str], asked: Mapping[str, object]) -> Iterator[Finding]:
    """Each finding of heartbeat.inspection, as it comes."""
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/", env=ENVIRONMENT,
            start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        text = f"{command[0]} cannot be started: {error.strerror}"
        yield _finding(FAILED, "check", text, "reinstall masakari-qga with its dependencies")
        return
    assert process.stdin is not None
    assert process.stdout is not None
    unread, until, part = b"", time.monotonic() + LONGEST, b"."
    # Of a thousand guests it is more than a pipe takes from us before somebody reads.
    threading.Thread(target=_write, args=(process.stdin, json.dumps(asked).encode() + b"\n"), daemon=True).start()
    try:
        while part and select.select([process.stdout], [], [], max(0.0, until - time.monotonic()))[0]:
            part = os.read(process.stdout.fileno(), 65536)
            *whole, unread = (unread + part).split(b"\n")
            yield from (record(json.loads(line)) for line in whole)
    finally:
        late = bool(part)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)  # whatever it has started, and what hangs in it
        said = process.communicate()[1]
    if late:
        yield _finding(FAILED, "check", f"it was not over after {LONGEST:g} s", "see what hangs on this host")
    elif process.returncode not in (0, -9):
        word = plain(said.decode("utf-8", "replace").strip().rpartition("\n")[2], 300)
        text = f"it ended with status {process.returncode}: {word}"
        yield _finding(FAILED, "check", text, "reinstall masakari-qga with its dependencies")


def _write(pipe: IO[bytes], content: bytes) -> None:
    with contextlib.suppress(OSError, ValueError):
        pipe.write(content)
        pipe.flush()


def _finding(level: str, step: str, text: str, remedy: str = "") -> Finding:
    return {"level": level, "step": step, "text": text, "remedy": remedy}
