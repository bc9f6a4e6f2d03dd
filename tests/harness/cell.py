"""A private world to run live tests in: own mounts, network, host name, IPC and process numbers.

    python3 -m tests.harness.cell [--hostname NAME] [--without-guests] -- COMMAND...

Inside, libvirt, corosync, Pacemaker and our own helper find their standard paths empty and theirs alone, so several
cells run side by side and `qemu:///system` just works. When COMMAND ends everything in the cell is killed and all it
wrote is gone. Needs root, no systemd; a plain chroot will do. Mount points that do not exist yet are created.
"""
from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.harness import image

MARK = Path("/run/masakari-qga-cell")
PRIVATE = ("/run", "/var/log", "/var/lib/pacemaker", "/var/lib/corosync", "/etc/corosync", "/var/lib/libvirt",
           "/etc/libvirt", "/var/cache/libvirt", "/var/lib/masakari-qga", "/etc/masakari-qga")
COPIED = ("/etc/masakari-qga",)      # private too, but a test starts from what the package installed
USER, NUMBER = "masakari-qga", 64999
NAMESPACES = 0x20000 | 0x4000000 | 0x8000000 | 0x20000000 | 0x40000000      # CLONE_NEW: NS, UTS, IPC, PID, NET
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def required() -> None:
    """Raises RuntimeError outside of a cell: what calls this starts and kills daemons on the standard paths."""
    if not MARK.exists():
        raise RuntimeError("not inside a cell: run this under `python3 -m tests.harness.cell -- COMMAND...`")


def run(command: Sequence[str], hostname: str = "one") -> int:
    """Run a command in a new cell and return its exit status (128 + number if a signal ended it).

    TERM to the caller is handed on to the command; if the caller is killed, the cell dies with it.
    """
    if os.geteuid() != 0:
        raise PermissionError("a cell takes root: unshare of mount, network and process namespaces")
    caller = os.getpid()
    keeper = os.fork()      # unshare changes the process for good: let it be one that ends
    if keeper == 0:
        _checked(_libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL), "prctl")
        if os.getppid() != caller:
            os._exit(1)
        os._exit(_guarded(lambda: _keep(command, hostname)))
    return _forwarding(keeper)


def _keep(command: Sequence[str], hostname: str) -> int:
    _checked(_libc.unshare(NAMESPACES), "unshare")
    ready, go = os.pipe()
    first = os.fork()
    if first == 0:
        os.close(go)
        _checked(_libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL), "prctl")
        if os.read(ready, 1) != b"!":       # the keeper died before the line above could take effect
            os._exit(1)
        os._exit(_guarded(lambda: _first_process(command, hostname)))
    os.close(ready)
    os.write(go, b"!")
    return _forwarding(first)


def _first_process(command: Sequence[str], hostname: str) -> int:
    """PID 1 of the cell: makes the world, starts the command, and reaps everybody's orphans until it ends. A QEMU
    that nobody reaps would stay a zombie, and libvirt would take 40-80 s to believe in its death."""
    _furnish(hostname)
    child = os.fork()
    if child == 0:
        try:
            os.execvp(command[0], list(command))
        except OSError as error:
            print(f"{command[0]}: {error.strerror}", file=sys.stderr)
            os._exit(127)
    return _forwarding(child, orphans=True)


def _forwarding(child: int, orphans: bool = False) -> int:
    """Wait for a child and hand TERM on to it; with `orphans`, reap any other child meanwhile."""
    def hand_on(number: int, _frame: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)
    # a terminal sends INT to the command as well; handlers, unlike SIG_IGN, do not outlive exec
    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, hand_on),
              signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: None)}
    try:
        while True:
            pid, status = os.waitpid(-1 if orphans else child, 0)
            if pid == child:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _furnish(hostname: str) -> None:
    # A plain chroot is no mount point, whose propagation could be changed: bind it on itself and step into that.
    if _libc.mount(None, b"/", None, 0x44000, None) != 0:      # MS_REC | MS_PRIVATE
        _mount("--rbind", "/", "/")
        os.chroot("/..")
        os.chdir(os.getcwd())
        _mount("--make-rprivate", "/")
    _mount("-t", "proc", "proc", "/proc")
    kept = {path: _contents(path) for path in COPIED}
    for path in (*PRIVATE, "/dev/shm", "/dev/pts"):
        os.makedirs(path, exist_ok=True)
    for path in PRIVATE:
        _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", path)
    for path, content in kept.items():
        for name, data, mode in content:
            Path(path, name).write_bytes(data)
            os.chmod(Path(path, name), mode)
    _mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", "/dev/shm")
    if not os.path.exists("/dev/pts/ptmx"):     # a bare chroot; guests have a console on a pty
        _mount("-t", "devpts", "-o", "ptmxmode=666", "devpts", "/dev/pts")
    Path("/run/lock").mkdir(mode=0o1777)
    _people()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["hostname", hostname], check=True)
    MARK.write_text(hostname + "\n")


def _contents(folder: str) -> list[tuple[str, bytes, int]]:
    """Name, bytes and mode of the plain files of a folder."""
    if not os.path.isdir(folder):
        return []
    return [(p.name, p.read_bytes(), p.stat().st_mode & 0o7777) for p in Path(folder).iterdir() if p.is_file()]


def _people() -> None:
    """The helper's user, as the package makes it, whatever of the package is installed."""
    users = Path("/etc/passwd").read_text().splitlines()
    if not any(line.startswith(f"{USER}:") for line in users):
        users.append(f"{USER}:x:{NUMBER}:{NUMBER}::/nonexistent:/usr/sbin/nologin")
    groups = [line.split(":") for line in Path("/etc/group").read_text().splitlines()]
    if USER not in [group[0] for group in groups]:
        groups.append([USER, "x", str(NUMBER), ""])
    for group in groups:
        if group[0] in ("libvirt", "haclient") and USER not in group[3].split(","):
            group[3] = ",".join(filter(None, (group[3], USER)))
    for name, lines in (("passwd", users), ("group", [":".join(group) for group in groups])):
        Path("/run", name).write_text("\n".join(lines) + "\n")
        os.chmod(f"/run/{name}", 0o644)
        _mount("--bind", f"/run/{name}", f"/etc/{name}")


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _guarded(body: Callable[[], int]) -> int:
    """Exit status for os._exit of a forked process, whatever happens in it."""
    try:
        return body()
    except BaseException as error:
        print(f"cell: {type(error).__name__}: {error}", file=sys.stderr)
        return 125
    finally:
        sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description="Run a command in a private world.")
    parser.add_argument("--hostname", default="one")
    parser.add_argument("--without-guests", action="store_true", help="do not build the test guest's image first")
    parser.add_argument("command", nargs="+", metavar="COMMAND")
    chosen = parser.parse_args()
    if not chosen.without_guests:
        image.build()        # here, where there is a network
    return run(chosen.command, chosen.hostname)


if __name__ == "__main__":
    sys.exit(main())
