"""A Nova for tests: the few requests that Masakari and its clients make of one, with servers that do as they are told.

It holds to what nova 26.2 was seen to do: what may be stopped and started and what is a conflict, the states between,
microversions, the shape of what it shows. A server may stand for a real guest: `stop` and `start` are then called.
"""
from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qsl

PORT = 8774
ROOT = "/v2.1"
OLDEST, NEWEST = (2, 1), (2, 93)
POWER = {"active": 1, "paused": 3, "stopped": 4, "suspended": 4}      # OS-EXT-STS:power_state; any other state: running
SHOW, DETAIL = "show", "detail"         # beside the names of actions: what can be made to fail

Reply = tuple[int, "dict | None"]


class Asked(NamedTuple):
    """One request. what: SHOW, DETAIL, an action's name, or the path of anything else."""

    method: str
    what: str
    server: str         # its uuid, or ""
    microversion: str   # "2.1" if none was asked for
    status: int


@dataclass
class Server:
    """What Nova knows of one guest. A test sets what it likes, at any time.

    up: what Nova says of its compute service. flavor, specs: its flavor's name and extra specs. deleted: as Nova keeps
    it for those who ask what has changed.
    stop, start: what becomes of the guest while Nova is at it, in a thread; None: nothing but its state.
    seconds: how long a stop, or a start, takes besides. stuck: actions that are accepted and never done.
    """

    uuid: str
    host: str
    vm_state: str = "active"
    task_state: str | None = None
    metadata: dict[str, str] = field(default_factory=lambda: {"HA_Enabled": "True"})
    stop: Callable[[], object] | None = None
    start: Callable[[], object] | None = None
    seconds: float = 0.2
    stuck: set[str] = field(default_factory=set)
    locked: bool = False
    up: str = "UP"
    flavor: str = "m1.tiny"
    specs: dict[str, str] = field(default_factory=dict)
    deleted: bool = False

    def shown(self) -> dict:
        """As of microversion 2.53, to an administrator."""
        status = {"stopped": "SHUTOFF"}.get(self.vm_state, self.vm_state.upper())
        state = "deleted" if self.deleted else self.vm_state
        return {"id": self.uuid, "name": f"server-{self.uuid[:8]}", "status": status, "metadata": dict(self.metadata),
                "links": [], "locked": self.locked, "host_status": self.up,
                "flavor": {"original_name": self.flavor, "vcpus": 1, "extra_specs": dict(self.specs)},
                "tenant_id": "p1", "user_id": "u1",
                "OS-EXT-STS:vm_state": state, "OS-EXT-STS:task_state": self.task_state,
                "OS-EXT-STS:power_state": POWER.get(self.vm_state, 1), "OS-EXT-SRV-ATTR:host": self.host,
                "OS-EXT-SRV-ATTR:hypervisor_hostname": self.host,
                "OS-EXT-SRV-ATTR:instance_name": f"instance-{self.uuid[:8]}"}


