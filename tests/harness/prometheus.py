"""A real Prometheus, Debian's, that scrapes a helper and has our alerts; what it has stored is asked back over HTTP.
And a real node_exporter, which reads the helper's file."""
from __future__ import annotations

import json
import socket
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from tests.harness.wait import until

ALERTS = Path(__file__).resolve().parents[2] / "docs/metrics/alerts.yml"
CONFIGURATION = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
  - job_name: masakari-qga
    static_configs: [{{targets: ["{target}"]}}]
"""


def free_port() -> int:
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return int(it.getsockname()[1])


class Prometheus:
    """Use as a context manager. folder: for its files. target: whom it scrapes, each second."""

    def __init__(self, folder: Path, target: str) -> None:
        self._folder, self._address = folder, f"127.0.0.1:{free_port()}"
        folder.mkdir()
        (folder / "prometheus.yml").write_text(CONFIGURATION.format(rules=ALERTS, target=target))

    def __enter__(self) -> Prometheus:
        with (self._folder / "log").open("w") as log:
            self._process = subprocess.Popen(
                ["prometheus", f"--config.file={self._folder}/prometheus.yml", f"--web.listen-address={self._address}",
                 f"--storage.tsdb.path={self._folder}/data"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )
        until(lambda: self._get("/-/ready"), "Prometheus to be ready", 60, despite=(OSError,))
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(60)

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The result of an instant query, as its API has it."""
        found = json.loads(self._get(f"/api/v1/query?{urllib.parse.urlencode({'query': query})}"))
        assert found["status"] == "success", found
        return list(found["data"]["result"])

    def value(self, query: str) -> float | None:
        """The value of the one series that a query finds, None if it finds none."""
        found = self.ask(query)
        assert len(found) < 2, found
        return float(found[0]["value"][1]) if found else None

    def wait(self, query: str, value: float | None, seconds: float = 60.0) -> None:
        until(lambda: self.value(query) == value, f"{query} to be {value}", seconds, 0.2)

    def _get(self, path: str) -> str:
        return get(f"{self._address}{path}")


def exported(folder: Path) -> tuple[str, str]:
    """What a node_exporter tells of the text files in a folder, beside its own metrics; and its log."""
    address = f"127.0.0.1:{free_port()}"
    with subprocess.Popen(
        ["prometheus-node-exporter", "--collector.disable-defaults", "--collector.textfile",
         f"--collector.textfile.directory={folder}", f"--web.listen-address={address}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as exporter:
        try:
            told = until(lambda: get(f"{address}/metrics"), "node_exporter", despite=(OSError,))
        finally:
            exporter.terminate()
        assert exporter.stderr
        return told, exporter.stderr.read()


def get(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}", timeout=30) as answer:
        return str(answer.read().decode())
