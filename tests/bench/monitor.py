"""A monitor of ours beside one of ocf:heartbeat:Dummy, the least that an agent written in shell can do."""
from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator

from tests.bench.measure import Row, Scene
from tests.harness.node import AGENT

DUMMY = "/usr/lib/ocf/resource.d/heartbeat/Dummy"
ENVIRONMENT = {"LC_ALL": "C", "OCF_ROOT": "/usr/lib/ocf", "OCF_RESOURCE_INSTANCE": "x"}
RUNS, WARM_UP = 100, 5
PROMISE = 2.5


def rows(_: Scene) -> Iterator[Row]:
    _run(DUMMY, "start")
    try:
        # One after the other, so that whatever else this machine does happens to both.
        taken = [(_run(AGENT, "monitor"), _run(DUMMY, "monitor")) for _ in range(WARM_UP + RUNS)][WARM_UP:]
    finally:
        _run(DUMMY, "stop")
    ours, dummys = (statistics.median(elapsed for elapsed, _ in one) for one in zip(*taken))
    cpu, dummys_cpu = (statistics.median(spent for _, spent in one) for one in zip(*taken))
    yield Row("monitor", ours * 1000, "ms")
    yield Row("monitor of ocf:heartbeat:Dummy", dummys * 1000, "ms")
    yield Row("monitor, ratio", ours / dummys, "", PROMISE)
    yield Row("monitor, CPU", cpu * 1000, "ms")
    yield Row("monitor of ocf:heartbeat:Dummy, CPU", dummys_cpu * 1000, "ms")


def _run(agent: str, action: str) -> tuple[float, float]:
    """Seconds that one action took, and seconds of CPU; spawned as cheaply as Linux can. Raises AssertionError."""
    actions = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
    began = time.perf_counter()
    pid = os.posix_spawn(agent, [agent, action], ENVIRONMENT, file_actions=actions)
    _, status, spent = os.wait4(pid, 0)
    elapsed = time.perf_counter() - began
    code = os.waitstatus_to_exitcode(status)
    assert code == 0, f"{agent} {action} gave {code}"
    return elapsed, spent.ru_utime + spent.ru_stime