class Nova:
    """Use as a context manager. With port 0 the kernel chooses.

    hosts     the compute services; a test may add and delete
    servers   by uuid
    page      the longest page of servers that it gives, whatever is asked for
    requests  all that was asked, in order
    """

    def __init__(self, hosts: tuple[str, ...] = ("one",), port: int = PORT) -> None:
        self.hosts = list(hosts)
        self.servers: dict[str, Server] = {}
        self.requests: list[Asked] = []
        self.page = 1000
        self._changed: dict[str, tuple[dict, datetime]] = {}
        self._port = port
        self._faults: dict[tuple[str, str], list[int]] = {}
        self._lock = threading.RLock()

    def __enter__(self) -> Nova:
        self._http = ThreadingHTTPServer(("127.0.0.1", self._port), _Handler)
        self._http.nova, self._http.daemon_threads, self._http.block_on_close = self, True, False
        self._port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}{ROOT}"

    def server(self, number: str = "", host: str = "one", **known: object) -> Server:
        """A new server, active and HA_Enabled unless said otherwise. number: its uuid."""
        made = Server(number or str(uuid.uuid4()), host, **known)
        self.servers[made.uuid] = made
        return made

    def fail(self, what: str, status: int, times: int = -1, server: str = "") -> None:
        """Let an action, SHOW or DETAIL be answered so, so many times; -1: until `heal`. server: for this one only."""
        with self._lock:
            self._faults[what, server] = [status, times]

    def heal(self) -> None:
        with self._lock:
            self._faults.clear()

    def actions(self, number: str) -> list[str]:
        """The names of the actions that were asked for on a server, in order, whatever the answer."""
        return [asked.what for asked in list(self.requests) if asked.server == number and asked.method == "POST"]

    # For the HTTP side

    def answer(self, method: str, path: str, query: dict[str, str], body: dict) -> tuple[str, str, Reply]:
        """What was asked (see Asked), of which server, and the answer."""
        found = re.fullmatch(rf"{ROOT}/servers/([^/]+)(?:/(action|metadata))?", path)
        if found and found[1] != DETAIL:
            number, last = found.groups()
            what = next(iter(body), "") if last == "action" else last or SHOW
            with self._lock:
                return what, number, self._failure(what, number) or self._server(number, what, body.get(what))
        what = DETAIL if path == f"{ROOT}/servers/{DETAIL}" else path
        with self._lock:
            return what, "", self._failure(what) or self._other(path, query)

    def _failure(self, what: str, number: str = "") -> Reply | None:
        fault = self._faults.get((what, number)) or self._faults.get((what, ""))
        if not fault or not fault[1]:
            return None
        fault[1] -= 1
        return error(fault[0], "made to fail")

    def _server(self, number: str, what: str, argument: object) -> Reply:
        server = self.servers.get(number)
        if server is None:
            return error(404, f"Instance {number} could not be found.")
        if what == SHOW:
            return 200, {"server": server.shown()}
        if what == "metadata":
            return 200, {"metadata": dict(server.metadata)}
        if what in ("lock", "unlock"):
            server.locked = what == "lock"
        elif what == "os-resetState":
            server.vm_state, server.task_state = argument["state"], None
        elif what in ("os-stop", "os-start"):
            return self._power(server, what)
        else:
            return error(400, f"There is no such action: {what}")
        return 202, None

    def _power(self, server: Server, what: str) -> Reply:
        allowed = ("active", "error") if what == "os-stop" else ("stopped",)
        if server.vm_state not in allowed or server.task_state:
            attribute, state = ("task", server.task_state) if server.task_state else ("vm", server.vm_state)
            return error(409, f"Cannot '{what[3:]}' instance {server.uuid} while it is in {attribute}_state {state}")
        server.task_state = "powering-off" if what == "os-stop" else "powering-on"
        if what not in server.stuck:
            timer = threading.Timer(server.seconds, self._done, (server, what))
            timer.daemon = True
            timer.start()
        return 202, None

    def _done(self, server: Server, what: str) -> None:
        act, state = (server.stop, "stopped") if what == "os-stop" else (server.start, "active")
        try:
            if act:
                act()
        except Exception:
            state = "error"
        with self._lock:
            server.vm_state, server.task_state = state, None

    def _other(self, path: str, query: dict[str, str]) -> Reply:
        if path in ("", ROOT):
            version = {"id": "v2.1", "status": "CURRENT", "version": _text(NEWEST), "min_version": _text(OLDEST),
                       "links": [{"rel": "self", "href": self.url + "/"}]}
            return 200, {"version": version} if path else {"versions": [version]}
        if path == f"{ROOT}/servers/{DETAIL}":
            return 200, self._detail(query)
        names = [(number, name) for number, name in enumerate(self.hosts, 1) if query.get("host") in (None, name)]
        if path == f"{ROOT}/os-services":
            return 200, {"services": [
                {"id": str(uuid.UUID(int=number)), "binary": "nova-compute", "host": name, "zone": "nova",
                 "status": "enabled", "state": "up", "forced_down": False} for number, name in names]}
        if path in (f"{ROOT}/os-hypervisors", f"{ROOT}/os-hypervisors/{DETAIL}"):
            return 200, {"hypervisors": [
                {"id": str(uuid.UUID(int=number)), "hypervisor_hostname": name, "state": "up", "status": "enabled",
                 "service": {"id": str(uuid.UUID(int=number)), "host": name}} for number, name in names]}
        return error(404, "The resource could not be found.")

    def _detail(self, query: dict[str, str]) -> dict:
        """As Nova does it: who asks for changes is shown what was deleted, too, and who was moved away is not here."""
        now, since = datetime.now(timezone.utc), query.get("changes-since")
        chosen = []
        for server in self.servers.values():
            shown = server.shown()
            if self._changed.get(server.uuid, ({}, now))[0] != shown:
                self._changed[server.uuid] = (shown, now)
            changed = self._changed[server.uuid][1].strftime("%Y-%m-%dT%H:%M:%SZ")
            wanted = changed >= since if since else not server.deleted
            if wanted and query.get("host") in (None, server.host) and server.uuid > query.get("marker", ""):
                chosen.append(shown)
        chosen.sort(key=lambda it: it["id"])
        page = chosen[: min(int(query.get("limit", 1000)), self.page)]
        links = {"servers_links": [{"rel": "next", "href": self.url}]} if len(page) < len(chosen) else {}
        return {"servers": page, **links}

    def record(self, asked: Asked) -> None:
        with self._lock:
            self.requests.append(asked)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nothing: what arrives is recorded, not printed."""

    def do_POST(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        nova: Nova = self.server.nova
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, _, query = self.path.partition("?")
        path = path.rstrip("/")
        version = self._microversion()
        if path not in ("", ROOT) and not self.headers.get("X-Auth-Token"):
            what, number, reply = path, "", error(401, "no token")
        elif not OLDEST <= version <= NEWEST:
            what, number, reply = path, "", error(406, f"Version {_text(version)} is not supported by the API.")
        else:
            document = json.loads(content) if content else {}
            what, number, reply = nova.answer(self.command, path, dict(parse_qsl(query)), document)
        nova.record(Asked(self.command, what, number, _text(version), reply[0]))
        self._reply(*reply, version)

    def _microversion(self) -> tuple[int, ...]:
        said = self.headers.get("OpenStack-API-Version", "").rpartition(" ")[2]
        said = said or self.headers.get("X-OpenStack-Nova-API-Version") or _text(OLDEST)
        return NEWEST if said == "latest" else tuple(int(part) for part in said.split("."))

    def _reply(self, status: int, document: dict | None, version: tuple[int, ...]) -> None:
        content = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("OpenStack-API-Version", f"compute {_text(version)}")
        self.send_header("X-OpenStack-Nova-API-Version", _text(version))
        self.end_headers()
        self.wfile.write(content)


def error(status: int, message: str) -> Reply:
    name = {400: "badRequest", 401: "unauthorized", 404: "itemNotFound", 406: "notAcceptable",
            409: "conflictingRequest"}.get(status, "computeFault")
    return status, {name: {"code": status, "message": message}}


def _text(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)
