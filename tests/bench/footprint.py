"""What the helper takes while nothing happens: memory, wake-ups, CPU, of its own and of libvirtd's."""
from __future__ import annotations

import time
from collections.abc import Iterator

from tests.bench.measure import Row, Scene, memory, usage

WINDOW = 60.0       # s
RESIDENT = 45.0     # MiB; ps and top show this as RSS


def rows(scene: Scene) -> Iterator[Row]:
    helper, libvirtd, guests = scene.node.helper(), scene.node.libvirtd.pid, len(scene.guests)
    before, serving = usage(helper), usage(libvirtd)
    time.sleep(WINDOW)
    after, served = usage(helper), usage(libvirtd)
    seconds = after.at - before.at
    resident, own = memory(helper)
    assert all(scene.node.state(guest.uuid) == "healthy" for guest in scene.guests), scene.node.table()
    yield Row(f"helper's memory with {guests} guests, resident (VmRSS)", resident, "MiB", RESIDENT)
    yield Row(f"helper's memory with {guests} guests, not shared", own, "MiB")
    yield Row("helper's threads", after.threads, "")
    yield Row("helper's wake-ups", (after.switches - before.switches) / seconds, "/s")
    yield Row("helper's CPU per guest and hour", (after.cpu - before.cpu) / seconds * 3600 / guests, "s")
    yield Row("libvirtd's CPU per guest and hour", (served.cpu - serving.cpu) / seconds * 3600 / guests, "s")
