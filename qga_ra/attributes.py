"""Takes back what the helper told the cluster about this node."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping

from heartbeat.settings import ATTRIBUTES, HEALTH

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def clear(node: str | None, until: float, environ: Mapping[str, str] = os.environ) -> list[str]:
    """Deletes our node attributes; gives up at `until`, monotonic. What failed, as lines for people: that is no reason
    to fail, since the cluster may be away and forgets such attributes with the node anyway."""
    where = ["-N", node] if node else []
    # The rest of the environment is Pacemaker's own and says how its daemons are reached. CHARSET: names beyond ASCII.
    environment = {**environ, "PATH": PATH, "CHARSET": "UTF-8"}
    running: list[tuple[str, subprocess.Popen[bytes]]] = []
    troubles: list[str] = []
    for name in (*ATTRIBUTES, HEALTH):
        try:
            process = subprocess.Popen(
                ["attrd_updater", "-D", "-n", name, *where],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
        except FileNotFoundError:
            return []  # no Pacemaker, no attributes
        except OSError as error:
            troubles.append(f"node attribute {name} is not cleared: attrd_updater: {error.strerror}")
        else:
            running.append((name, process))
    for name, process in running:
        try:
            code = process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.returncode = -9  # not waited for: it may hang in the kernel
            troubles.append(f"node attribute {name} is not cleared: attrd_updater does not end")
        else:
            if code:
                troubles.append(f"node attribute {name} is not cleared: attrd_updater ends with {code}")
    return troubles
