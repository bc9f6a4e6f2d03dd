"""A compute node in a cell, with the installed package: libvirtd, guests, a cluster of one, and Masakari's endpoint."""
from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tests.harness.cluster import PATH, Cluster
from tests.harness.endpoint import Endpoint
from tests.harness.helper import ini
from tests.harness.hypervisor import Libvirtd
from tests.harness.wait import until

RESOURCE = "qga-monitor"
HELPER = "/usr/lib/masakari-qga/heartbeat"
AGENT = "/usr/lib/ocf/resource.d/masakari/qga"
LOG = "/var/log/masakari-qga.log"
RUN = Path("/run/masakari-qga")
CONFIG = Path("/etc/masakari-qga/masakari-qga.conf")


class Node:
    """Use as a context manager. sections: what the configuration file holds besides the way to the endpoint."""

    def __init__(self, **sections: Mapping[str, object]) -> None:
        self.endpoint, self.libvirtd, self.cluster = Endpoint(), Libvirtd(), Cluster()
        self._sections = sections

    def __enter__(self) -> Node:
        self.endpoint.open()
        self.configure(**self._sections)
        self.libvirtd.start()
        self.cluster.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind:
            print(f"--- the helper's log\n{self.log()}---", file=sys.stderr)
        self.cluster.stop()
        self.libvirtd.teardown()
        self.endpoint.refuse()

    def configure(self, **sections: Mapping[str, object]) -> None:
        """Write the configuration file as an operator would, with these options besides the credentials."""
        parts: dict[str, dict[str, object]] = {
            "masakari": {"auth_url": self.endpoint.auth_url, "username": "masakari", "password": "secret"},
            "log": {"to": LOG, "level": "debug"},
        }
        for name, options in sections.items():
            parts.setdefault(name, {}).update(options)
        CONFIG.parent.mkdir(exist_ok=True)
        CONFIG.write_text(ini(parts))
        CONFIG.chmod(0o640)

    def create(self, *parameters: str) -> None:
        """`pcs resource create ... clone`, and wait until it runs."""
        self.cluster.pcs("resource", "create", RESOURCE, "ocf:masakari:qga", *parameters, "clone")
        self.cluster.wait_role(RESOURCE, "Started")

    @staticmethod
    def run(*command: str, seconds: float = 120.0, **environment: str) -> subprocess.CompletedProcess[str]:
        """A command as a shell of root runs it."""
        return subprocess.run(command, env={**PATH, "HOME": "/root", **environment}, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=seconds)

    def operations(self) -> list[tuple[str, str, str]]:
        """What Pacemaker did with the resource since it began: operation, interval (s, with unit), exit code."""
        shown = ElementTree.fromstring(self.run("crm_mon", "-1", "-o", "--output-as=xml").stdout)
        history = f"node_history/node/resource_history[@id='{RESOURCE}']/operation_history"
        return [tuple(done.get(name, "") for name in ("task", "interval", "rc")) for done in shown.iterfind(history)]

    def delete(self) -> None:
        """`pcs resource delete`, if there is one; pcs waits until it is stopped."""
        if self.cluster.resource_state(RESOURCE):
            self.cluster.pcs("resource", "delete", RESOURCE)

    def discard(self) -> None:
        """Leave no resource behind: quicker than `delete`, since Pacemaker itself stops what is not configured."""
        if self.cluster.resource_state(RESOURCE):
            self.cluster.pcs("resource", "delete", RESOURCE, "--force")
            until(lambda: not self.cluster.resources() and not self.helpers(), f"the end of {RESOURCE}", 60)

    def agent(self, action: str, *, seconds: float = 120.0, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the installed agent by hand, as `crm_resource --force-*` would."""
        variables = {**PATH, "OCF_ROOT": "/usr/lib/ocf", "OCF_RESOURCE_INSTANCE": RESOURCE, **environment}
        return subprocess.run([AGENT, action], env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=seconds, cwd="/")

    def status(self) -> dict[str, Any]:
        """`masakari-qga status --json`. Raises AssertionError if it fails."""
        ran = self.command("status", "--json")
        assert ran.returncode == 0, ran.stderr
        return dict(json.loads(ran.stdout))

    def table(self) -> str:
        """`masakari-qga status`, as an operator sees it."""
        ran = self.command("status")
        return ran.stdout + ran.stderr

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The operator's command."""
        return self.run("masakari-qga", *arguments)

    def guest(self, uuid: str) -> dict[str, Any]:
        """What status says of one guest; empty if it does not know it. Raises AssertionError as `status` does."""
        return next((guest for guest in self.status()["guests"] if guest["uuid"] == uuid), {})

    def state(self, uuid: str) -> str:
        return str(self.guest(uuid).get("state", "not known"))

    def wait_state(self, uuid: str, state: str, seconds: float = 90.0) -> None:
        until(lambda: self.state(uuid) == state, f"guest {uuid} to be {state}", seconds, 0.2, (AssertionError,))

    def wait_attribute(self, name: str, value: str | None, seconds: float = 60.0) -> None:
        """Until the cluster shows this value of a node attribute; None: until it shows none."""
        until(lambda: self.cluster.attributes().get(name) == value, f"node attribute {name} to be {value}", seconds,
              0.2)

    @staticmethod
    def log() -> str:
        """The helper's own log."""
        path = Path(LOG)
        return path.read_text() if path.exists() else ""

    @staticmethod
    def helper() -> int:
        """The pid of the helper that holds the lock, in the kernel's word. Raises ProcessLookupError."""
        try:
            inode = os.stat(RUN / "lock").st_ino
        except FileNotFoundError:
            raise ProcessLookupError("there is no lock") from None
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()
            if "FLOCK" in fields and fields[-3].rpartition(":")[2] == str(inode) and fields[1] != "->":
                return int(fields[-4])
        raise ProcessLookupError("nobody holds the lock")

    @staticmethod
    def helpers() -> list[int]:
        """Every process that runs the installed helper, whether it holds the lock or not. Its children do not count:
        they look like it until they execute what they are for."""
        parents = {}
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):      # it may end while we look
                if path.joinpath("cmdline").read_bytes().split(b"\0")[2:3] == [HELPER.encode()]:
                    parents[int(path.name)] = int(path.joinpath("stat").read_text().rpartition(")")[2].split()[1])
        return [pid for pid, parent in parents.items() if parent not in parents]

    def wait_helper(self, other_than: int = 0, seconds: float = 60.0) -> int:
        """The pid of the helper, once there is one, and it is not that one."""
        return until(lambda: (pid := self.helper()) != other_than and pid, "a helper" + " anew" * bool(other_than),
                     seconds, despite=(ProcessLookupError,))
