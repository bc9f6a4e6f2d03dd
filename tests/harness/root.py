"""Whole Debian systems in a directory, to install packages into.

mmdebstrap makes each suite's system once, and apt what a compute node has besides; both are kept under build/roots for
a week. A test gets them under an overlay in memory, so that nothing that it does to one outlives it. Needs root, and a
mount namespace of its own: nobody unmounts anything here, it all ends with the last process inside (`make test-install`
sees to that).
"""
from __future__ import annotations

import contextlib
import fcntl
import functools
import itertools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
STORE = HERE / "build/roots"
SUITES = ("bookworm", "trixie")
OWN_SUITE = "bookworm"      # of the machine that the tests are made for
WEEK = 7 * 86400            # s; by then the archive may have no more of what the lists in a root name
# A compute node, as far as the tests go. No kernel: the guests' image is made outside.
NODE = ("pacemaker", "pacemaker-cli-utils", "corosync", "pcs", "resource-agents", "libxml2-utils", "iproute2", "procps",
        "strace", "logrotate", "man-db", "python3-libvirt", "python3-lxml", "python3-requests", "python3-keystoneauth1",
        "libvirt-daemon", "libvirt-daemon-system", "libvirt-daemon-driver-qemu", "libvirt-clients", "qemu-system-x86",
        "qemu-utils")
NO_DAEMONS = "#!/bin/sh\nexit 101\n"
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root",
               "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", "TERM": "dumb"}
_numbers = itertools.count()


class Root:
    """Layers of directories, the topmost first, under a writable one in memory. mounted from the beginning."""

    def __init__(self, suite: str, *layers: Path) -> None:
        self.suite, self._layers = suite, layers
        work = _memory() / str(next(_numbers))
        work.mkdir()
        self.path, self.upper = work / "root", work / "upper"
        for folder in (self.path, self.upper, work / "work"):
            folder.mkdir()
        stack = f"lowerdir={':'.join(map(str, layers))},upperdir={self.upper},workdir={work}/work"
        _mount("-t", "overlay", "-o", stack, "overlay", str(self.path))
        for name in ("dev", "sys"):
            _mount("--rbind", f"/{name}", str(self.path / name))
        _mount("-t", "proc", "proc", str(self.path / "proc"))
        _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", str(self.path / "run"))
        (self.path / "run/lock").mkdir(mode=0o1777)
        shutil.copy("/etc/resolv.conf", self.path / "etc/resolv.conf")
        archives = STORE / f"archives-{suite}"
        archives.mkdir(parents=True, exist_ok=True)
        self.bind(archives, "/var/cache/apt/archives")

    def above(self) -> Root:
        """A new system that has all that this one has now. This one must not be written to any more."""
        return Root(self.suite, self.upper, *self._layers)

    def bind(self, source: Path, inside: str, *, readonly: bool = False) -> None:
        target = self.path / inside.lstrip("/")
        target.mkdir(parents=True, exist_ok=True)
        _mount("--bind", str(source), str(target))
        if readonly:
            _mount("-o", "remount,bind,ro", str(target))

    def run(self, *command: str, network: bool = False, seconds: float = 600.0, check: bool = True,
            **environment: str) -> subprocess.CompletedProcess[str]:
        """A command in it, as a shell of root runs it, without a network unless asked for: what we start must not find
        the sockets of a cluster outside. With `check`, raises AssertionError with what it said if it fails."""
        alone = [] if network else ["unshare", "--net", "--ipc"]
        ran = subprocess.run([*alone, "chroot", str(self.path), *command], env={**ENVIRONMENT, **environment}, cwd="/",
                             stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds)
        said = f"{self.suite}: {' '.join(command)} gave {ran.returncode}:\n{ran.stdout[-8000:]}{ran.stderr[-8000:]}"
        assert not check or ran.returncode == 0, said
        return ran

    def apt(self, *arguments: str) -> str:
        """apt-get with these arguments; what it said."""
        ran = self.run("apt-get", "-y", "--no-install-recommends", *arguments, network=True, seconds=1800)
        return ran.stdout + ran.stderr

    def put(self, *files: Path) -> list[str]:
        """Copies files into its /tmp; where they are there."""
        return ["/" + str(Path(shutil.copy(file, self.path / "tmp")).relative_to(self.path)) for file in files]

    def files(self) -> dict[str, str]:
        """Every path with its mode, owner and group, other file systems apart."""
        listed = self.run("find", "/", "-xdev", "-printf", "%p\\t%M %u:%g\\n").stdout
        return dict(line.split("\t", 1) for line in listed.splitlines())


