"""One node of a cluster of several: a machine of its own inside the cell, with its own processes, network, mounts, host
name, and disks that outlive a power cut.

    python3 -m tests.harness.member NAME FOLDER      what the machine runs as PID 1
"""
from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from tests.harness import cell
from tests.harness.cluster import DAEMONS, PATH
from tests.harness.node import HELPER
from tests.harness.wait import until

ROOT = Path("/run/members")     # of the cell
REPOSITORY = Path(__file__).resolve().parents[2]
REMOTE = REPOSITORY / "build/pacemaker-remote/usr/sbin/pacemaker-remoted"     # by tests/tools.sh remote
# Where each machine has a disk of its own, by the name of its folder.
DISKS = {"pacemaker": "/var/lib/pacemaker", "corosync": "/var/lib/corosync", "state": "/var/lib/masakari-qga",
         "log": "/var/log", "etc-corosync": "/etc/corosync", "etc-pacemaker": "/etc/pacemaker",
         "etc-masakari-qga": "/etc/masakari-qga"}
LIBVIRT = "/run/libvirt"        # of the cell, seen by the machines that share its libvirtd


class Member:
    """A machine. It is off when it is made. Processes have the cell's numbers here."""

    def __init__(self, name: str, address: str, *, hypervisor: bool = False) -> None:
        cell.required()
        self.name, self.address, self.hypervisor = name, address, hypervisor
        self.folder = ROOT / name
        self._keeper: subprocess.Popen | None = None

    def install(self) -> None:
        """Its disks, as new."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for disk in DISKS:
            (self.folder / disk).mkdir(parents=True)
        for name in ("cib", "pengine", "blackbox", "cores"):
            (self.folder / "pacemaker" / name).mkdir(mode=0o750)
        for name in ("pacemaker", "corosync"):
            (self.folder / "log" / name).mkdir(mode=0o770)
        for path in (self.folder / "pacemaker", *(self.folder / "pacemaker").iterdir(), self.folder / "log/pacemaker"):
            shutil.chown(path, "hacluster", "haclient")
        (self.folder / "state").chmod(Path("/var/lib/masakari-qga").stat().st_mode)
        if self.hypervisor:
            (self.folder / "hypervisor").touch()

    def power_on(self) -> None:
        """Boots it; no daemon runs then."""
        words = ["nsenter", f"--net=/run/netns/{self.name}", "unshare", "--mount", "--uts", "--ipc", "--pid", "--fork",
                 "--kill-child=KILL", "/usr/bin/python3", "-m", "tests.harness.member", self.name, str(self.folder)]
        with open(self.folder / "boot.log", "ab") as log:
            self._keeper = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                                            cwd=REPOSITORY, env=PATH, start_new_session=True)
        assert self._keeper.stdout is not None
        said = self._keeper.stdout.readline()
        assert said == b"up\n", (self.folder / "boot.log").read_text()

    def power_off(self) -> None:
        """The plug is pulled: all its processes are gone at once, and what was in /run."""
        if self._keeper and self._keeper.poll() is None:
            os.kill(self._first, signal.SIGKILL)
            self._keeper.wait(30)
            assert self._keeper.stdout is not None
            self._keeper.stdout.close()

    @property
    def on(self) -> bool:
        return self._keeper is not None and self._keeper.poll() is None

    @property
    def _first(self) -> int:
        """Its PID 1."""
        keeper = self._keeper.pid if self._keeper else 0
        return int(Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()[0])

    def within(self, *command: str) -> list[str]:
        """The command that runs this one there."""
        return ["nsenter", f"--target={self._first}", "--mount", "--uts", "--net", "--ipc", "--pid", "--wd=/",
                "--", *command]

    def run(self, *command: str, seconds: float = 120.0, **environment: str) -> subprocess.CompletedProcess[str]:
        """A command as a shell of root runs it there."""
        return subprocess.run(self.within(*command), env={**PATH, "HOME": "/root", **environment}, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds)

    def pcs(self, *arguments: str) -> str:
        """What pcs says. Raises AssertionError if it fails."""
        ran = self.run("pcs", *arguments)
        assert ran.returncode == 0, f"pcs {' '.join(arguments)} gave {ran.returncode}: {ran.stdout}{ran.stderr}"
        return ran.stdout

    def spawn(self, *command: str) -> None:
        """Starts a daemon there, which is its PID 1's child afterwards."""
        out = self.folder / "log" / f"{os.path.basename(command[0])}.out"
        line = 'setsid "$@" </dev/null >>/var/log/"$0" 2>&1 &'
        ran = self.run("sh", "-c", line, out.name, *command)
        assert ran.returncode == 0, ran.stderr

    def processes(self, *names: str) -> list[int]:
        """Its processes that run one of these programs; all of them if none is named."""
        if not self.on:
            return []
        world, found = os.readlink(f"/proc/{self._first}/ns/pid"), []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):      # it may end while we look
                mine = os.readlink(path / "ns/pid") == world
                if mine and (not names or os.path.basename(os.readlink(path / "exe")) in names):
                    found.append(int(path.name))
        return found

    def helpers(self) -> list[int]:
        """Those that run the installed helper, without their children."""
        parents = {}
        for pid in self.processes():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[2:3] == [HELPER.encode()]:
                    parents[pid] = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        return [pid for pid, parent in parents.items() if parent not in parents]

    def kill_pacemaker(self) -> None:
        """SIGKILL to all of Pacemaker at once; what its resources started lives on."""
        names = (*DAEMONS, "pacemaker-remoted")
        for pid in self.processes(*names):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not self.processes(*names), f"Pacemaker of {self.name} to be gone")

    def log(self) -> str:
        """The helper's."""
        path = self.folder / "log/masakari-qga.log"
        return path.read_text() if path.exists() else ""


def _boot(name: str, folder: Path) -> None:
    for disk, path in DISKS.items():
        os.makedirs(path, exist_ok=True)
        _run("mount", "--bind", str(folder / disk), path)
    _run("mount", "-t", "proc", "proc", "/proc")
    _run("mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", "/dev/shm")
    fresh = folder / "run"
    fresh.mkdir(exist_ok=True)
    _run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(fresh))
    for path, mode in (("lock", 0o1777), ("resource-agents", 0o1755), ("libvirt", 0o755)):
        (fresh / path).mkdir()
        (fresh / path).chmod(mode)
    if (folder / "hypervisor").exists():
        _run("mount", "--rbind", LIBVIRT, str(fresh / "libvirt"))
    _run("mount", "--rbind", str(fresh), "/run")
    _run("hostname", name)
    _run("ip", "link", "set", "lo", "up")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=sys.stderr)


def main() -> None:
    _boot(sys.argv[1], Path(sys.argv[2]))
    os.write(1, b"up\n")
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    while True:         # reap the orphans
        signal.sigwait({signal.SIGCHLD})
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


if __name__ == "__main__":
    main()
