"""Metrics for Prometheus. The only part that imports prometheus_client, and only once it is switched on: it costs some
megabytes, which a node that exports nothing does not pay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from heartbeat.metrics.outlet import Outlet, Way

if TYPE_CHECKING:
    from heartbeat.snapshot import Snapshot

LISTEN, TEXTFILE = "metrics.listen", "metrics.textfile"


class Metrics:
    """Nothing but this object, as long as both options are empty. configure() and stop() are for one thread at a time.

    take: a snapshot, for any thread.
    """

    def __init__(self, take: Callable[[], Snapshot]) -> None:
        self._take = take
        self._outlets: tuple[Outlet, ...] = ()  # replaced, never changed: the owner loop reads it

    @property
    def trouble(self) -> str:
        """What keeps metrics from being had, for people, or ""."""
        return "; ".join(f"{it.option}: {it.trouble}" for it in self._outlets if it.trouble)

    def configure(self, listen: str, textfile: str) -> None:
        """As the options say, from now on. What was set as it is now goes on."""
        wanted = [(option, place) for option, place in ((LISTEN, listen), (TEXTFILE, textfile)) if place]
        kept = [it for it in self._outlets if (it.option, it.place) in wanted]
        leaving = [it for it in self._outlets if it not in kept]
        known = {(it.option, it.place) for it in kept}
        new = [Outlet(*words, self._maker(*words)) for words in wanted if words not in known]
        self._outlets = (*kept, *new)
        for outlet in leaving:
            outlet.leave()
        for outlet in leaving:
            outlet.stop()  # before one of the same place begins
        for outlet in new:
            outlet.start()

    def stop(self) -> None:
        self.configure("", "")

    def _maker(self, option: str, place: str) -> Callable[[], Way]:
        def server() -> Way:
            from heartbeat.metrics.server import Server

            return Server(place, self._take)

        def textfile() -> Way:
            from heartbeat.metrics.textfile import Textfile

            return Textfile(place, self._take)

        return server if option == LISTEN else textfile
