"""Keystone and masakari-api for tests: a server that holds to their contract, records what comes, fails on demand.

    python3 -m tests.harness.endpoint --port N --log FILE [--host NAME]...
"""
from __future__ import annotations

import argparse
import json
import threading
import time
import uuid
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path

from tests.harness.endpoint_http import IDENTITY, Attempt, Fault, Server
from tests.harness.masakari import Masakari
from tests.harness.masakari_api import Asked, Reply, reply
from tests.harness.receivers import Asked as Received
from tests.harness.receivers import Hook, Mistral, Vitrage, receivers
from tests.harness.wait import until


class Endpoint:
    """A cloud's corner. Use as a context manager; with port 0 the kernel chooses.

    hosts     the names that Masakari knows, of which a notification must name one
    log       a file that gets a line of JSON per attempt

    attempts  every POST of a notification; notifications: those that were stored (answered or not)
    reads     the path of every GET of Masakari's, with its query
    logins    tokens given out
    masakari  hosts, maintenance (a set of names), stored rows
    receivers Vitrage, Mistral and a webhook's receiver, by path; received: every POST to each, by its name
    role      of the user: anything but admin gets 403
    """

    def __init__(self, hosts: tuple[str, ...] = ("one",), port: int = 0, username: str = "masakari",
                 password: str = "secret", region: str = "RegionOne", log: Path | None = None) -> None:
        self.masakari, self.role = Masakari(hosts), "admin"
        self.username, self.password, self.region = username, password, region
        self.attempts: list[Attempt] = []
        self.receivers = receivers()
        self.received: dict[str, list[Attempt]] = {it.name: [] for it in self.receivers.values()}
        self.logins = 0
        self._port, self._log = port, log
        self._tokens: set[str] = set()
        self.reads: list[str] = []
        queues = ("notifications", "reads", "tokens", *self.received)
        self._next: dict[str, list[Fault | int]] = {name: [] for name in queues}
        self._always: dict[str, Fault | int] = {}
        self._lock, self._released = threading.Lock(), threading.Event()
        self._server: Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Endpoint:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def auth_url(self) -> str:
        return self.url + IDENTITY

    @property
    def hosts(self) -> dict[str, str]:
        """Registered hosts, name to uuid; a test may add and delete."""
        return self.masakari.hosts

    @property
    def notifications(self) -> list[Attempt]:
        return [attempt for attempt in list(self.attempts) if attempt.stored]

    def wait(self, count: int = 1, seconds: float = 60.0) -> list[Attempt]:
        """The stored notifications, once there are so many."""
        until(lambda: len(self.notifications) >= count, f"{count} stored notification(s)", seconds)
        return self.notifications

    def open(self) -> None:
        """Listen; after `refuse` on the same port as before."""
        self._server = Server(("127.0.0.1", self._port), self)
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def refuse(self) -> None:
        """Nobody listens any more, and open connections are closed."""
        if self._server:
            self._released.set()
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = None

    def fail(self, fault: Fault | int, times: int = 1, on: str = "notifications") -> None:
        """Let so many of the next requests fail so; times=0: all until `heal`. on: "notifications", "reads" of
        them, "tokens", or a receiver's name."""
        with self._lock:
            self._released.clear()
            if times:
                self._next[on] += [fault] * times
            else:
                self._always[on] = fault

    def heal(self) -> None:
        """No more faults; requests that hang get their connection closed."""
        with self._lock:
            self._always.clear()
            for queue in self._next.values():
                queue.clear()
        self._released.set()

    def revoke(self) -> None:
        """The tokens given out so far are worth nothing any more."""
        with self._lock:
            self._tokens.clear()

    # For the HTTP side

    def login(self, request: object) -> str | None:
        """A token for the right password."""
        try:
            user = request["auth"]["identity"]["password"]["user"]
            if (user["name"], user["password"]) != (self.username, self.password):
                return None
        except (KeyError, TypeError):
            return None
        with self._lock:
            self.logins += 1
            token = uuid.uuid4().hex
            self._tokens.add(token)
        return token

    def authentic(self, token: str | None) -> bool:
        return token in self._tokens

    def next_fault(self, on: str) -> Fault | int | None:
        with self._lock:
            return self._next[on].pop(0) if self._next[on] else self._always.get(on)

    def hang(self) -> None:
        self._released.wait()

    def released(self, seconds: float) -> bool:
        return self._released.wait(seconds)

    def receive(self, receiver: Vitrage | Mistral | Hook, headers: Mapping[str, str], body: bytes,
                authentic: bool) -> tuple:
        with self._lock:
            return receiver.post(Received(headers, body, authentic))

    def receiver(self, name: str) -> Vitrage | Mistral | Hook:
        return next(it for it in self.receivers.values() if it.name == name)

    def answer(self, asked: Asked) -> Reply:
        with self._lock:
            return reply(self.masakari, asked)

    def record(self, attempt: Attempt) -> None:
        with self._lock:
            self.attempts.append(attempt)
            if self._log:
                line = {"time": datetime.now(timezone.utc).isoformat(), **attempt._asdict()}
                with open(self._log, "a") as log:
                    log.write(json.dumps(line, default=repr) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description="Keystone and masakari-api that record what arrives.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--host", action="append", help="a host that Masakari knows (default: one)")
    chosen = parser.parse_args()
    with Endpoint(tuple(chosen.host or ["one"]), chosen.port, log=chosen.log) as endpoint:
        print(endpoint.auth_url, flush=True)
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main()
