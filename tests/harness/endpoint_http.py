"""The HTTP side of the test endpoint: version discovery, tokens, Masakari's routes, and faults on the wire."""
from __future__ import annotations

import contextlib
import enum
import json
import re
import socket
import struct
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, NamedTuple

from tests.harness.masakari import NEWEST, OLDEST, error_document
from tests.harness.masakari_api import PROJECT, UNAUTHORIZED, Asked, Reply, version_text

if TYPE_CHECKING:
    from tests.harness.endpoint import Endpoint

IDENTITY, INSTANCE_HA = "/identity", "/instance-ha"
RETRY_AFTER = ""        # of every 503
LOGIN_PAGE = b"<!DOCTYPE html><html><body><h1>Please log in</h1></body></html>"


class Fault(enum.Enum):
    """What becomes of a request. In place of any of these, a number: that status, and nothing is stored."""

    HANG = "no answer"
    HANG_AFTER_STORING = "stored, and no answer"        # as with RabbitMQ down
    RESET = "connection reset"
    RESET_AFTER_STORING = "stored, then connection reset"
    HTML = "status 200 and a page for people"
    NOT_FOUND_PAGE = "status 404 and a page for people"
    DRIP = "stored; an answer of a byte at a time, without end"
    HALF_CLOSED = "stored; the server closes its half of the connection, without an answer"
    CUT = "stored; an answer that ends too soon"


STORING = (None, Fault.HANG_AFTER_STORING, Fault.RESET_AFTER_STORING, Fault.DRIP, Fault.HALF_CLOSED, Fault.CUT)
SPOILT = (Fault.DRIP, Fault.HALF_CLOSED, Fault.CUT)
HANGING = (Fault.HANG, Fault.HANG_AFTER_STORING)
RESETTING = (Fault.RESET, Fault.RESET_AFTER_STORING)


class Attempt(NamedTuple):
    """One POST of a notification."""

    at: float                   # arrival, monotonic clock, s
    headers: dict[str, str]
    body: object                # the JSON document; bytes if it is none
    status: int | None          # as answered; None if there was no answer
    stored: bool

    @property
    def notification(self) -> dict:
        return self.body["notification"]


