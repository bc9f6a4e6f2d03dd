"""The cluster as this node sees it: whether a node attribute can be written and read back, and whether anything keeps
us from recovering.

The attribute is one of our own that nobody shows (--private): it is in no CIB, moves no rule, and none of the real ones
is touched. Where there is no cluster that is said, and is no failure: the helper works without.
"""

from __future__ import annotations

import random
import re
import subprocess
import time
from collections.abc import Callable, Iterator

from heartbeat.configuration import Configuration
from heartbeat.inspection.finding import FAILED, NOTE, OK, WARNING, Finding
from heartbeat.settings import plain, printable

NAME = "qga-check"
SECONDS = 40.0
TIMEOUT = 5.0  # s for a command that takes 8 ms, three times as long on a remote node
SETTLING = 3.0  # s for which a value just written may not be read back yet
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "CHARSET": "UTF-8"}
VALUE = re.compile(r'\bvalue="([^"]*)"')
UPDATER = "attrd_updater"

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


class Failed(Exception):
    """A command of the cluster's did not do what it was to do; the text is for people. missing: it is not installed."""

    def __init__(self, why: str, missing: bool = False) -> None:
        super().__init__(why)
        self.missing = missing


def look(known: str, config: Configuration, run: Run = subprocess.run) -> Iterator[Finding]:
    """known: this node's name as the helper was told it, or ""."""
    try:
        # On a remote node too: the cluster's word for it, which is not attrd's own.
        node = _output(run, "crm_node", "-n")
    except Failed as error:
        why = "Pacemaker is not installed here" if error.missing else f"no cluster runs here ({error})"
        remedy = "" if error.missing else "pcs cluster start"
        yield Finding(NOTE, "cluster", f"{why}: node attributes have not been tried", remedy)
        return
    if known and known != node:
        text = f"the cluster calls this node {printable(node)}, and the helper writes attributes of {printable(known)}"
        yield Finding(WARNING, "cluster", text, "restart the resource")
    if "attributes" not in config.words("report.backends"):
        yield Finding(NOTE, "cluster", f"node {plain(node)}; attributes are not among report.backends, and not tried")
    else:
        yield _attribute(run, node)
    yield from _held(node)


def _attribute(run: Run, node: str) -> Finding:
    value = f"check-{random.getrandbits(32):08x}"
    remedy = "see whether pacemaker-attrd runs (on a remote node: pacemaker_remoted, and its connection)"
    try:
        try:
            _output(run, UPDATER, "-p", "-U", value, "-n", NAME, "-N", node)
            read = _read(run, node, value)
        finally:
            _output(run, UPDATER, "-D", "-n", NAME, "-N", node)
    except Failed as error:
        return Finding(FAILED, "cluster", f"node attribute {NAME} of {plain(node)}: {error}", remedy, 1)
    if read != value:
        text = f"node attribute {NAME} of {plain(node)} was written, and is read back as {printable(read)}"
        return Finding(FAILED, "cluster", text, remedy, 1)
    return Finding(OK, "cluster", f"a node attribute of {plain(node)} can be written and is read back")


def _read(run: Run, node: str, value: str) -> str:
    until = time.monotonic() + SETTLING
    while True:
        found = VALUE.search(_output(run, UPDATER, "-Q", "-n", NAME, "-N", node))
        read = found[1] if found else ""
        if read == value or time.monotonic() >= until:
            return read
        time.sleep(0.1)


def _held(node: str) -> Iterator[Finding]:
    from heartbeat.cluster import Cluster

    cluster = Cluster()
    held = cluster.held(node)
    if held:
        yield Finding(WARNING, "cluster", f"nothing would be recovered now: {held}", "end that when you are done")
    elif cluster.error:
        yield Finding(WARNING, "cluster", f"maintenance and standby cannot be seen: {cluster.error}", "see crm_mon -1")


def _output(run: Run, *command: str) -> str:
    """The first KiB of what it says. Raises Failed."""
    try:
        ran = run(
            list(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=ENVIRONMENT, timeout=TIMEOUT, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Failed(f"{command[0]} did not end within {TIMEOUT:g} s") from None
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        raise Failed(f"{command[0]} cannot be started: {error.strerror}", missing) from None
    if ran.returncode:
        said = ran.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise Failed(f"{command[0]} ends with status {ran.returncode}" + (f": {plain(said, 100)}" if said else ""))
    return ran.stdout[:1024].decode("utf-8", "replace").strip()
