"""The control socket: how the resource agent and the operator's command talk to the helper.

One request line, one reply line. `ping` is answered here, at once, with the age of the owner loop's last progress: this
thread lives even when that one does not.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import threading
import time
from typing import Any, Callable

log = logging.getLogger(__name__)

# Seconds that a client may take to send its line, and bytes that it may have. Only root can connect.
REQUEST_LIMIT, REQUEST_SIZE = 2.0, 1 << 20
Handler = Callable[[dict[str, Any]], dict[str, Any]]
Bound = socket.socket


class Refused(Exception):
    """A request cannot be carried out; the text is for people."""


def bound(path: str) -> Bound:
    """The socket at `path`, to which nobody can connect yet, and only root ever: made while we are root."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    if os.path.lexists(path):
        os.unlink(path)  # of an earlier helper: we hold the lock
    made.bind(path)
    os.chmod(path, 0o600)
    return made


class Control:
    """Listens at `path`. progress: monotonic seconds of the owner loop's last progress. handlers: by the word in
    `do`. made: what bound() returned for this path, if it had to be made earlier."""

    def __init__(
        self,
        path: str,
        version: str,
        progress: Callable[[], float],
        handlers: dict[str, Handler],
        made: Bound | None = None,
    ) -> None:
        self._path, self._version, self._progress, self._handlers = path, version, progress, handlers
        self._socket = made or bound(path)
        self._socket.listen(16)
        threading.Thread(target=self._serve, name="control", daemon=True).start()

    def close(self) -> None:
        self._socket.close()
        with contextlib.suppress(OSError):  # who is not root any more leaves it to the agent's stop
            os.unlink(self._path)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError as error:
                if self._socket.fileno() < 0:
                    return
                log.error("the control socket cannot take a client: %s", error.strerror)
                time.sleep(0.2)
                continue
            try:
                line = _line(client)
                client.settimeout(REQUEST_LIMIT)
                if line == b"ping":
                    age = int((time.monotonic() - self._progress()) * 1000)
                    client.sendall(f"alive {age} {self._version} {os.getpid()}\n".encode())
                    client.close()
                else:
                    # A reply that needs the owner loop may take a while; the next ping must not wait for it.
                    threading.Thread(target=self._reply, args=(client, line), name="request", daemon=True).start()
            except (OSError, RuntimeError):  # the latter: no thread is to be had
                client.close()

    def _reply(self, client: socket.socket, line: bytes) -> None:
        try:
            request = json.loads(line)
            handler = self._handlers[request["do"]]
        except (ValueError, TypeError, KeyError, RecursionError):
            words = ", ".join(self._handlers)
            self._send(client, {"ok": False, "error": f"not understood; one of these words in `do`: {words}"})
            return
        try:
            answer = {"ok": True, **handler(request)}
        except (Refused, TimeoutError) as error:
            answer = {"ok": False, "error": str(error)}
        except Exception as error:
            log.exception("a request failed")
            answer = {"ok": False, "error": f"the request failed ({type(error).__name__}); see the helper's log"}
        self._send(client, answer)

    def _send(self, client: socket.socket, answer: dict[str, Any]) -> None:
        with client:
            try:
                client.sendall(json.dumps(answer).encode() + b"\n")
            except OSError:
                pass


def _line(client: socket.socket) -> bytes:
    """The client's line. Raises OSError if it does not come within REQUEST_LIMIT: the next ping waits so long."""
    data, end = b"", time.monotonic() + REQUEST_LIMIT
    while b"\n" not in data and len(data) < REQUEST_SIZE:
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        client.settimeout(left)
        part = client.recv(4096)
        if not part:
            break
        data += part
    return data.partition(b"\n")[0]
