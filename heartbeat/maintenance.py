"""Keeps the owner's word on the cluster's holds fresh where something depends on it besides reports, each of which asks
by itself: health checks, and a hold that is shown."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

EVERY = 30.0  # seconds; to ask takes some 10 ms of CPU


class Maintenance:
    """wanted: whether anybody depends on it now. refresh: asks the cluster, which may block, and tells the owner."""

    def __init__(self, wanted: Callable[[], bool], refresh: Callable[[], None]) -> None:
        self._wanted, self._refresh = wanted, refresh
        self._stopping = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._work, name="maintenance", daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()

    def _work(self) -> None:
        while True:
            self.step()
            if self._stopping.wait(EVERY):
                return

    def step(self) -> None:
        try:
            if self._wanted():
                self._refresh()
        except Exception:
            log.exception("the cluster could not be asked whether it holds this node")
