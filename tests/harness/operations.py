"""What operators and OpenStack do with guests every day, and what makes it take long."""
from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import libvirt

from tests.harness.wait import until

FOLDER = Path("/run/operations")
# No server but a socket of its own, and blocks of the guest's disk kept in a scratch file while it is read.
BACKUP = """<domainbackup mode='pull'>
  <server transport='unix' socket='{folder}/{name}.backup'/>
  <disks><disk name='vda' backup='yes' type='file'><scratch file='{folder}/{name}.scratch'/></disk></disks>
</domainbackup>"""
SNAPSHOT = """<domainsnapshot><name>drill</name><memory snapshot='external' file='{folder}/{name}.memory'/>
</domainsnapshot>"""


class Operations:
    """The part of a Guest that its operators see; the rest of it is in guests.py. Every method returns when it is
    done, and raises libvirtError."""

    name: str
    domain: libvirt.virDomain

    def suspend(self) -> None:
        self.domain.suspend()

    def resume(self) -> None:
        self.domain.resume()

    def save(self) -> None:
        """Managed save: its memory goes to a file, and it is stopped."""
        self.domain.managedSave()

    def restore(self) -> None:
        self.domain.create()

    def dump(self, live: bool = False) -> None:
        """Its memory goes to a file, and it runs on; without `live` it is paused meanwhile."""
        flags = libvirt.VIR_DUMP_MEMORY_ONLY | (libvirt.VIR_DUMP_LIVE if live else 0)
        self.domain.coreDump(self._file("core"), flags)

    def snapshot(self) -> None:
        """Its memory goes to a file while it runs."""
        flags = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_LIVE | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA
        self._file("memory")
        self.domain.snapshotCreateXML(SNAPSHOT.format(folder=FOLDER, name=self.name), flags)

    def begin_backup(self) -> None:
        """Of its disk (hardware option `disk`): a job that lasts until it is ended, as a slow reader's does."""
        self._file("backup")
        self.domain.backupBegin(BACKUP.format(folder=FOLDER, name=self.name), None)

    def end_backup(self) -> None:
        self.domain.abortJob()

    def freeze(self) -> None:
        """Its file systems, as Nova does for a snapshot; takes as long as `slow_freeze` said."""
        self.domain.fsFreeze()

    def thaw(self) -> None:
        self.domain.fsThaw()

    def _file(self, suffix: str) -> str:
        FOLDER.mkdir(exist_ok=True)
        path = FOLDER / f"{self.name}.{suffix}"
        path.unlink(missing_ok=True)
        return str(path)


def writers(name: str) -> list[int]:
    """libvirt's processes that write a file of this guest's memory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            command = path.read_bytes()
            if b"libvirt_iohelper" in command.split(b"\0")[0] and name.encode() in command:
                found.append(int(path.parent.name))
    return found


def slowly(name: str, seconds: float, action: Callable[[], object]) -> None:
    """Do what writes this guest's memory to a file, on a disk that takes nothing for so many seconds."""
    with ThreadPoolExecutor(1) as pool:
        doing = pool.submit(action)
        stopped = until(lambda: doing.done() or writers(name), f"somebody who writes the memory of {name}", every=0.01)
        if stopped is not True:
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)
            time.sleep(seconds)
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        doing.result()
        assert stopped is not True, f"the memory of {name} was written before the disk could be slowed down"
