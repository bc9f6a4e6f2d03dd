"""Whether the helper lives: what a monitor says.

Every compute node pays for this every few seconds, most of it for starting Python at all. So only modules that are
built into the interpreter are imported, and what only a broken helper needs is imported when it is broken.
"""

import posix

from heartbeat import __version__
from qga_ra import client

RUN_DIRECTORY = "/run/masakari-qga"
PREFIX = b"ocf-exit-reason:"

NOT_RUNNING = 7
FREE, HELD, MISSING = "free", "held", "missing"


def state(run: str = RUN_DIRECTORY, patience: float = client.PATIENCE) -> "tuple[int, str]":
    """The exit code of a monitor, 0, 7 or 1, and why, for people: the reason of a 1, or what is to be said beside a 0.

    7 is said only if the helper is surely not there: its lock, which it holds for life and which dies with it, is free.
    """
    try:
        sign = client.ping(f"{run}/control.sock", patience)
    except client.Unanswered as error:
        why, absent = error.why, error.absent
    else:
        if not sign.fresh:
            return 1, f"the helper, process {sign.pid}, makes no progress since {sign.age // 1000} s: stuck; restart it"
        if sign.version != __version__:
            return 0, f"helper {sign.version:.20} is running, {__version__} is installed: restart it when convenient"
        return 0, ""
    try:
        lock = look(f"{run}/lock")
    except OSError as error:
        return 1, f"{run}/lock cannot be examined: {error.strerror}"
    if lock == FREE or (lock == MISSING and absent):
        return NOT_RUNNING, ""
    return 1, f"{why} (its lock is {lock})"


def look(lock: str) -> str:
    """FREE, HELD or MISSING. Raises OSError if that cannot be known, as with a lock that is a symbolic link."""
    import fcntl

    try:
        descriptor = posix.open(lock, posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return MISSING
    try:
        # Held for an instant, which a starting helper allows for by trying again.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return HELD
    finally:
        posix.close(descriptor)
    return FREE


def monitor() -> int:
    """The monitor action. The exit code; a reason goes to stderr."""
    code, why = state()
    if why:
        prefix = posix.environ.get(b"OCF_EXIT_REASON_PREFIX", PREFIX) if code else b"masakari-qga: "
        try:
            posix.write(2, prefix + why.encode("ascii", "replace")[:128] + b"\n")
        except OSError:
            pass  # nobody reads; the exit code says it too
    return code
