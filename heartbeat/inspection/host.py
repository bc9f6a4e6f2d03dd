"""What this host must have for the helper: Python modules, and files and directories that nobody else can write, or
read where a password or the failures of guests stand in them. Looks, and changes nothing."""

from __future__ import annotations

import importlib
import json
import os
import stat
from collections.abc import Iterator

from heartbeat import belongings, eventlog, privileges, trial
from heartbeat.configuration import Configuration
from heartbeat.inspection.finding import FAILED, NOTE, OK, WARNING, Finding

MODULES = ("libvirt", "libvirt_qemu", "requests", "keystoneauth1")
USER_LIMIT = 10.0  # seconds; libvirt is opened as that user, which is given up after 5 s
ROOM = 64 << 20  # bytes free below which a ledger has no future
IN_MEMORY = ("tmpfs", "ramfs")
MOUNTS = "/proc/self/mountinfo"
# Of masakari-monitors: it asks the same agents, and reports the same guests, with none of our care.
RIVAL = "masakari-introspectiveinstancemonitor"


def modules() -> Iterator[Finding]:
    missing = []
    for module in MODULES:
        try:
            importlib.import_module(module)
        except ImportError:
            missing.append(module)
    if missing:
        remedy = "reinstall masakari-qga with its dependencies"
        yield Finding(FAILED, "modules", f"python modules missing: {', '.join(missing)}", remedy, 5)
    else:
        yield Finding(OK, "modules", "python modules are there")


def file(path: str) -> Iterator[Finding]:
    """The configuration file, which may hold a password."""
    found = os.stat(path)
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o007:
        yield Finding(FAILED, "config", f"{path} has mode {mode:04o} and may hold a password", f"chmod 0640 {path}", 4)
    elif mode & 0o020:
        yield Finding(WARNING, "config", f"{path} has mode {mode:04o}: its group can change it", f"chmod 0640 {path}")
    elif found.st_uid != os.geteuid():
        yield Finding(WARNING, "config", f"{path} belongs to user {found.st_uid}", f"chown root {path}")
    else:
        yield Finding(OK, "config", f"{path} is readable, mode {mode:04o}")


def credentials(config: Configuration) -> Iterator[Finding]:
    """Another program's file, if the credentials are taken from it; its owner and group are that one's."""
    if not config.api:
        return
    path = config.text("masakari.credentials")
    mode = stat.S_IMODE(os.stat(path).st_mode)
    if mode & 0o007:
        text = f"{path}, whose [api] has the credentials, has mode {mode:04o}"
        yield Finding(WARNING, "config", text, f"chmod o= {path}; the monitors read it as their own user or group")
    else:
        yield Finding(OK, "config", f"credentials are those of [api] in {path}, mode {mode:04o}")


def user(config: Configuration) -> tuple[int, list[Finding]]:
    """The uid as which the helper is to run, and what comes of that. To be called before any thread is started."""
    said = trial.answer(lambda: json.dumps(privileges.drop(config)), USER_LIMIT)
    if not said:
        return os.geteuid(), [Finding(NOTE, "user", f"whether state.user fits could not be told in {USER_LIMIT:g} s")]
    text, unwanted = json.loads(said)
    finding = Finding(OK, "user", text)
    if unwanted:
        why, own = text.rsplit("; ", 1) if "; " in text else (text, "")  # what is to be typed, if known
        ways = [*([own] if own else []), f"set user = root in [state] of {config.path}"]
        finding = Finding(WARNING, "user", why, f"{'; or '.join(ways)}; then run: pcs resource restart qga-monitor")
    try:
        return privileges.find(config.text("state.user")).uid, [finding]
    except belongings.Unfit:
        return os.geteuid(), [finding]


