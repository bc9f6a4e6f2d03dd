"""Which of libvirt's events say something about a guest's health, what each means, and what it causes unless an
operator wants otherwise.

Section [events] of the configuration file is made from this table. An event's name is libvirt's own: class, type and
detail in lower case, as in VIR_DOMAIN_EVENT_STOPPED_FAILED. IO_ERROR_REASON tells the same as IO_ERROR, with the disk.

Masakari's instance monitor sends the rows marked `upstream`, and its engine recovers two of them:
lifecycle.stopped.failed and io-error.report.
"""

from __future__ import annotations

from typing import NamedTuple

from heartbeat.incident import IGNORE, RECORD, RECOVER

ACTIONS = (RECOVER, RECORD, IGNORE)


class Happening(NamedTuple):
    """One event. verdict: what an incident by it is called. action: the default. upstream: today's instance monitor
    sends it. reason: what it means and why this default, one line."""

    name: str
    verdict: str
    action: str
    upstream: bool
    reason: str


def _row(name: str, verdict: str, action: str, reason: str) -> Happening:
    return Happening(name.rstrip("*"), verdict, action, name.endswith("*"), reason)


# A name that ends with a star is sent upstream.
EVENTS: tuple[Happening, ...] = (
    _row("lifecycle.suspended.paused", "paused", IGNORE, "Somebody paused the guest, who will let it run again."),
    _row("lifecycle.suspended.migrated", "migration", IGNORE, "Paused for the last part of a live migration."),
    _row("lifecycle.suspended.ioerror*", "io-error", IGNORE,
         "Paused by an I/O error, often not for long: io-error in [verdicts] judges the pause."),
    _row("lifecycle.suspended.watchdog*", "watchdog", RECORD,
         "Paused by its watchdog, whose policy wants it kept as it is for somebody to look at."),
    _row("lifecycle.suspended.restored", "restored", IGNORE, "Restored from a file as it was saved: paused."),
    _row("lifecycle.suspended.from-snapshot", "snapshot", IGNORE, "Set back to a snapshot of a paused guest."),
    _row("lifecycle.suspended.api-error*", "api-error", RECORD,
         "A call of libvirt's failed and left the guest paused; who made the call has to resume it."),
    _row("lifecycle.suspended.postcopy", "migration", IGNORE, "Paused here: it runs at its migration's target."),
    _row("lifecycle.suspended.postcopy-failed", "migration-failed", RECORD,
         "A post-copy migration broke. The migration can be resumed; a reset would lose the guest's memory."),
    _row("lifecycle.stopped.shutdown*", "shutdown", IGNORE, "The guest has shut down in an orderly way."),
    _row("lifecycle.stopped.destroyed*", "destroyed", IGNORE,
         "Somebody stopped the guest; Nova and Masakari themselves do it in this way."),
    _row("lifecycle.stopped.crashed", "qemu-died", RECOVER,
         "The guest panicked and was stopped for it: nothing of it runs any more. Upstream does not send it."),
    _row("lifecycle.stopped.migrated", "migration", IGNORE, "The guest has moved to another host."),
    _row("lifecycle.stopped.saved", "saved", IGNORE, "The guest was saved to a file, to be restored from it."),
    _row("lifecycle.stopped.failed*", "qemu-died", RECOVER,
         "QEMU has ended though nobody asked it to: killed, out of memory, a fault of its own."),
    _row("lifecycle.stopped.from-snapshot", "snapshot", IGNORE, "Set back to a snapshot of a stopped guest."),
    _row("lifecycle.shutdown.finished*", "shutdown", IGNORE, "The guest has halted; QEMU ends next."),
    _row("lifecycle.shutdown.guest", "shutdown", IGNORE, "The guest itself shut down; QEMU ends next."),
    _row("lifecycle.shutdown.host", "shutdown", IGNORE, "A signal told QEMU to end, as when the host goes down."),
    _row("lifecycle.pmsuspended.memory", "suspended", IGNORE, "The guest suspended itself to memory; it will wake up."),
    _row("lifecycle.pmsuspended.disk", "suspended", IGNORE, "The guest suspended itself to disk."),
    _row("lifecycle.crashed.panicked", "panicked", RECOVER,
         "The guest's kernel says that it has panicked (it needs a pvpanic device). Upstream does not send it."),
    _row("lifecycle.crashed.crashloaded", "kdump", RECORD,
         "The guest's kernel panicked and writes its dump, then reboots itself: a reset would destroy the dump."),
    _row("reboot*", "reboot", IGNORE, "The guest was reset, from inside or outside: it boots already."),
    _row("watchdog.none*", "watchdog", RECORD,
         "The guest's watchdog ran out, and its policy is to do nothing; it may be a test, or a hang."),
    _row("watchdog.pause*", "watchdog", RECORD,
         "The guest's watchdog ran out and paused it, for somebody to look at what it was doing."),
    _row("watchdog.reset*", "watchdog", RECORD, "The guest's watchdog ran out and has reset it: remedied already."),
    _row("watchdog.poweroff*", "watchdog", RECORD,
         "The guest's watchdog ran out and powers it off, as its policy wants; lifecycle.stopped.failed follows."),
    _row("watchdog.shutdown*", "watchdog", RECORD,
         "The guest's watchdog ran out and asks the guest to shut down, which a hung one never does."),
    _row("watchdog.debug*", "watchdog", RECORD, "The guest's watchdog ran out; QEMU only says so."),
    _row("watchdog.injectnmi", "watchdog", RECORD,
         "The guest's watchdog ran out and sends it an NMI: most guests then panic, dump and reboot."),
    _row("io-error.none*", "io-report", RECORD,
         "An I/O error was kept from the guest, by its disk's policy: its data may be wrong, a reset mends nothing."),
    _row("io-error.pause*", "io-error", IGNORE,
         "An I/O error pauses the guest, often not for long: io-error in [verdicts] judges the pause."),
    _row("io-error.report*", "io-report", RECORD,
         "An I/O error was handed to the guest. A reset does not help storage; Masakari's engine would do one."),
    _row("control-error*", "control-error", RECORD,
         "libvirt does not understand QEMU's monitor any more; the guest may be well. A stop could hang."),
    _row("memory-failure.ignore", "memory-failure", RECORD,
         "The host's memory failed under the guest, where nothing was lost yet. Look at the host."),
    _row("memory-failure.inject", "memory-failure", RECORD,
         "The host's memory failed under the guest, which was told and deals with it. Look at the host."),
    _row("memory-failure.fatal", "memory-failure", RECORD,
         "The host's memory failed where QEMU cannot do without it: if QEMU ends, lifecycle.stopped.failed follows."),
    _row("memory-failure.reset", "memory-failure", RECORD,
         "The host's memory failed, and QEMU resets the guest for it: remedied already. Look at the host."),
)  # fmt: skip

BY_NAME = {happening.name: happening for happening in EVENTS}
