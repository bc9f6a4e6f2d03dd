"""A small cloud in a cell: the real Keystone, the real Masakari with its engine, and our Nova behind it."""
from __future__ import annotations

import contextlib
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests

from tests.harness.credentials import sender_options
from tests.harness.nova import Nova
from tests.harness.services import IDENTITY, MASAKARI, PASSWORD, PROJECT, REGION, Services
from tests.harness.wait import until

LATEST = "1.3"      # microversion of masakari 22
# Users, and their role on the project. The first is the service's own.
USERS = {"masakari": "admin", "qga": "admin", "member": "member", "reader": "reader", "service": "service"}
# Statuses of a notification that is not at its end yet. `error` gets one more attempt.
ON_ITS_WAY = ("new", "running", "error")


class Cloud:
    """Use as a context manager, in a cell. folder, services: see tests/harness/services.py.

    nova              see tests/harness/nova.py
    auth_url, url     Keystone, and Masakari's endpoint
    username          who reports, with the role admin on the project "service"; the password is "secret"
    """

    auth_url, url, username = IDENTITY, MASAKARI, "qga"

    def __init__(self, folder: Path, hosts: tuple[str, ...] = ("one",)) -> None:
        self.services, self.nova = Services(folder), Nova(hosts)
        self._tokens: dict[str, str] = {}

    def __enter__(self) -> Cloud:
        with contextlib.ExitStack() as undone:
            undone.enter_context(self.nova)
            undone.callback(self.services.close)
            self.services.install()
            self.services.start("keystone")
            self._populate()
            self.services.start("masakari")
            self._undone = undone.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undone.close()

    def token(self, user: str = "qga") -> str:
        """A token on the project; the same one while nothing revokes it."""
        if user not in self._tokens:
            self._tokens[user] = self.login(user)
        return self._tokens[user]

    def login(self, user: str, project: str = PROJECT, password: str = PASSWORD) -> str:
        """A new token."""
        domain = {"id": "default"}
        return self.authenticate({
            "identity": {"methods": ["password"],
                         "password": {"user": {"name": user, "password": password, "domain": domain}}},
            "scope": {"project": {"name": project, "domain": domain}}})

    def authenticate(self, auth: Mapping[str, object]) -> str:
        reply = requests.post(f"{IDENTITY}/auth/tokens", json={"auth": auth}, timeout=30)
        reply.raise_for_status()
        return reply.headers["X-Subject-Token"]

    def call(self, method: str, path: str, document: object = None, url: str = MASAKARI,
             microversion: str = LATEST) -> Any:
        """A request to Masakari, or another service, of its administrator, and the document that it answers with.
        Raises requests.HTTPError for an answer that is an error."""
        reply = requests.request(method, url + path, json=document, timeout=60, headers={
            "X-Auth-Token": self.token(), "OpenStack-API-Version": f"instance-ha {microversion}"})
        reply.raise_for_status()
        return reply.json() if reply.content else None

    def segment(self, *hosts: str, enabled: bool = True) -> str:
        """A new failover segment with these hosts, which Nova comes to know; its uuid."""
        wanted = {"name": uuid.uuid4().hex, "recovery_method": "auto", "service_type": "COMPUTE", "enabled": enabled}
        number = self.call("POST", "/segments", {"segment": wanted})["segment"]["uuid"]
        for name in hosts:
            if name not in self.nova.hosts:
                self.nova.hosts.append(name)
            host = {"name": name, "type": "COMPUTE", "control_attributes": "SSH"}
            self.call("POST", f"/segments/{number}/hosts", {"host": host})
        return number

    def maintenance(self, segment: str, name: str, on: bool) -> None:
        """Say that a host is on maintenance, or not any more."""
        (host,) = (it for it in self.call("GET", f"/segments/{segment}/hosts")["hosts"] if it["name"] == name)
        self.call("PUT", f"/segments/{segment}/hosts/{host['uuid']}", {"host": {"on_maintenance": on}})

    def notification(self, number: str, microversion: str = LATEST) -> dict:
        """What Masakari shows of a notification."""
        return self.call("GET", f"/notifications/{number}", microversion=microversion)["notification"]

    def outcome(self, number: str, seconds: float = 60.0) -> dict:
        """The same, once nothing will change it any more."""
        def ended() -> dict | None:
            shown = self.notification(number)
            return None if shown["status"] in ON_ITS_WAY else shown
        return until(ended, f"notification {number} to come to an end", seconds, 0.2)

    def sender_options(self, timeout: int = 15) -> dict[str, Any]:
        """What a Sender of ours is given to reach this cloud."""
        return sender_options(timeout=timeout, **self.section())

    def section(self) -> dict[str, str]:
        """[masakari] of our own configuration file."""
        return {"auth_url": IDENTITY, "username": self.username, "password": PASSWORD}

    def _populate(self) -> None:
        """The project, users and catalogue."""
        self._tokens["qga"] = self.login("admin", "admin")
        project = self._create("project", name=PROJECT, domain_id="default")
        roles = {role["name"]: role["id"] for role in self.call("GET", "/roles", url=IDENTITY)["roles"]}
        for name, role in USERS.items():
            user = self._create("user", name=name, password=PASSWORD, domain_id="default")
            self.call("PUT", f"/projects/{project}/users/{user}/roles/{roles[role]}", url=IDENTITY)
        for name, kind, url in (("masakari", "instance-ha", MASAKARI), ("nova", "compute", self.nova.url)):
            service = self._create("service", name=name, type=kind)
            for interface in ("public", "internal", "admin"):
                self._create("endpoint", service_id=service, interface=interface, region_id=REGION, url=url)
        self._tokens.clear()

    def _create(self, kind: str, **known: object) -> str:
        return self.call("POST", f"/{kind}s", {kind: known}, url=IDENTITY)[kind]["id"]
