"""One way out for the metrics: a thread that lasts until it is told to end, and survives whatever is in its way."""

from __future__ import annotations

import logging
import threading
from typing import Callable, Protocol

from heartbeat.settings import plain

log = logging.getLogger(__name__)

RETRY = 30.0  # seconds until what did not work is tried again
END = 3.0  # seconds that an end is waited for
LIBRARY = "prometheus_client"
MISSING = "install python3-prometheus-client, or python3-prometheus_client of EPEL"


class Unable(Exception):
    """Nothing can be told this way at present. The text says why and what to do, for people."""


class Way(Protocol):
    """How metrics are told."""

    def turn(self) -> float:
        """Does what is to be done now, which may last until `wake`. Returns the seconds until it is called again.
        Raises Unable."""

    def wake(self) -> None:
        """Ends a turn that lasts. From another thread."""

    def close(self) -> None:
        """Leaves nothing behind."""


class Outlet:
    """option: its name in the configuration. place: the option's value. make: what does the work; called in our own
    thread, since it may have to load the library. trouble: why nothing can be had there, for people, or ""; for any
    thread."""

    def __init__(self, option: str, place: str, make: Callable[[], Way]) -> None:
        self.option, self.place, self.trouble, self._make = option, place, "", make
        self._way: Way | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name=option, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def leave(self) -> None:
        """Begins what stop() ends."""
        self._stopping.set()
        if self._way:
            self._way.wake()

    def stop(self) -> None:
        """Ends the thread, and what it has open. From any other thread."""
        self.leave()
        self._thread.join(END)

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                self._way = self._way or self._made()
                seconds, trouble = self._way.turn(), ""
            except Unable as error:
                seconds, trouble = RETRY, str(error)
            except Exception as error:
                seconds, trouble = RETRY, f"a defect of ours: {plain(repr(error))}"
            self._note(trouble)
            self._stopping.wait(seconds)
        if self._way:
            self._way.close()

    def _made(self) -> Way:
        try:
            return self._make()
        except ImportError as error:
            missing = plain(str(error.name or error))
            remedy = MISSING if missing == LIBRARY else f"reinstall {LIBRARY} with its dependencies"
            raise Unable(f"the Python module {missing} is missing: {remedy}") from None

    def _note(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            log.warning("%s = %s: %s", self.option, self.place, trouble)
        elif self.trouble and not trouble:
            log.info("%s = %s: works now", self.option, self.place)
        self.trouble = trouble
