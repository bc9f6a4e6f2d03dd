"""Who is measured: our helper, the peer, the bare loop. Each watches every guest of the fleet before it is yielded."""
from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.bench.measure import Field
from tests.harness.endpoint import Endpoint
from tests.harness.helper import Helper, settings
from tests.harness.peer import Peer
from tests.harness.wait import Overdue, until

# The breaker would keep back what is to be measured, and the budget what comes after fifty.
LET_PASS = {"breaker": {"action": "report"}, "budget": {"in_flight": 1000}, "log": {"level": "info"}}
PEER_SETTLES = 25.0     # s: two rounds and a half
INTERVAL = 10           # s between two questions to a guest, everybody's default


class Contestant(NamedTuple):
    """endpoint: to whom it reports; None if it never does."""

    pid: int
    endpoint: Endpoint | None

    def came(self) -> dict[str, float]:
        """Guest's uuid to the monotonic time of the first report about it."""
        first: dict[str, float] = {}
        for attempt in list(self.endpoint.attempts):
            first.setdefault(attempt.notification["payload"]["instance_uuid"], attempt.at)
        return first


@contextlib.contextmanager
def ours(field: Field, **sections: Mapping[str, object]) -> Iterator[Contestant]:
    """The helper of this checkout with default options, but for those given and what would keep reports back."""
    with Endpoint() as endpoint, tempfile.TemporaryDirectory() as folder:
        options = {name: {**LET_PASS.get(name, {}), **sections.get(name, {})} for name in {**LET_PASS, **sections}}
        with Helper(Path(folder), settings(Path(folder), endpoint, **options)) as helper:
            wanted = {guest.uuid for guest in field.fleet.guests}
            until(lambda: wanted <= {it["uuid"] for it in helper.status()["guests"] if it["state"] == "healthy"},
                  "the helper to find all guests healthy", 120, 0.5)
            yield Contestant(helper.pid, endpoint)
            for line in helper.log().splitlines():
                if re.search(" (WARNING|ERROR) ", line) and "(recover)" not in line:    # verdicts are what is measured
                    print(line[:200], file=sys.stderr)


@contextlib.contextmanager
def peer(_: Field, **options: int) -> Iterator[Contestant]:
    """The peer with ours' interval and timeout, and its own threshold, unless other options are given. Its log names
    no healthy guest, so it is given time."""
    options = {"interval": INTERVAL, "timeout": 5, "threshold": 3, **options}
    with Endpoint() as endpoint, tempfile.TemporaryDirectory() as folder, \
            Peer(Path(folder), endpoint, **options) as process:
        time.sleep(PEER_SETTLES)
        yield Contestant(process.pid, endpoint)


@contextlib.contextmanager
def floor(field: Field) -> Iterator[Contestant]:
    """The bare loop."""
    with aside("floor", str(INTERVAL), *(guest.uuid for guest in field.fleet.guests)) as process:
        time.sleep(INTERVAL)        # its first round is dearer
        yield Contestant(process.pid, None)


@contextlib.contextmanager
def aside(role: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Another client, see client.py, once it has said "ready"; killed at the end."""
    command = ["/usr/bin/python3", "-m", "tests.bench.client", role, *arguments]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        try:
            said = process.stdout.readline()
            assert said == "ready\n", f"{role} said {said!r}"
            yield process
        finally:
            process.kill()


def reported(contestant: Contestant, uuids: set[str], began: float, limit: float) -> list[float]:
    """Seconds from `began` to the first report about each of these guests, sorted; shorter if the limit passed."""
    with contextlib.suppress(Overdue):
        until(lambda: uuids <= contestant.came().keys(), "all reports", limit + began - time.monotonic(), 0.1)
    return sorted(at - began for uuid, at in contestant.came().items() if uuid in uuids)