@functools.cache
def _memory() -> Path:
    """Where all writable layers and mount points are, and of which nothing is left behind."""
    place = STORE / "mounted"
    place.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", str(place))
    return place


def clean(suite: str) -> Root:
    """A new system with dpkg, apt and what is essential."""
    return Root(suite, _kept(f"{suite}-clean", lambda path: _debootstrap(suite, path)))


def node(suite: str) -> Root:
    """A new system with all that a node of a cluster has, but not our package."""
    base = _kept(f"{suite}-clean", lambda path: _debootstrap(suite, path))

    def install(path: Path) -> None:
        root = Root(suite, base)
        root.apt("install", *NODE)
        for leftover in ("tmp", "run"):     # mount points, and what was mounted there
            shutil.rmtree(root.upper / leftover, ignore_errors=True)
        subprocess.run(["cp", "-a", f"{root.upper}/.", str(path)], check=True)
    return Root(suite, _kept(f"{suite}-node", install), base)


def _kept(name: str, make: Callable[[Path], None]) -> Path:
    """A directory of the store, made if it is missing or old; one maker at a time."""
    path = STORE / name
    with _locked():
        if not path.exists() or time.time() - path.stat().st_mtime > WEEK:
            print(f"making {path}", file=sys.stderr)
            half = path.with_suffix(".half")
            for stale in (path, half):
                shutil.rmtree(stale, ignore_errors=True)
            half.mkdir(parents=True)
            make(half)
            os.utime(half)
            half.rename(path)
    return path


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    STORE.mkdir(parents=True, exist_ok=True)
    with open(STORE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _debootstrap(suite: str, path: Path) -> None:
    settings = STORE / "apt.conf"
    settings.write_text("\n".join(_settings()) + "\n")
    made = subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=apt", "--mode=root", "--skip=cleanup/apt/lists", f"--aptopt={settings}",
         suite, str(path), "-"], input="\n".join(_sources(suite)) + "\n", capture_output=True, text=True)
    if made.returncode:
        raise RuntimeError(f"mmdebstrap {suite} gave {made.returncode}: {made.stderr[-2000:]}")
    # mmdebstrap does not see to it that no daemon is ever started in there
    (path / "usr/sbin/policy-rc.d").write_text(NO_DAEMONS)
    (path / "usr/sbin/policy-rc.d").chmod(0o755)


def _sources(suite: str) -> list[str]:
    """Where this machine has its Debian from, for another suite."""
    listed = _said("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages")
    found = [line.split() for line in listed.splitlines()]
    lines = [f"deb {uri} {release.replace(OWN_SUITE, suite)} {component}"
             for uri, release, component in found if release.startswith(OWN_SUITE) and "backports" not in release]
    if not lines:
        raise RuntimeError(f"apt on this machine has no archive of {OWN_SUITE} configured")
    return sorted(set(lines))


def _settings() -> list[str]:
    """How this machine reaches its archive: proxies, and which dates it checks."""
    wanted = ("Acquire::http", "Acquire::https", "Acquire::Check-", "Acquire::Retries", "Acquire::ForceIPv")
    dumped = _said("apt-config", "dump", "--format", '%F "%v";%n').splitlines()
    return ['APT::Sandbox::User "root";', 'APT::Keep-Downloaded-Packages "true";',
            *(line for line in dumped if line.startswith(wanted) and not line.endswith('"";'))]


def _said(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)
