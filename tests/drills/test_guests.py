"""Guests that break in every way, and guests to which happens what happens to guests every day: all at once.

The breaker would rightly hold so many verdicts at a time, so here it never trips; it has drills of its own.
"""
from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import libvirt
import pytest

from tests.harness.drill import NOTHING
from tests.harness.errordisk import ErrorDisk
from tests.harness.failures import cramped, roomy
from tests.harness.operations import slowly
from tests.harness.wait import until
from tests.harness.ward import settle

FOLDER = Path("/run/drills")
# What nothing depends on but the length of the run: the times after which something that is certain is a verdict.
WATCH = {"agent_down": 30, "io_error": 40}
WATCHED = 85.0      # seconds from the first break to the look at what nothing happened to

PLAIN = ("sound", "agent stopped", "agent killed", "agent frozen", "panicked", "spinning", "halted", "rebooted",
         "powered off", "suspended", "saved", "dumped", "dumped live", "snapshot", "frozen", "qemu stopped",
         "qemu killed")


@pytest.fixture(scope="module")
def drills(new_drills):
    drills = new_drills(WATCH, breaker={"share": 100, "number": 100}, budget={"in_flight": 100})
    ward = drills.ward
    FOLDER.mkdir()
    with ErrorDisk(FOLDER) as faulty, ThreadPoolExecutor(40) as pool:
        ward.boot(*PLAIN, balloon_period=10)
        for crash in ("destroy", "preserve", "restart"):
            ward.boot(f"panicked, {crash}", panic_device=True, on_crash=crash, balloon_period=10)
        for action in ("pause", "reset", "none"):
            ward.boot(f"watchdog, {action}", watchdog=action, balloon_period=10)
        ward.boot("faulty disk", extra=faulty.device, balloon_period=10)
        ward.boot("full disk", disk=str(cramped(FOLDER / "full")), balloon_period=10)
        ward.boot("backed up", disk=str(FOLDER / "backed-up.img"), balloon_period=10)
        ward.watch()
        drills.begun = time.monotonic()
        doing = [pool.submit(drills.strike, part, *ways) for part, ways in plans(ward).items()]
        for it in doing:
            it.result()
        settle(drills.begun, WATCHED)
        yield drills


def plans(ward):
    """What each suffers, one after the other."""
    def of(part, *ways):
        """Names of methods, and seconds to wait in between."""
        return [lambda way=way: time.sleep(way) if isinstance(way, (int, float)) else getattr(ward[part], way)()
                for way in ways]
    return {
        "sound": [],
        "agent stopped": of("agent stopped", "stop_agent"),
        "agent killed": of("agent killed", "kill_agent"),
        "agent frozen": of("agent frozen", "freeze_agent"),
        "panicked": of("panicked", "panic"),
        "spinning": of("spinning", "spin"),
        "halted": of("halted", "halt"),
        "rebooted": of("rebooted", "reboot"),
        "powered off": of("powered off", "poweroff"),
        "suspended": of("suspended", "suspend", 45, "resume"),
        "saved": of("saved", "save", 20, "restore"),
        "dumped": [lambda: slowly(ward["dumped"].name, 30, ward["dumped"].dump)],
        "dumped live": [lambda: slowly(ward["dumped live"].name, 30, lambda: ward["dumped live"].dump(live=True))],
        "snapshot": [lambda: slowly(ward["snapshot"].name, 30, ward["snapshot"].snapshot)],
        "frozen": [lambda: ward["frozen"].slow_freeze(20), *of("frozen", "freeze", "thaw")],
        "qemu stopped": of("qemu stopped", "stop_qemu"),
        "qemu killed": of("qemu killed", "kill_qemu"),
        "panicked, destroy": of("panicked, destroy", "panic"),
        "panicked, preserve": of("panicked, preserve", "panic"),
        "panicked, restart": of("panicked, restart", "panic"),
        "watchdog, pause": of("watchdog, pause", "bark"),
        "watchdog, reset": of("watchdog, reset", "bark"),
        "watchdog, none": of("watchdog, none", "bark"),
        "faulty disk": of("faulty disk", "fill_disk"),
        "full disk": [*of("full disk", "fill_disk"), lambda: paused_by_its_disk(ward["full disk"]),
                      lambda: time.sleep(20), lambda: roomy(FOLDER / "full"), *of("full disk", "resume")],
        "backed up": of("backed up", "begin_backup", "freeze_agent", 50, "end_backup", "thaw_agent"),
    }


def paused_by_its_disk(guest) -> None:
    until(lambda: guest.state == (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR), "an I/O error")


DRILLS = [
    # what is done, to whom, what is to come of it, and the state at the end
    ("qemu-ga stopped", "agent stopped", "agent-down recorded", "agent-down"),
    ("qemu-ga killed", "agent killed", "agent-down recorded", "agent-down"),
    ("qemu-ga SIGSTOPped", "agent frozen", "agent-silent recorded", "agent-silent"),
    ("kernel panic, no panic device", "panicked", "hung reported", "hung"),
    ("kernel panic, pvpanic, on_crash=destroy", "panicked, destroy", "panicked reported", "panicked"),
    ("kernel panic, pvpanic, on_crash=preserve", "panicked, preserve", "panicked reported", "panicked"),
    ("kernel panic, pvpanic, on_crash=restart", "panicked, restart", NOTHING, "healthy"),
    ("vCPU spins, interrupts off", "spinning", "hung reported", "hung"),
    ("vCPU halted, interrupts off", "halted", "hung reported", "hung"),
    ("guest reboots", "rebooted", NOTHING, "healthy"),
    ("guest powers itself off", "powered off", NOTHING, "stopped"),
    ("virsh suspend for 45 s, resume", "suspended", NOTHING, "healthy"),
    ("virsh managedsave, start", "saved", NOTHING, "healthy"),
    ("virsh dump that takes 30 s", "dumped", NOTHING, "healthy"),
    ("virsh dump --live that takes 30 s", "dumped live", NOTHING, "healthy"),
    ("snapshot with memory that takes 30 s", "snapshot", NOTHING, "healthy"),
    ("backup for 50 s, agent silent meanwhile", "backed up", NOTHING, "healthy"),
    ("fsfreeze with a hook of 20 s, thaw", "frozen", NOTHING, "healthy"),
    ("I/O error pauses it", "faulty disk", "io-error reported", "io-error"),
    ("I/O error pauses it, resumed after 20 s", "full disk", NOTHING, "healthy"),
    ("QEMU SIGSTOPped", "qemu stopped", "qemu-stuck recorded", "qemu-stuck"),
    ("QEMU SIGKILLed", "qemu killed", "qemu-died reported", "qemu-died"),
    ("watchdog barks, action pause", "watchdog, pause", "watchdog recorded", ""),
    ("watchdog barks, action reset", "watchdog, reset", "watchdog recorded", "healthy"),
    ("watchdog barks, action none", "watchdog, none", "watchdog recorded", ""),
    ("neighbour of all these", "sound", NOTHING, "healthy"),
]


@pytest.mark.parametrize(("name", "part", "expected", "state"), DRILLS, ids=[row[0] for row in DRILLS])
def test_guest(drills, name, part, expected, state):
    drills.check(name, part, expected, state, within=120)