def state_directory(path: str, owner: int | None = None) -> Iterator[Finding]:
    """Where the ledger is. owner: the uid of the helper, if that is not ours."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        yield Finding(NOTE, "state", f"{path} is not there yet; the helper makes it")
        return
    except OSError as error:
        yield Finding(FAILED, "state", f"{path}: {error.strerror}", "correct state.directory", 4)
        return
    mode = stat.S_IMODE(found.st_mode)
    sound = OK
    if not stat.S_ISDIR(found.st_mode):
        yield Finding(FAILED, "state", f"{path} is no directory", "correct state.directory, or move that file away", 4)
        return
    if mode & 0o022 or found.st_uid not in (os.geteuid(), owner):
        text = f"{path} can be changed by others (owner {found.st_uid}, mode {mode:04o}): the helper would not begin"
        yield Finding(FAILED, "state", text, f"chown root {path}; chmod 0700 {path}", 4)
        return
    if mode & 0o055:
        text = f"{path} has mode {mode:04o}: others can see which guests fail"
        yield Finding(WARNING, "state", text, f"chmod 0700 {path}")
        sound = ""
    system = os.statvfs(path)
    if system.f_flag & os.ST_RDONLY:
        yield Finding(FAILED, "state", f"{path} is on a filesystem that is mounted read-only", "mount it read-write", 4)
        return
    free = system.f_bavail * system.f_frsize
    if free < ROOM:
        text = f"{path} is on a filesystem with {free >> 20} MiB left; incidents are kept there"
        yield Finding(WARNING, "state", text, "make room on it")
        sound = ""
    kind = _filesystem(found.st_dev)
    if kind in IN_MEMORY:
        text = f"{path} is on {kind}: what is known of guests and incidents is lost when this host boots"
        yield Finding(WARNING, "state", text, "set state.directory to a place on a disk")
        sound = ""
    if sound:
        yield Finding(OK, "state", f"{path} has mode {mode:04o}, {free >> 20} MiB free")


def consoles(pattern: str) -> Iterator[Finding]:
    """Where guests' consoles are, of which evidence keeps the end."""
    if not pattern:
        yield Finding(NOTE, "evidence", "evidence.console is empty: of a guest that fails no console is kept")
        return
    place = os.path.dirname(pattern.partition("{uuid}")[0] + "x")
    if os.path.isdir(place):
        yield Finding(OK, "evidence", f"consoles of guests that fail are looked for in {place}")
    else:
        text = f"there is no {place}: of a guest that fails no console is kept"
        yield Finding(NOTE, "evidence", text, "set evidence.console to where Nova keeps its instances, or to nothing")


def run_directory(path: str) -> Iterator[Finding]:
    """Where the lock and the control socket are."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        yield Finding(OK, "run", f"{path} is not there, and made when the helper begins")
        return
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISDIR(found.st_mode):
        yield Finding(FAILED, "run", f"{path} is no directory", f"rm {path}", 4)
    elif found.st_uid != os.geteuid() or mode & 0o022:
        text = f"{path} can be changed by others (owner {found.st_uid}, mode {mode:04o})"
        yield Finding(FAILED, "run", text, f"chown root {path}; chmod 0700 {path}", 4)
    else:
        yield Finding(OK, "run", f"{path} has mode {mode:04o}")


def log(to: str) -> Iterator[Finding]:
    """A log that cannot be written does not stop the helper, so it is nothing but a warning."""
    why = eventlog.unwritable(to)
    if why:
        remedy = "start rsyslog or systemd-journald, or set log.to to a file" if to == eventlog.SYSLOG_WORD else (
            "make its directory, writable for root, or correct log.to"
        )  # fmt: skip
        yield Finding(WARNING, "log", f"lines for {to} are lost: {why}", remedy)
        return
    if to != eventlog.SYSLOG_WORD and os.path.exists(to) and os.stat(to).st_mode & 0o007:
        mode = stat.S_IMODE(os.stat(to).st_mode)
        text = f"{to} has mode {mode:04o}: everybody can read or change which guests failed"
        yield Finding(WARNING, "log", text, f"chmod 0640 {to}")
        return
    yield Finding(OK, "log", f"lines go to {to}")


def rival(program: str = RIVAL) -> Iterator[Finding]:
    """Whether the monitor that we replace runs here as well."""
    pids = [pid for pid in os.listdir("/proc") if pid.isdigit() and program in _program(pid)]
    if pids:
        text = f"{program} runs here (process {pids[0]}): it would report the same guests, and hold back nothing"
        yield Finding(WARNING, "rival", text, f"systemctl disable --now {program}")


def _program(pid: str) -> list[str]:
    """The file names of a process's first words: a script's own name comes after its interpreter's."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read(4096).decode("utf-8", "replace").split("\0")
    except OSError:
        return []
    return [os.path.basename(word) for word in words[:4]]


def _filesystem(device: int) -> str:
    """The type of the mounted filesystem with this device number, "" if that cannot be told, as with btrfs."""
    name = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open(MOUNTS, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                words = line.split()
                if words[2:3] == [name] and "-" in words:
                    return words[words.index("-") + 1]
    except OSError:
        pass
    return ""
