"""The libvirtd of a second compute node, on this machine: guests migrate to it and back.

It lives in a mount namespace of its own inside the cell, where libvirt's standard paths are folders of ROOT. The two
libvirtds differ in their host's uuid, which is all that libvirt asks of two hosts.
"""
from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import libvirt

from tests.harness import hypervisor
from tests.harness.guests import Guest
from tests.harness.wait import until

ROOT = Path("/run/neighbour")
PLACES = {"etc": "/etc/libvirt", "var": "/var/lib/libvirt", "run": "/run/libvirt", "log": "/var/log/libvirt",
          "cache": "/var/cache/libvirt"}
URI = f"qemu:///system?socket={ROOT}/run/libvirt-sock"
FIRST_PORT = 49252      # the other one's end below: both look for a free port at the same time
# As Nova migrates: the definition goes along.
FLAGS = libvirt.VIR_MIGRATE_LIVE | libvirt.VIR_MIGRATE_PERSIST_DEST | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
WAY = {libvirt.VIR_MIGRATE_PARAM_URI: "tcp://127.0.0.1"}

BANDWIDTH = libvirt.VIR_MIGRATE_PARAM_BANDWIDTH


class Neighbour:
    """Use as a context manager; its guests end with it."""

    def __enter__(self) -> Neighbour:
        for place in PLACES:
            (ROOT / place).mkdir(parents=True)
        hypervisor.configure(ROOT / "etc", ROOT / "cache/qemu/capabilities", port=FIRST_PORT)
        mounts = "\n".join(f"mount --bind {ROOT}/{place} {path}" for place, path in PLACES.items())
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-ec", f"{mounts}\necho; exec sleep infinity"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self._holder.stdout.readline()
        self._daemons = [self._spawn("virtlogd")]
        until((ROOT / "run/virtlogd-sock").exists, "the neighbour's virtlogd")
        self._daemons.append(self._spawn("libvirtd"))
        until(lambda: self.connect().getLibVersion(), "the neighbour's libvirtd", 60, despite=(libvirt.libvirtError,))
        return self

    def __exit__(self, *_: object) -> None:
        for path in (ROOT / "run/qemu").glob("*.pid"):
            for pid in hypervisor.qemu_pids(path.stem, ROOT / "run"):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not self.connect().listDomainsID(), "the end of all guests at the neighbour")
        for process in (*reversed(self._daemons), self._holder):
            process.terminate()
            process.wait(60)
        self._holder.stdout.close()

    def connect(self) -> libvirt.virConnect:
        return libvirt.open(URI)

    def take(self, guest: Guest, bandwidth: int = 0) -> None:
        """Live migration from our node to this one. Raises libvirtError; then the guest is where it was.

        bandwidth: MiB/s, of which a guest has some 60 to send; 0 is no limit.
        """
        guest.domain.migrate3(self.connect(), {**WAY, **({BANDWIDTH: bandwidth} if bandwidth else {})}, FLAGS)

    def give_back(self, guest: Guest) -> None:
        """Live migration from here to our node."""
        self.connect().lookupByUUIDString(guest.uuid).migrate3(hypervisor.connect(), WAY, FLAGS)

    def has(self, guest: Guest) -> bool:
        """Whether it runs here."""
        return guest.uuid in [domain.UUIDString() for domain in self.connect().listAllDomains()]

    def _spawn(self, daemon: str) -> subprocess.Popen:
        return hypervisor.spawn(daemon, ROOT / "log", "/run/libvirt/{}.pid",
                                ("nsenter", "--mount", f"--target={self._holder.pid}"))
