"""Asks the helper: whether it lives, which is all that a monitor does, and anything else over its control socket.

Every compute node pays for a monitor every few seconds, most of it for starting Python at all. The agent's script sees
by itself that all is well; else this one module is all that a monitor loads. So it imports nothing but what is built
into the interpreter (`socket` alone would double the cost), and what only a broken helper needs is imported when it is
broken.
"""

import _socket
import posix
import time

from heartbeat import __version__

TYPE_CHECKING = False  # as typing has it, without what it costs
if TYPE_CHECKING:
    from collections.abc import Mapping

RUN_DIRECTORY = "/run/masakari-qga"
SOCKET = f"{RUN_DIRECTORY}/control.sock"
FRESH = 15000  # ms since the owner loop's last progress, up to which the helper counts as alive
PATIENCE = 5.0  # s for one whole exchange
PREFIX = b"ocf-exit-reason:"
NOT_RUNNING = 7
FREE, HELD, MISSING = "free", "held", "missing"  # of the lock
LARGEST = 16 << 20  # bytes of a reply: ten thousand guests with incidents take a third of it


class Unanswered(Exception):
    """No usable reply. `why` is for people; absent: nobody listens, as opposed to somebody who does not answer."""

    def __init__(self, why: str, absent: bool = False) -> None:
        super().__init__(why)
        self.why, self.absent = why, absent


class Refused(Exception):
    """The helper answered, and declined; the text is its own and for people."""


def exchange(line: bytes, path: str = SOCKET, patience: float = PATIENCE, largest: int = LARGEST) -> bytes:
    """One request line, and the reply line without its end. Takes `patience` seconds at most. Raises Unanswered."""
    end = time.monotonic() + patience
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        _connect(connection, path, end)
        connection.settimeout(_left(end))
        connection.sendall(line)
        parts: list[bytes] = []  # joined once: a reply of megabytes comes in hundreds of pieces
        size = 0
        while not parts or not parts[-1].endswith(b"\n"):
            connection.settimeout(_left(end))
            part = connection.recv(4096 if not parts else 65536)
            size += len(part)
            if not part or size > largest:
                raise Unanswered("the helper broke off its reply" if not part else "the helper's reply is too long")
            parts.append(part)
        return b"".join(parts)[:-1]
    except (FileNotFoundError, NotADirectoryError):
        raise Unanswered("the helper's control socket is missing", absent=True) from None
    except ConnectionRefusedError:
        raise Unanswered("nobody listens on the helper's control socket", absent=True) from None
    except PermissionError:
        raise Unanswered("no permission to ask the helper; be root") from None
    except (TimeoutError, _socket.timeout):  # one and the same only since Python 3.10
        raise Unanswered(f"the helper does not answer within {patience:.0f} s: stopped or stuck") from None
    except OSError as error:
        raise Unanswered(f"the helper cannot be asked: {error.strerror or error}") from None
    finally:
        connection.close()


def _connect(connection: _socket.socket, path: str, end: float) -> None:
    while True:
        connection.settimeout(_left(end))
        try:
            return connection.connect(path)
        except BlockingIOError:  # the queue of connections is full; unlike TCP's, AF_UNIX does not wait by itself
            time.sleep(min(0.05, _left(end)))


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def ping(path: str = SOCKET, patience: float = PATIENCE) -> tuple[int, str, int]:
    """The helper's sign of life: ms since its owner loop made progress, its version, its pid. Raises Unanswered."""
    reply = exchange(b"ping\n", path, patience, 256)
    words = reply.split()
    if len(words) == 4 and words[0] == b"alive" and words[1].isdigit() and words[3].isdigit():
        return int(words[1]), ascii(words[2])[2:-1], int(words[3])
    raise Unanswered(f"the helper answers {ascii(reply[:40])[1:]} to a ping")


def state(run: str = RUN_DIRECTORY, patience: float = PATIENCE) -> tuple[int, str]:
    """The exit code of a monitor, 0, 7 or 1, and why, for people: the reason of a 1, or what is to be said beside a 0.

    7 is said only if the helper is surely not there: its lock, which it holds for life and which dies with it, is free.
    """
    try:
        age, version, pid = ping(f"{run}/control.sock", patience)
    except Unanswered as error:
        why, absent = error.why, error.absent
    else:
        if age > FRESH:
            return 1, f"the helper, process {pid}, makes no progress since {age // 1000} s: stuck; restart it"
        if version != __version__:
            return 0, f"helper {version:.20} is running, {__version__} is installed: restart it when convenient"
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


def ask(request: "Mapping[str, object]", path: str = SOCKET, patience: float = PATIENCE) -> dict[str, object]:
    """A request's reply, without its "ok". Raises Unanswered, and Refused with the helper's own words."""
    import json

    raw = exchange(json.dumps(request).encode() + b"\n", path, patience)
    try:
        reply = json.loads(raw)
    except (ValueError, RecursionError):
        reply = None
    if not isinstance(reply, dict) or not isinstance(reply.get("ok"), bool):
        raise Unanswered("the helper's reply is not understood; was it upgraded? restart the resource")
    if not reply.pop("ok"):
        raise Refused(str(reply.get("error", "the helper refuses without a reason"))[:500])
    return reply
