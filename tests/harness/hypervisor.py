"""The real libvirtd and virtlogd of a cell, on the standard paths: `qemu:///system` reaches them."""
from __future__ import annotations

import ctypes
import filecmp
import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path

import libvirt

from tests.harness import cell, image
from tests.harness.wait import until

URI = "qemu:///system"
CAPABILITIES = Path("/var/cache/libvirt/qemu/capabilities")
PR_SET_THP_DISABLE = 41
_libc = ctypes.CDLL(None)
libvirt.registerErrorHandler(lambda *_: None, None)     # errors are raised; printing them as well is noise


def connect() -> libvirt.virConnect:
    """A new connection, for one look at things: one that lives longer would not survive a libvirtd that is killed."""
    return libvirt.open(URI)


class Libvirtd:
    """libvirtd, started, stopped and broken. Guests outlive it; `teardown` (or leaving the `with`) ends them too.

    requests, workers: max_client_requests and max_workers; the defaults are libvirt's own.
    """

    def __init__(self, requests: int = 5, workers: int = 20) -> None:
        cell.required()
        self._daemon: subprocess.Popen | None = None
        self._logd: subprocess.Popen | None = None
        configure(Path("/etc/libvirt"), CAPABILITIES, requests, workers)

    def __enter__(self) -> Libvirtd:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.teardown()

    @property
    def pid(self) -> int:
        """Raises ProcessLookupError if it does not run."""
        if self._daemon is None or self._daemon.poll() is not None:
            raise ProcessLookupError("libvirtd is not running")
        return self._daemon.pid

    def start(self, seconds: float = 60.0) -> None:
        """Start and wait until it answers: 0.2-1 s, but 8-13 s if it has to probe QEMU for want of a cache."""
        if self._logd is None or self._logd.poll() is not None:
            self._logd = spawn("virtlogd")
            until(lambda: os.path.exists("/run/libvirt/virtlogd-sock"), "virtlogd's socket")
        self._daemon = spawn("libvirtd")
        until(self._answers, "libvirtd to answer", seconds, despite=(libvirt.libvirtError,))
        _keep_capabilities()

    def stop(self, seconds: float = 60.0) -> None:
        """TERM. A graceful end waits for busy workers, up to 30 s."""
        os.kill(self.pid, signal.SIGTERM)
        self._gone(seconds)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self._gone(10)

    def restart(self) -> None:
        self.stop()
        self.start()

    def freeze(self) -> None:
        """SIGSTOP: connections stay open and nothing answers, `libvirt.open` included."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def teardown(self) -> None:
        """End every guest, then the daemons; from whatever state a test left things in."""
        try:
            self.thaw()
        except ProcessLookupError:
            self.start()
        for path in Path("/run/libvirt/qemu").glob("*.pid"):
            for pid in qemu_pids(path.stem):
                os.kill(pid, signal.SIGKILL)        # quicker than destroy, and a stopped QEMU does not mind
        until(lambda: not connect().listDomainsID(), "the end of all guests")
        for domain in connect().listAllDomains():
            domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE)
        self.stop()
        self._logd.terminate()
        self._logd.wait(30)

    def log(self) -> str:
        path = Path("/var/log/libvirt/libvirtd.log")
        return path.read_text(errors="replace") if path.exists() else ""

    def _answers(self) -> bool:
        if self._daemon.poll() is not None:
            raise RuntimeError(f"libvirtd ended with {self._daemon.returncode}: {self.log()[-2000:]}")
        return connect().getLibVersion() > 0

    def _gone(self, seconds: float) -> None:
        self._daemon.wait(seconds)


def configure(etc: Path, capabilities: Path, requests: int = 5, workers: int = 20, port: int = 49152) -> None:
    """Write the configuration of a libvirtd. capabilities: its cache of what QEMU can do. port: the first of those to
    which guests migrate in."""
    _write(etc / "libvirtd.conf", [
        'auth_unix_rw = "none"', 'auth_unix_ro = "none"', 'unix_sock_group = "libvirt"',
        'unix_sock_rw_perms = "0770"', 'unix_sock_ro_perms = "0777"',
        f'host_uuid = "{uuid.uuid4()}"', f"max_client_requests = {requests}", f"max_workers = {workers}",
        'log_outputs = "3:file:/var/log/libvirt/libvirtd.log"'])
    _write(etc / "qemu.conf", [
        'user = "root"', 'group = "root"', "dynamic_ownership = 0", "remember_owner = 0",
        'security_driver = "none"', "namespaces = [ ]", "cgroup_controllers = [ ]", 'stdio_handler = "logd"',
        f"migration_port_min = {port}", f"migration_port_max = {port + 63}"])
    _write(etc / "virtlogd.conf", ["max_clients = 2000"])     # an empty file would be a syntax error
    stored = image.cache() / "capabilities"
    with image.locked():
        if stored.is_dir() and not capabilities.exists():
            shutil.copytree(stored, capabilities)


def qemu_pids(name: str, run: Path = Path("/run/libvirt")) -> list[int]:
    """Process of a running guest, by its pid file; none if it has ended. run: of the libvirtd that started it."""
    try:
        pid = int((run / f"qemu/{name}.pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [pid] if f"guest={name},".encode() in command else []


def _write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def spawn(daemon: str, logs: Path = Path("/var/log/libvirt"), pid_file: str = "/run/{}.pid",
          within: Sequence[str] = ()) -> subprocess.Popen:
    """Start one of libvirt's daemons. within: a command that runs it in another world, and becomes it."""
    logs.mkdir(exist_ok=True)
    with open(logs / f"{daemon}.out", "ab") as out:
        return subprocess.Popen(
            [*within, f"/usr/sbin/{daemon}", "-f", f"/etc/libvirt/{daemon}.conf", "-p", pid_file.format(daemon)],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
            # huge pages would double what the QEMUs it starts take
            preexec_fn=lambda: _libc.prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0))


def _keep_capabilities() -> None:
    """Save what libvirtd found out about QEMU for the next cell, if it is news. libvirt checks its validity itself."""
    connect().getCapabilities()
    stored = image.cache() / "capabilities"
    names = [path.name for path in CAPABILITIES.glob("*.xml")] if CAPABILITIES.is_dir() else []
    if not names or (stored.is_dir() and not any(filecmp.cmpfiles(stored, CAPABILITIES, names, shallow=False)[1:])):
        return
    with image.locked():
        fresh = stored.with_name(f"capabilities-{os.getpid()}-{uuid.uuid4().hex}")
        shutil.copytree(CAPABILITIES, fresh)
        shutil.rmtree(stored, ignore_errors=True)
        fresh.rename(stored)
