"""How long libvirt takes to answer a call that touches no guest: a slow one is no reason to doubt any guest."""

from __future__ import annotations

import logging
import threading
import time
from typing import Callable

import libvirt

log = logging.getLogger(__name__)

# Seconds between two calls, and until the next attempt where there is no connection.
PERIOD, RETRY = 5.0, 1.0
# A call that fails sooner was refused: libvirt is away, which is the link's affair. Later, and libvirt hangs.
REFUSED = 2.0


class Canary:
    """One thread, one read-only connection. Both opening it and the call block for as long as libvirtd hangs, and so
    does the thread; whoever wants to know reads `seconds` meanwhile.

    connect: opens a connection, see Link.connect. period: seconds between two calls.
    """

    def __init__(self, connect: Callable[[bool], libvirt.virConnect], period: float = PERIOD) -> None:
        self._connect, self._period = connect, period
        self._connection: libvirt.virConnect | None = None
        self._took: float | None = None
        self._since: float | None = None  # when what has not been answered yet was begun
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="libvirt-canary", daemon=True)

    @property
    def seconds(self) -> float | None:
        """What the last call took, or what the one that is out has taken so far if that is more. None while there is
        no connection. For any thread."""
        since, took = self._since, self._took
        out = 0.0 if since is None else time.monotonic() - since
        if took is None:
            return out if out > REFUSED else None
        return max(took, out)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """The thread ends as soon as libvirt lets it."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.wait(self._once()):
            pass
        self._close()

    def _once(self) -> float:
        """One call. Returns the seconds until the next."""
        began = time.monotonic()
        self._since = began if self._since is None else self._since
        try:
            if self._connection is None:
                self._connection = self._connect(True)
                self._since = time.monotonic()  # what opening took is no measure: libvirtd may just be starting
            self._question(self._connection)
        except libvirt.libvirtError:
            self._close()
            hung = time.monotonic() - began > REFUSED
            # The time of a call that hung until the connection was given up goes on with the next attempt.
            self._since, self._took = (self._since if hung else None), None
            return RETRY
        except Exception:
            log.exception("libvirt's answer time could not be taken")
            self._close()
            self._since = self._took = None
            return self._period
        self._took, self._since = time.monotonic() - self._since, None
        return self._period

    @staticmethod
    def _question(connection: libvirt.virConnect) -> None:
        connection.getLibVersion()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except libvirt.libvirtError:
                pass  # a dead one; the local half is done
