"""The process that reads consoles: python3 -I -S reader.py PATTERN. Its other end is heartbeat.evidence.console.

libvirt's virtlogd keeps a guest's console as root, for nobody else to read, and the helper is not root. So this is
started while it still is, and keeps of root's rights one: to read (CAP_DAC_READ_SEARCH). What it can be asked for is a
uuid, and what it opens for that follows from the pattern that it was started with: whoever takes the helper over gains
the consoles of guests by it, and no other file. It parses nothing that a guest has written, imports nothing of ours,
and ends with the helper.
"""

from __future__ import annotations

import ctypes
import os
import resource
import stat
import sys

TAIL = 64 << 10  # bytes of a console that are handed back: some 800 lines
PACKET = 256  # bytes of a request
NAME = "{uuid}"
HEX, GROUPS = "0123456789abcdef", (8, 4, 4, 4, 12)
FILES = 16  # open at a time; two or three are

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 4, 8, 24, 38
CAP_DAC_READ_SEARCH, CAPABILITIES = 2, 64
CAPABILITY_VERSION = 0x20080522
SIGKILL = 9  # module signal would take a MiB for it


class Refused(Exception):
    """Why there is no console, for people."""


def serve(pattern: str, channel: int) -> None:
    """Answers requests until the other end is closed. channel: a socket that keeps packets apart.

    A request is a number and a uuid; the answer begins with that number, and `ok`, a line's end and the console's tail,
    or `no` and the reason.
    """
    while True:
        request = os.read(channel, PACKET).decode("ascii", "replace")
        if not request:
            return
        number, _, uuid = request.partition(" ")
        try:
            answer = b"ok\n" + console(pattern, uuid)
        except Refused as error:
            answer = b"no " + str(error).encode("ascii", "backslashreplace")
        except OSError as error:
            answer = b"no " + (error.strerror or "it cannot be read").encode("ascii", "replace")
        os.write(channel, number.encode("ascii", "replace") + b" " + answer)


def console(pattern: str, uuid: str) -> bytes:
    """The end of this guest's console, also of what was rotated last. Raises Refused, OSError."""
    if not proper(uuid):
        raise Refused("not a uuid")
    words = pattern.split("/")[1:]
    at = next(number for number, word in enumerate(words) if NAME in word)
    # Up to there the way is the operator's; beyond it is Nova's user's, who must not lead us elsewhere by a link.
    folder = os.open("/" + "/".join(words[:at]), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for word in words[at:-1]:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            below = os.open(word.replace(NAME, uuid), flags, dir_fd=folder)
            os.close(folder)
            folder = below
        name = words[-1].replace(NAME, uuid)
        found = tail(name, folder, TAIL)
        if len(found) < TAIL:
            try:
                found = tail(name + ".0", folder, TAIL - len(found)) + found
            except (OSError, Refused):
                pass  # it was not rotated yet
        return found
    finally:
        os.close(folder)


def tail(name: str, folder: int, most: int) -> bytes:
    """The last bytes of a regular file. Raises Refused for anything else, without waiting for it; OSError."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    file = os.open(name, flags, dir_fd=folder)
    try:
        known = os.fstat(file)
        if not stat.S_ISREG(known.st_mode) or known.st_nlink != 1:
            raise Refused("not a regular file of one name")
        os.lseek(file, max(known.st_size - most, 0), os.SEEK_SET)
        found = b""
        while len(found) < most:
            more = os.read(file, most - len(found))
            if not more:
                break
            found += more
        return found
    finally:
        os.close(file)


def proper(uuid: str) -> bool:
    parts = uuid.split("-")
    return tuple(map(len, parts)) == GROUPS and not uuid.replace("-", "").strip(HEX)


def restrict(uid: int, gid: int) -> None:
    """Keeps the right to read, and gives up all else. Raises OSError."""
    root = os.geteuid() == 0
    if root:
        _prctl(PR_SET_KEEPCAPS, 1)
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        for number in range(CAPABILITIES):
            try:
                _prctl(PR_CAPBSET_DROP, number)
            except OSError:
                break  # the kernel knows no further one
        os.setresuid(uid, uid, uid)
    _keep((1 << CAP_DAC_READ_SEARCH) if root else 0)
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    _prctl(PR_SET_DUMPABLE, 0)
    _prctl(PR_SET_PDEATHSIG, SIGKILL)  # which a change of user takes back, so not before
    for limit, most in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_NPROC, 0), (resource.RLIMIT_FSIZE, 0),
                        (resource.RLIMIT_NOFILE, FILES)):  # fmt: skip
        resource.setrlimit(limit, (most, most))


def _keep(mask: int) -> None:
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)(mask, mask, 0, 0, 0, 0)  # effective, permitted, inheritable; low half, high half
    _checked(_libc().capset(header, sets))


def _prctl(option: int, value: int) -> None:
    _checked(_libc().prctl(option, *map(ctypes.c_ulong, (value, 0, 0, 0))))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def main() -> None:
    channel = 0
    # Before the helper has become whom it will be nobody can tell: it says so in its first word, and only then.
    words = os.read(channel, PACKET).split()
    if len(words) == 3 and words[0] == b"become":
        parent = os.getppid()
        restrict(int(words[1]), int(words[2]))
        if os.getppid() == parent:  # else it ended before its end would have been ours
            os.write(channel, b"ready")
            serve(sys.argv[1], channel)


if __name__ == "__main__":
    main()
