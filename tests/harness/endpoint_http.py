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
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, NamedTuple, Union

from tests.harness.masakari import error_document

if TYPE_CHECKING:
    from tests.harness.endpoint import Endpoint

IDENTITY, INSTANCE_HA = "/identity", "/instance-ha"
LOGIN_PAGE = b"<!DOCTYPE html><html><body><h1>Please log in</h1></body></html>"
SEGMENT = {"uuid": str(uuid.UUID(int=1)), "name": "all", "recovery_method": "auto", "service_type": "COMPUTE"}


class Fault(enum.Enum):
    """What becomes of a request. In place of any of these, a number: that status, and nothing is stored."""

    HANG = "no answer"
    HANG_AFTER_STORING = "stored, and no answer"        # as with RabbitMQ down
    RESET = "connection reset"
    RESET_AFTER_STORING = "stored, then connection reset"
    HTML = "status 200 and a page for people"


Reply = tuple[int, Union[dict, bytes]]      # status, and a JSON document or a page
STORING = (None, Fault.HANG_AFTER_STORING, Fault.RESET_AFTER_STORING)
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

    @property
    def endpoint(self) -> Endpoint:
        return self.server.endpoint

    def log_message(self, *_: object) -> None:
        """Nothing: what arrives is recorded, not printed."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].rstrip("/")
        identity = {"id": "v3.14", "status": "stable", "links": self._link(IDENTITY + "/v3/")}
        masakari = {"id": "v1.0", "status": "CURRENT", "version": "1.3", "min_version": "1.0",
                    "links": self._link(INSTANCE_HA + "/v1/")}
        documents = {IDENTITY: (300, {"versions": {"values": [identity]}}),
                     IDENTITY + "/v3": (200, {"version": identity}),
                     INSTANCE_HA: (200, {"versions": [masakari]}), INSTANCE_HA + "/v1": (200, {"version": masakari})}
        if path in documents:
            self._reply(*documents[path])
        elif not self._authentic():
            self._reply(401, self._unauthorized())
        else:
            self._reply(*self._read(path[len(INSTANCE_HA + "/v1"):]))

    def do_POST(self) -> None:
        arrived = time.monotonic()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        if path == IDENTITY + "/v3/auth/tokens":
            fault = self.endpoint.next_fault("tokens")
            self._answer(fault, self._treated(fault, self._token, body))
        elif re.fullmatch(INSTANCE_HA + r"/v1(/\w+)?/notifications(\.json)?", path):
            fault = self.endpoint.next_fault("notifications")
            status, document = reply = self._treated(fault, self._notify, body)
            answered = None if fault in HANGING + RESETTING else status
            stored = status == 202 and "notification" in document
            self.endpoint.record(Attempt(arrived, dict(self.headers), _parsed(body), answered, stored))
            self._answer(fault, reply)
        else:
            self._reply(404, error_document(404, "The resource could not be found."))

    def _treated(self, fault: Fault | int | None, treat: Callable[[bytes], Reply], body: bytes) -> Reply:
        if fault in STORING:
            return treat(body)
        if fault is Fault.HTML:
            return 200, LOGIN_PAGE
        status = fault if isinstance(fault, int) else 503
        return status, self._unauthorized() if status == 401 else error_document(status, "made to fail")

    def _answer(self, fault: Fault | int | None, reply: Reply) -> None:
        if fault in HANGING:
            self.endpoint.hang()
            self.close_connection = True
        elif fault in RESETTING:
            # lingering for 0 s makes close() send RST in place of FIN
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
        else:
            self._reply(*reply)

    def _notify(self, body: bytes) -> tuple[int, dict]:
        if not self._authentic():
            return 401, self._unauthorized()
        if self.endpoint.role != "admin":
            return 403, error_document(
                403, "Policy doesn't allow os_masakari_api:notifications:create to be performed.")
        return self.endpoint.post(body)

    def _token(self, body: bytes) -> tuple[int, dict]:
        token = self.endpoint.login(_parsed(body))
        if token is None:
            return 401, self._unauthorized()
        now = datetime.now(timezone.utc)
        domain = {"id": "default", "name": "Default"}
        services = [("identity", IDENTITY), ("instance-ha", INSTANCE_HA + "/v1")]
        catalog = [{"type": kind, "name": kind, "id": kind, "endpoints": [
            {"id": f"{kind}-{interface}", "interface": interface, "region": self.endpoint.region,
             "region_id": self.endpoint.region, "url": self.endpoint.url + path}
            for interface in ("public", "internal", "admin")]} for kind, path in services]
        self._subject_token = token
        return 201, {"token": {
            "methods": ["password"], "issued_at": f"{now:%Y-%m-%dT%H:%M:%S.%fZ}",
            "expires_at": f"{now + timedelta(hours=1):%Y-%m-%dT%H:%M:%S.%fZ}", "catalog": catalog,
            "user": {"id": "u1", "name": self.endpoint.username, "domain": domain},
            "project": {"id": "p1", "name": "service", "domain": domain},
            "roles": [{"id": "r1", "name": self.endpoint.role}]}}

    def _read(self, path: str) -> tuple[int, dict]:
        masakari = self.endpoint.masakari
        documents = {f"/notifications/{row['notification_uuid']}": {"notification": row} for row in masakari.stored}
        documents["/notifications"] = {"notifications": masakari.stored}
        documents["/segments"] = {"segments": [SEGMENT]}
        documents[f"/segments/{SEGMENT['uuid']}/hosts"] = {"hosts": [
            {"name": name, "uuid": number, "type": "COMPUTE", "reserved": False, "control_attributes": "SSH",
             "on_maintenance": name in masakari.maintenance, "failover_segment_id": SEGMENT["uuid"]}
            for name, number in masakari.hosts.items()]}
        if path in documents:
            return 200, documents[path]
        return 404, error_document(404, "The resource could not be found.")

    def _authentic(self) -> bool:
        return self.endpoint.authentic(self.headers.get("X-Auth-Token"))

    def _link(self, path: str) -> list[dict]:
        return [{"rel": "self", "href": self.endpoint.url + path}]

    @staticmethod
    def _unauthorized() -> dict:
        return {"error": {"code": 401, "title": "Unauthorized",
                          "message": "The request you have made requires authentication."}}

    def _reply(self, status: int, document: object) -> None:
        html = isinstance(document, bytes)
        content = document if html else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if html else "application/json")
        self.send_header("Content-Length", str(len(content)))
        if status == 201:
            self.send_header("X-Subject-Token", self._subject_token)
        if status == 401:
            self.send_header("WWW-Authenticate", f'Keystone uri="{self.endpoint.auth_url}"')
        self.end_headers()
        self.wfile.write(content)


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return body