class Server(ThreadingHTTPServer):
    """Knows its open connections, so that closing it closes them too, as a service that dies would."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._connections: set[socket.socket] = set()
        super().__init__(address, Handler)

    def process_request(self, request: socket.socket, client_address: object) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exc_info()[1], OSError):      # a client that hung up is no error of ours
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server
    _subject_token = ""

    @property
    def endpoint(self) -> Endpoint:
        return self.server.endpoint

    def log_message(self, *_: object) -> None:
        """Nothing: what arrives is recorded, not printed."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].rstrip("/")
        identity = {"id": "v3.14", "status": "stable", "links": self._link(IDENTITY + "/v3/")}
        masakari = {"id": "v1.0", "status": "CURRENT", "version": version_text(NEWEST),
                    "min_version": version_text(OLDEST), "links": self._link(INSTANCE_HA + "/v1/")}
        documents = {IDENTITY: (300, {"versions": {"values": [identity]}}),
                     IDENTITY + "/v3": (200, {"version": identity}),
                     INSTANCE_HA: (200, {"versions": [masakari]}), INSTANCE_HA + "/v1": (200, {"version": masakari})}
        if path in documents:
            self._reply(*documents[path])
            return
        self.endpoint.reads.append(self.path[len(INSTANCE_HA + "/v1"):])
        fault = self.endpoint.next_fault("reads")
        self._answer(fault, self._treated(fault, self._masakari))

    def do_POST(self) -> None:
        arrived = time.monotonic()
        body = self._body()
        if self.path == IDENTITY + "/v3/auth/tokens":
            fault = self.endpoint.next_fault("tokens")
            self._answer(fault, self._treated(fault, lambda: self._token(body)))
        elif re.search(r"/notifications(\.json)?$", self.path):
            fault = self.endpoint.next_fault("notifications")
            status, document = reply = self._treated(fault, lambda: self._masakari(body))
            answered = None if fault in HANGING + RESETTING + SPOILT else status
            stored = status == 202 and "notification" in document
            self.endpoint.record(Attempt(arrived, dict(self.headers), _parsed(body), answered, stored))
            self._answer(fault, reply)
        elif receiver := self.endpoint.receivers.get(self.path):
            fault = self.endpoint.next_fault(receiver.name)
            authentic = self.endpoint.authentic(self.headers.get("X-Auth-Token"))
            reply = self._treated(fault, lambda: self.endpoint.receive(receiver, self.headers, body, authentic))
            answered = None if fault in HANGING + RESETTING + SPOILT else reply[0]
            self.endpoint.received[receiver.name].append(
                Attempt(arrived, dict(self.headers), body, answered, fault in STORING and reply[0] < 300))
            self._answer(fault, reply)
        else:
            self._reply(*self._masakari(body))

    def do_PUT(self) -> None:
        self._reply(*self._masakari(self._body()))

    def do_DELETE(self) -> None:
        self._reply(*self._masakari())

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _masakari(self, body: bytes = b"") -> Reply:
        asked = Asked(self.command, self.path[len(INSTANCE_HA + "/v1"):], self.headers.get("OpenStack-API-Version", ""),
                      self.endpoint.authentic(self.headers.get("X-Auth-Token")), self.endpoint.role, body)
        return self.endpoint.answer(asked)

    def _treated(self, fault: Fault | int | None, treat: Callable[[], Reply]) -> Reply:
        if fault in STORING:
            return treat()
        if fault is Fault.HTML:
            return 200, LOGIN_PAGE
        if fault is Fault.NOT_FOUND_PAGE:
            return 404, LOGIN_PAGE
        status = fault if isinstance(fault, int) else 503
        return status, UNAUTHORIZED if status == 401 else error_document(status, "made to fail")

    def _answer(self, fault: Fault | int | None, reply: Reply) -> None:
        if fault in HANGING:
            self.endpoint.hang()
            self.close_connection = True
        elif fault in RESETTING:
            # lingering for 0 s makes close() send RST in place of FIN
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
        elif fault in SPOILT:
            self._spoil(fault)
        else:
            self._reply(*reply)

    def _spoil(self, fault: Fault) -> None:
        self.close_connection = True
        if fault is Fault.HALF_CLOSED:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_WR)
            self.endpoint.hang()
        elif fault is Fault.CUT:
            self.wfile.write(b"HTTP/1.1 20")
        else:
            with contextlib.suppress(OSError):      # until the client has enough of it
                self.wfile.write(b"HTTP/1.1 202 Accepted\r\nX-Slow: ")
                while not self.endpoint.released(0.1):
                    self.wfile.write(b"x")

    def _token(self, body: bytes) -> tuple[int, dict]:
        token = self.endpoint.login(_parsed(body))
        if token is None:
            return 401, UNAUTHORIZED
        now = datetime.now(timezone.utc)
        domain = {"id": "default", "name": "Default"}
        services = [("identity", IDENTITY), ("instance-ha", INSTANCE_HA + "/v1"),
                    *((it.kind, it.base) for it in self.endpoint.receivers.values() if it.kind)]
        catalog = [{"type": kind, "name": kind, "id": kind, "endpoints": [
            {"id": f"{kind}-{interface}", "interface": interface, "region": self.endpoint.region,
             "region_id": self.endpoint.region, "url": self.endpoint.url + path}
            for interface in ("public", "internal", "admin")]} for kind, path in services]
        self._subject_token = token
        return 201, {"token": {
            "methods": ["password"], "issued_at": f"{now:%Y-%m-%dT%H:%M:%S.%fZ}",
            "expires_at": f"{now + timedelta(hours=1):%Y-%m-%dT%H:%M:%S.%fZ}", "catalog": catalog,
            "user": {"id": "u1", "name": self.endpoint.username, "domain": domain},
            "project": {"id": PROJECT, "name": "service", "domain": domain},
            "roles": [{"id": "r1", "name": self.endpoint.role}]}}

    def _link(self, path: str) -> list[dict]:
        return [{"rel": "self", "href": self.endpoint.url + path}]

    def _reply(self, status: int, document: object) -> None:
        html = isinstance(document, bytes)
        content = document if html else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if html else "application/json")
        self.send_header("Content-Length", str(len(content)))
        if status == 201 and self._subject_token:
            self.send_header("X-Subject-Token", self._subject_token)
        if status == 503 and RETRY_AFTER:
            self.send_header("Retry-After", RETRY_AFTER)
        if status == 401:
            self.send_header("WWW-Authenticate", f'Keystone uri="{self.endpoint.auth_url}"')
        self.end_headers()
        self.wfile.write(content)


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return body

