"""Processes that leave nothing of a processor to whom they are set upon."""
from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

HOGS, MOST_URGENT = 12, -20      # they leave less than a hundredth to all others together
# With autogroups a process' own priority counts within its session only; the session has one too.
BUSY = "echo {0} 2>/dev/null >/proc/$$/autogroup; renice -n {0} $$ >/dev/null; while :; do :; done"


@contextlib.contextmanager
def starved(pids: Iterable[int]) -> Iterator[None]:
    """These processes share one processor with others that are always busy and far more urgent. The rest of the
    machine keeps the other processors."""
    anywhere, here = os.sched_getaffinity(0), {min(os.sched_getaffinity(0))}
    pids = list(pids)
    for pid in pids:
        _bind(pid, here)
    hogs = [subprocess.Popen(["sh", "-c", BUSY.format(MOST_URGENT)], start_new_session=True,
                             preexec_fn=lambda: os.sched_setaffinity(0, here)) for _ in range(HOGS)]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
        for pid in pids:
            _bind(pid, anywhere)


def _bind(pid: int, processors: set[int]) -> None:
    """All threads of a process; those that it starts later are bound as the one that starts them."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(task.name), processors)
