"""Our helper from this checkout, as a process of its own, with what a test wants to know of it and do to it."""
from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qga_ra.supervision import ENVIRONMENT
from tests.harness.endpoint import Endpoint
from tests.harness.wait import until

CODE = Path(__file__).resolve().parents[2] / "heartbeat"


def ini(sections: Mapping[str, Mapping[str, object]]) -> str:
    return "".join(
        f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in options.items())
        for name, options in sections.items()
    )


def settings(folder: Path, endpoint: Endpoint | None = None, **sections: Mapping[str, object]) -> str:
    """The text of a configuration file: state and log in `folder`, reports to `endpoint`, and what is given besides."""
    parts: dict[str, dict[str, object]] = {
        "state": {"directory": folder / "state"},
        "log": {"to": folder / "log", "level": "debug"},
        "report": {"backends": "masakari" if endpoint else "", "hostname": "one"},
    }
    if endpoint:
        parts["masakari"] = {"auth_url": endpoint.auth_url, "username": endpoint.username, "password": "secret"}
    for name, options in sections.items():
        parts.setdefault(name, {}).update(options)
    return ini(parts)


class Helper:
    """Use as a context manager: started, and killed at the end. folder: for its files, which outlive it."""

    def __init__(self, folder: Path, configuration: str, *arguments: str) -> None:
        self.folder, self._arguments = folder, arguments
        self.config = folder / "masakari-qga.conf"
        self.config.write_text(configuration)
        self.config.chmod(0o640)
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Helper:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.kill()

    @property
    def pid(self) -> int:
        """Raises ProcessLookupError if it does not run."""
        if self._process is None or self._process.poll() is not None:
            raise ProcessLookupError("the helper does not run")
        return self._process.pid

    def start(self) -> None:
        """Returns when it says that it is ready."""
        with (self.folder / "stderr").open("w") as stderr:
            self._process = subprocess.Popen(
                ["/usr/bin/python3", "-I", str(CODE), "--config", str(self.config),
                 "--run-directory", str(self.folder / "run"), *self._arguments],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True,
                env={**os.environ, **{name: it for name, it in ENVIRONMENT.items() if name.startswith("MALLOC")}},
            )
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        assert said == "ready\n", f"the helper did not begin: {(self.folder / 'stderr').read_text()}"

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        self.signal(signal.SIGKILL)
        self._end()

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        self.signal(signal.SIGTERM)
        return self._end()

    def ask(self, request: str) -> str:
        """One line to the control socket, and the reply."""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(30)
            control.connect(str(self.folder / "run" / "control.sock"))
            control.sendall(request.encode() + b"\n")
            return b"".join(iter(lambda: control.recv(65536), b"")).decode()

    def command(self, do: str, **words: object) -> dict[str, Any]:
        """A request, and its reply. Raises AssertionError if it is refused."""
        reply = dict(json.loads(self.ask(json.dumps({"do": do, **words}))))
        assert reply["ok"], reply["error"]
        return reply

    def status(self) -> dict[str, Any]:
        return self.command("status")

    def guest(self, uuid: str) -> dict[str, Any]:
        """What status says of one guest; empty if it does not know it."""
        return next((guest for guest in self.status()["guests"] if guest["uuid"] == uuid), {})

    def state(self, uuid: str) -> str:
        return str(self.guest(uuid).get("state", "not known"))

    def wait_state(self, uuid: str, *states: str, seconds: float = 90.0) -> str:
        """Until the guest is in one of these states, which is returned."""
        wanted = " or ".join(states)
        return until(lambda: (now := self.state(uuid)) in states and now, f"guest {uuid} to be {wanted}", seconds, 0.2)

    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text() if path.exists() else ""

    def _end(self) -> int:
        assert self._process is not None
        code = self._process.wait(60)
        if self._process.stdout:
            self._process.stdout.close()
        return code
