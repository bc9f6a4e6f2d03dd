"""What libvirt can show of a guest that has failed: its screen, its XML, its disks' errors; never for long.

To take a picture QEMU's monitor has to answer, and there is no time limit to that. So whatever is known to be stuck is
not asked, and a worker that does not come back is written off.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time

import libvirt

from heartbeat import procfs
from heartbeat.evidence.portrait import Portrait, Wanted
from heartbeat.hypervisor import events
from heartbeat.hypervisor.link import Link
from heartbeat.pool import Pool
from heartbeat.settings import plain

log = logging.getLogger(__name__)

# Workers, and how many more may be written off: each holds one of libvirtd's until its QEMU goes on or ends.
WORKERS, LOST = 2, 1
MOST = 64 << 20  # bytes of a picture
PIECE = 256 << 10
BUSY_TRIES, BUSY_PAUSE = 3, 0.05  # another client's call is mostly over in milliseconds


class TooLarge(Exception):
    """More than a screen can be."""


class Sitting:
    """One guest's, under way. Its parts are set by the worker, one by one, and read when it is over or given up."""

    def __init__(self, uuid: str, wanted: Wanted) -> None:
        self.uuid, self.wanted = uuid, wanted
        self.done = threading.Event()
        self.slot: int | None = None
        self.given_up = False
        self.portrait = Portrait(no_picture=wanted.no_picture)


class Portraits:
    """begin() and finish() are for the threads that capture."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._pool: Pool[Sitting] = Pool("portrait", WORKERS, self._perform, LOST)
        self._lock = threading.Lock()
        self._stuck: dict[Sitting, None] = {}  # given up, and not returned yet

    def begin(self, uuid: str, wanted: Wanted) -> Sitting:
        sitting = Sitting(uuid, wanted)
        with self._lock:
            why = self._obstacle(uuid)
        if why:
            sitting.portrait = sitting.portrait.lacking(why)
            sitting.done.set()
        else:
            self._pool.put(sitting)
        return sitting

    def finish(self, sitting: Sitting, seconds: float) -> Portrait:
        """What has come within that time, and why the rest has not."""
        if sitting.done.wait(seconds):
            return sitting.portrait
        with self._lock:
            if sitting.done.is_set():
                return sitting.portrait  # in the last moment; its worker may be another's by now
            sitting.given_up = True
            if sitting.slot is None:
                why = "libvirt was busy with other guests"
            else:
                why = "QEMU's monitor, or libvirt, did not answer"
                self._stuck[sitting] = None
                self._pool.write_off(sitting.slot)
                log.warning("guest %s: no picture of it: %s", sitting.uuid, why)
            return sitting.portrait.lacking(why)

    def stuck(self, uuid: str) -> bool:
        with self._lock:
            return any(sitting.uuid == uuid for sitting in self._stuck)

    def _obstacle(self, uuid: str) -> str:
        if any(sitting.uuid == uuid for sitting in self._stuck):
            return "an earlier call about it has not returned"
        return "calls about other guests do not return" if len(self._stuck) >= WORKERS + LOST else ""

    def _perform(self, slot: int, sitting: Sitting) -> None:
        with self._lock:
            if sitting.given_up:
                return
            sitting.slot = slot
        try:
            self._take(sitting)
        except libvirt.libvirtError as error:
            sitting.portrait = sitting.portrait.lacking(_reason(error))
        except TooLarge:
            sitting.portrait = sitting.portrait.lacking(f"a picture of more than {MOST >> 20} MiB")
        except Exception:
            log.exception("guest %s: what libvirt shows of it cannot be taken", sitting.uuid)
            sitting.portrait = sitting.portrait.lacking("a failure of ours, see the log")
        finally:
            with self._lock:
                self._stuck.pop(sitting, None)
                sitting.done.set()

    def _take(self, sitting: Sitting) -> None:
        connection = self._link.connect(read_only=False)  # a picture is no matter of readers, for libvirt
        try:
            domain = connection.lookupByUUIDString(sitting.uuid)
            sitting.portrait = sitting.portrait._replace(xml=domain.XMLDesc(0))
            if sitting.wanted.no_picture and not sitting.wanted.disks:
                return
            why = self._unfit(sitting.uuid, domain)
            if why:
                sitting.portrait = sitting.portrait.lacking(why)
                return
            if sitting.wanted.disks:
                self._disks(sitting, domain)
            if not sitting.wanted.no_picture:
                sitting.portrait = sitting.portrait._replace(picture=_picture(connection, domain))
        finally:
            with contextlib.suppress(libvirt.libvirtError):
                connection.close()

    def _unfit(self, uuid: str, domain: libvirt.virDomain) -> str:
        """Why QEMU is not to be asked, "" if it may be."""
        process = self._link.processes.get(uuid)
        state = procfs.state(process) if process else ""
        if state in ("T", "t", "D"):
            return f"its QEMU process is in state {state}"
        if (process and state in procfs.ENDED) or not domain.isActive():
            return "its QEMU has ended"
        for _ in range(BUSY_TRIES):
            job = events.job(domain.jobInfo()[0])
            if job:
                return f"libvirt is at work on it: {job}"
            if domain.controlInfo()[0] == libvirt.VIR_DOMAIN_CONTROL_OK:
                return ""
            time.sleep(BUSY_PAUSE)
        return "another client's call has QEMU's monitor"

    def _disks(self, sitting: Sitting, domain: libvirt.virDomain) -> None:
        try:
            words = {libvirt.VIR_DOMAIN_DISK_ERROR_NO_SPACE: "no space"}
            found = tuple((plain(name, 32), words.get(number, "an error")) for name, number in
                          domain.diskErrors(0).items())  # fmt: skip
            sitting.portrait = sitting.portrait._replace(disks=found, no_disks="" if found else "libvirt knows of none")
        except libvirt.libvirtError as error:
            sitting.portrait = sitting.portrait._replace(no_disks=_reason(error))


def _reason(error: libvirt.libvirtError) -> str:
    return plain(error.get_error_message() or "libvirt gives no reason", 120)


def _picture(connection: libvirt.virConnect, domain: libvirt.virDomain) -> bytes:
    """The first screen, in the format that this QEMU has. Raises libvirtError."""
    stream, pieces, size = connection.newStream(0), [], 0
    try:
        domain.screenshot(stream, 0, 0)
        while True:
            piece = stream.recv(PIECE)
            if not piece:
                break
            pieces.append(piece)
            size += len(piece)
            if size > MOST:
                raise TooLarge
        stream.finish()
    except (libvirt.libvirtError, TooLarge):
        with contextlib.suppress(libvirt.libvirtError):
            stream.abort()
        raise
    return b"".join(pieces)
