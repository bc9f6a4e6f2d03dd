"""What the cluster says about this node: whether somebody is at work on it, so that nothing is to be recovered."""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from collections.abc import Callable

from heartbeat import document
from heartbeat.document import BadDocument
from heartbeat.settings import plain

log = logging.getLogger(__name__)

COMMAND = ("crm_mon", "-1", "--output-as=xml")
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
TIMEOUT = 5.0  # seconds, for a command that takes 10 ms
FRESH = 10.0  # seconds for which an answer is good
# Seconds for which the last word about a hold goes on where the cluster says nothing: it is put in maintenance-mode
# in order to be stopped, and we live on without it.
LAST_WORD = 3600.0
LIMIT = 16 << 20  # bytes; a cluster of 16 nodes and 500 resources makes half a MiB
AGENT = "ocf:masakari:qga"

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


class NoAnswer(Exception):
    """The cluster's state cannot be had. The text says why, for people."""


def holding(xml: bytes, node: str) -> str:
    """Why the cluster wants nothing to be done here, as crm_mon's XML has it, or "". Raises NoAnswer.

    node: this node's name in the cluster; "" if it is not known, and then only what holds for all nodes is found.
    """
    try:
        root = document.read(xml, LIMIT)
    except BadDocument as error:
        raise NoAnswer(f"crm_mon's XML {error}") from None
    options = root.find("summary/cluster_options")
    if options is None:
        raise NoAnswer("crm_mon's XML has no cluster_options")
    if options.get("maintenance-mode") == "true":
        return "the cluster is in maintenance-mode"
    for found in root.iterfind("nodes/node"):
        if found.get("name") == node:
            for flag in ("maintenance", "standby"):
                if found.get(flag) == "true":
                    return f"node {plain(node)} is in {flag}"
    for resource in root.iterfind("resources//resource"):
        # Older ones write a class that has a provider with two colons.
        ours = resource.get("resource_agent", "").replace("::", ":") == AGENT
        here = any(place.get("name") == node for place in resource.iterfind("node"))
        if ours and here and resource.get("managed") == "false":
            return f"resource {plain(resource.get('id', ''))} is not managed by the cluster"
    return ""


class Cluster:
    """Asks the cluster, at most once in FRESH seconds. Each call may block for TIMEOUT: not for the owner loop.

    run: subprocess.run, or a stand-in.
    """

    def __init__(self, run: Run = subprocess.run, clock: Callable[[], float] = time.monotonic) -> None:
        self._run, self._clock = run, clock
        self._lock = threading.Lock()
        self._asked: tuple[str, float] | None = None  # the node, and when
        self._word, self._word_at = "", 0.0
        self.error = ""  # why the cluster says nothing, or ""

    def held(self, node: str) -> str:
        """Why the cluster wants nothing to be recovered on this node, or "": nothing speaks against it, or there is no
        cluster to say so."""
        with self._lock:
            now = self._clock()
            if self._asked is None or self._asked[0] != node or now - self._asked[1] >= FRESH:
                self._refresh(node, now)
            return self._word

    def _refresh(self, node: str, now: float) -> None:
        if self._asked is None or self._asked[0] != node:
            self._word = ""
        try:
            word = holding(self._state(), node)
        except NoAnswer as error:
            if not self.error:
                log.info("whether the cluster is in maintenance cannot be seen, so its last word stands: %s", error)
            self.error = str(error)
            if now - self._word_at >= LAST_WORD:
                self._word = ""
        else:
            if word != self._word:
                log.info("%s", f"nothing is recovered: {word}" if word else "the cluster holds nothing any more")
            self.error, self._word, self._word_at = "", word, now
        self._asked = (node, self._clock())

    def _state(self) -> bytes:
        try:
            ran = self._run(
                list(COMMAND),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=ENVIRONMENT,
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise NoAnswer(f"crm_mon did not end within {TIMEOUT:g} s") from None
        except OSError as error:
            raise NoAnswer(f"crm_mon cannot be started: {error.strerror}") from None
        if ran.returncode != 0:
            raise NoAnswer(f"crm_mon ends with status {ran.returncode}; the cluster does not run here")
        return ran.stdout
