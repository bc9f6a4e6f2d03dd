"""Metrics over HTTP, for this host only: prometheus_client's own handler behind a socket that is ours to close."""

from __future__ import annotations

import contextlib
import logging
import socket
import socketserver
import sys
import threading
from typing import Any, Callable

from prometheus_client import MetricsHandler

from heartbeat.metrics.collector import registry
from heartbeat.metrics.outlet import Unable
from heartbeat.snapshot import Snapshot

log = logging.getLogger(__name__)

# Seconds that one client may have in all: there is one thread, and no local user may take it for longer.
CLIENT = 10.0
# Seconds between two clients: any local user may ask as often as he likes, and each answer takes some of the owner
# loop's time. Prometheus asks a few times a minute.
PAUSE = 0.25
IDLE = 3600.0


class _Listener(socketserver.TCPServer):
    """One client after the other. Not http.server's, which asks the name service who 127.0.0.1 is; nor
    prometheus_client's own start_http_server, which before 0.19 does not tell how to stop it."""

    allow_reuse_address = True
    request_queue_size = 16
    timeout = IDLE

    def __init__(self, host: str, port: int, handler: Callable[..., Any]) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        limit = threading.Timer(CLIENT, _cut, (request,))
        limit.daemon = True
        limit.start()
        try:
            super().finish_request(request, client_address)
        finally:
            limit.cancel()

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        level = logging.DEBUG if isinstance(error, OSError) else logging.ERROR  # a client that went away, or a defect
        log.log(level, "a client of the metrics was not answered: %r", error)


class Server:
    """place: as metrics.listen has it. take: a snapshot."""

    def __init__(self, place: str, take: Callable[[], Snapshot]) -> None:
        host, _, port = place.rpartition(":")
        self._address = host.strip("[]"), int(port)
        self._handler = MetricsHandler.factory(registry(take, process=True))
        self._listener: _Listener | None = None

    def turn(self) -> float:
        if self._listener is not None:
            self._listener.handle_request()
            return PAUSE
        try:
            self._listener = _Listener(*self._address, self._handler)
        except OSError as error:
            raise Unable(f"{error.strerror}, ss -ltnp tells who has the port; or give another one") from None
        return 0.0

    def wake(self) -> None:
        if self._listener:
            _cut(self._listener.socket)

    def close(self) -> None:
        if self._listener:
            self._listener.server_close()


def _cut(connection: socket.socket) -> None:
    """Whoever waits on it goes on at once."""
    with contextlib.suppress(OSError):  # closed already
        connection.shutdown(socket.SHUT_RDWR)
