"""A monitor of ours beside one of ocf:heartbeat:Dummy, the least that an agent written in shell can do, and one of
ocf:pacemaker:ping, which asks somebody something, as ours does."""
from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from typing import NamedTuple

from tests.bench.measure import Row, Scene
from tests.harness.cluster import PATH
from tests.harness.node import AGENT

DUMMY, PING = "/usr/lib/ocf/resource.d/heartbeat/Dummy", "/usr/lib/ocf/resource.d/pacemaker/ping"
ENVIRONMENT = {"LC_ALL": "C", "OCF_ROOT": "/usr/lib/ocf", "OCF_RESOURCE_INSTANCE": "x"}
PINGED = {**ENVIRONMENT, **PATH, "OCF_RESKEY_host_list": "127.0.0.1"}
RUNS, WARM_UP = 100, 5
PINGS = 5       # each takes 2 s: three packets
PROMISE = 2.5


class Took(NamedTuple):
    """Seconds of one action, on the clock and of CPU."""

    elapsed: float
    cpu: float


def rows(_: Scene) -> Iterator[Row]:
    _run(DUMMY, "start")
    _run(PING, "start", PINGED)
    try:
        # One after the other, so that whatever else this machine does happens to both.
        taken = [(_run(AGENT, "monitor"), _run(DUMMY, "monitor")) for _ in range(WARM_UP + RUNS)][WARM_UP:]
        pings = [_run(PING, "monitor", PINGED) for _ in range(PINGS)]
    finally:
        _run(PING, "stop", PINGED)
        _run(DUMMY, "stop")
    ours, dummys, ping = (_median(one) for one in (*zip(*taken), pings))
    yield Row("monitor", ours.elapsed * 1000, "ms")
    yield Row("monitor of ocf:heartbeat:Dummy", dummys.elapsed * 1000, "ms")
    yield Row("monitor, ratio", ours.elapsed / dummys.elapsed, "", PROMISE)
    yield Row("monitor, CPU", ours.cpu * 1000, "ms")
    yield Row("monitor of ocf:heartbeat:Dummy, CPU", dummys.cpu * 1000, "ms")
    yield Row("monitor of ocf:pacemaker:ping, one host", ping.elapsed * 1000, "ms")
    yield Row("monitor of ocf:pacemaker:ping, CPU", ping.cpu * 1000, "ms")


def _median(taken: tuple[Took, ...] | list[Took]) -> Took:
    return Took(*map(statistics.median, zip(*taken)))


def _run(agent: str, action: str, environment: dict[str, str] | None = None) -> Took:
    """One action, spawned as cheaply as Linux can. Raises AssertionError."""
    actions = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
    began = time.perf_counter()
    pid = os.posix_spawn(agent, [agent, action], environment or ENVIRONMENT, file_actions=actions)
    _, status, spent = os.wait4(pid, 0)
    elapsed = time.perf_counter() - began
    code = os.waitstatus_to_exitcode(status)
    assert code == 0, f"{agent} {action} gave {code}"
    return Took(elapsed, spent.ru_utime + spent.ru_stime)
