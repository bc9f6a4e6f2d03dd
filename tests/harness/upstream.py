"""The real Mistral and the real Vitrage, each in one process, without Keystone and RabbitMQ.

Installed by tests/openstack/receivers.sh. Ports are free ones, so no cell is needed.
"""
from __future__ import annotations

import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

import requests

from tests.harness.helper import ini
from tests.harness.wait import until

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs/backends"
INVENTORY = """metadata: {name: test}
definitions:
  entities:
  - {static_id: host, type: nova.host, name: compute1, id: compute1, state: available}
%s
  relationships:
%s
"""
PASTE = """[composite:vitrage+noauth]
use = egg:Paste#urlmap
/v1 = v1
[app:v1]
paste.app_factory = vitrage.api.app:app_factory
root = vitrage.api.controllers.v1.root.V1Controller
"""


class Upstream:
    """One service; use as a context manager. folder: its configuration, database and log."""

    name, probe = "", "/"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Upstream:
        python = ROOT / "build" / self.name / "bin/python"
        if not (ROOT / "build" / self.name / "installed").exists():
            raise RuntimeError(f"{python} is not there; run tests/openstack/receivers.sh first")
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{self.name}.conf").write_text(ini(self.configuration()))
        with (self.folder / "out").open("wb") as out:
            self._process = subprocess.Popen(
                [python, ROOT / f"tests/openstack/{self.name}_server.py", str(self.port), str(self.folder)],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.folder,
                env={"PATH": "/usr/bin:/bin", "HOME": str(self.folder), "PYTHONWARNINGS": "ignore"})

        def answers() -> bool:
            if self._process.poll() is not None:
                raise RuntimeError(f"{self.name} ended: {(self.folder / 'out').read_text()[-2000:]}")
            return requests.get(self.url + self.probe, timeout=10).status_code < 500
        try:
            until(answers, f"{self.name} to answer", 120, 0.2, despite=(requests.ConnectionError, requests.Timeout))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def configuration(self) -> Mapping[str, Mapping[str, object]]:
        """Every service's: no broker, a database of its own."""
        return {
            "DEFAULT": {"log_file": self.folder / "log", "transport_url": "fake://", "rpc_response_timeout": 20},
            "database": {"connection": f"sqlite:///{self.folder}/{self.name}.sqlite"},
        }


class Mistral(Upstream):
    name = "mistral"

    def configuration(self) -> Mapping[str, Mapping[str, object]]:
        return {**super().configuration(), "pecan": {"auth_enable": False}, "cron_trigger": {"enabled": False}}

    def create(self, definition: str) -> requests.Response:
        return requests.post(f"{self.url}/v2/workflows", data=definition.encode(), timeout=30,
                             headers={"Content-Type": "text/plain"})

    def executions(self) -> dict[str, dict]:
        found = requests.get(f"{self.url}/v2/executions", timeout=30).json()["executions"]
        return {it["id"]: it for it in found}

    def ended(self, number: str) -> dict:
        def look() -> dict | None:
            it = requests.get(f"{self.url}/v2/executions/{number}", timeout=30).json()
            return it if it["state"] in ("SUCCESS", "ERROR") else None
        return until(look, "the execution to end", 60, 0.2)


class Vitrage(Upstream):
    """guests: the uuids of the instances that it has in its graph, on compute1."""

    name, probe = "vitrage", "/graph"

    def __init__(self, folder: Path, guests: tuple[str, ...]) -> None:
        super().__init__(folder)
        self.guests = guests

    def configuration(self) -> Mapping[str, Mapping[str, object]]:
        (self.folder / "static").mkdir(exist_ok=True)
        entity = "  - {static_id: v%d, type: nova.instance, name: vm%d, id: %s, state: ACTIVE}"
        entities = [entity % (number, number, uuid) for number, uuid in enumerate(self.guests)]
        tie = "  - {source: host, target: v%d, relationship_type: contains}"
        ties = [tie % number for number in range(len(entities))]
        (self.folder / "static/inventory.yaml").write_text(INVENTORY % ("\n".join(entities), "\n".join(ties)))
        (self.folder / "api-paste.ini").write_text(PASTE)
        return {
            **super().configuration(),
            "api": {"paste_config": self.folder / "api-paste.ini", "auth_mode": "noauth"},
            "datasources": {"types": "static,prometheus"},
            "static": {"directory": self.folder / "static"},
            "prometheus": {"config_file": EXAMPLES / "vitrage_prometheus.yaml"},
            "persistency": {"enable_persistency": False},
        }

    def alarms(self) -> list[tuple[str, tuple[str, ...], str]]:
        """Those that last: name, what each is on, severity."""
        found = requests.get(self.url + self.probe, timeout=30).json()
        return sorted((it["name"], tuple(it["on"]), it["severity"]) for it in found if not it["deleted"])
