"""What every enquiry about a service needs: requests that change nothing, a bounded reading of their answers, and words
for what went wrong. Used in the process of heartbeat/backends/enquiry.py alone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import keystoneauth1.exceptions as failures
from keystoneauth1.session import Session

from heartbeat.backends.causes import cause
from heartbeat.backends.clock import Clocks
from heartbeat.backends.reach import obstacle
from heartbeat.inspection.finding import FAILED, OK, WARNING, Finding

LARGEST = 4 << 20  # bytes: hosts of a segment come with the whole segment each, 0.7 kB
REQUEST_SECONDS = 10.0


class Conversation:
    """options: from heartbeat.connections. say: takes a finding. stage: takes what is being done now."""

    def __init__(
        self, options: Mapping[str, Any], say: Callable[[Finding], None], stage: Callable[[str], None]
    ) -> None:
        self.options: dict[str, Any] = {**options, "timeout": min(options["timeout"], REQUEST_SECONDS)}
        self.say, self.stage, self.clocks = say, stage, Clocks()
        self.session: Session | None = None

    def name(self, option: str) -> str:
        """Where the operator finds an option."""
        return str(self.options["names"].get(option, f"masakari.{option}"))

    def ok(self, step: str, text: str) -> None:
        self.say(Finding(OK, step, text))

    def warn(self, step: str, text: str, remedy: str) -> None:
        self.say(Finding(WARNING, step, text, remedy))

    def fail(self, step: str, text: str, remedy: str) -> None:
        self.say(Finding(FAILED, step, text, remedy, 1))

    def read(
        self, who: str, url: str, authenticated: bool = True, version: str = "instance-ha 1.0"
    ) -> tuple[int, Any]:
        """Status and document of a GET, None if it is no JSON. Raises whatever requests and keystoneauth1 raise."""
        assert self.session is not None
        begun = time.time()
        # What is read is bounded on the wire, so it must not be compressed.
        response = self.session.get(
            url, authenticated=authenticated, raise_exc=False, redirect=False, log=False, stream=True,
            headers={"Accept": "application/json", "Accept-Encoding": "identity", "OpenStack-API-Version": version},
        )  # fmt: skip
        try:
            self.clocks.note(who, response.headers.get("Date"), begun, time.time())
            content = response.raw.read(LARGEST, decode_content=False)
        finally:
            response.close()
        try:
            return response.status_code, json.loads(content)
        except (ValueError, RecursionError):
            return response.status_code, None

    def blocked(self, step: str, who: str, url: str, option: str) -> bool:
        """Whether the way to an address is what is wrong, which is said then. option: where that address stands."""
        found = obstacle(
            url, option, self.options["cafile"], self.name("cafile"), REQUEST_SECONDS / 2, self.stage,
            self.options["insecure"],
        )  # fmt: skip
        if found:
            self.fail(step, f"{who}: {found.text}", found.remedy)
        return found is not None


def words(error: Exception) -> str:
    """What an exception says to people, without what only a debugger understands."""
    return "no answer in time" if isinstance(error, failures.ConnectTimeout) else cause(error)
