"""The upstream monitor that ours is measured against, from PyPI and in an environment of its own.

`python3 -m tests.harness.peer` installs it; that needs a network, so it cannot be done inside a cell.
"""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.harness import image
from tests.harness.endpoint import Endpoint
from tests.harness.helper import ini

# Up to 16.0.0 it examines no guest on Python 3, up to 20 one domain that vanishes ends a round.
NAME, VERSION = "masakari-monitors", "22.0.0"
PROGRAM = "masakari-introspectiveinstancemonitor"


def home() -> Path:
    return image.cache() / f"peer-{VERSION}"


def install() -> None:
    """Nothing if it is there. Raises subprocess.CalledProcessError."""
    with image.locked():
        if (home() / "installed").exists():
            return
        for command in (["/usr/bin/python3", "-I", "-m", "venv", "--clear", "--system-site-packages", str(home())],
                        [str(home() / "bin/pip"), "install", "--quiet", "--no-input", "--disable-pip-version-check",
                         f"{NAME}=={VERSION}"]):
            subprocess.run(command, check=True)
        (home() / "installed").touch()


class Peer:
    """Use as a context manager. folder: for its files. interval, timeout: s; threshold: of failures, which it finds
    exceeded at the fifth where 3 is set."""

    def __init__(self, folder: Path, endpoint: Endpoint, interval: int = 10, timeout: int = 5,
                 threshold: int = 3) -> None:
        self._log, self._config = folder / "peer.log", folder / "peer.conf"
        self._config.write_text(ini({
            "DEFAULT": {"hostname": "one"},
            "libvirt": {"connection_uri": "qemu:///system"},
            "introspectiveinstancemonitor": {"guest_monitoring_interval": interval, "guest_monitoring_timeout": timeout,
                                             "guest_monitoring_failure_threshold": threshold},
            "api": {"region": endpoint.region, "auth_type": "password", "auth_url": endpoint.auth_url,
                    "username": endpoint.username, "password": endpoint.password, "project_name": "service",
                    "user_domain_name": "Default", "project_domain_name": "Default"}}))
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> Peer:
        with self._log.open("w") as log:
            self._process = subprocess.Popen([home() / "bin" / PROGRAM, "--config-file", self._config],
                                             stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                             env={**os.environ, "PYTHONWARNINGS": "ignore"})
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(60)

    @property
    def pid(self) -> int:
        """Raises ProcessLookupError if it does not run, with what it said."""
        if self._process.poll() is not None:
            raise ProcessLookupError(f"the peer has ended: {self.log()[-2000:]}")
        return self._process.pid

    def log(self) -> str:
        return self._log.read_text(errors="replace")


if __name__ == "__main__":
    sys.exit(install())
