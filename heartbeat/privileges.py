"""As whom the helper runs. It begins as root, takes what only root can have (lock, control socket, files of others),
and then becomes a user of its own, for good: a fault in what reads a guest's words is then not one of root's.

It keeps such a fault small; it is no wall around a helper that somebody has taken over: libvirt and Pacemaker let the
members of their groups do most of what root can.
"""

from __future__ import annotations

import contextlib
import ctypes
import grp
import os
import pwd
import resource
import signal
from collections.abc import Iterator
from typing import NamedTuple

from heartbeat import trial
from heartbeat.belongings import KEPT, ROOT, Unfit, User, givable, hand_over, make_ways
from heartbeat.configuration import Configuration
from heartbeat.settings import plain

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38
CAPABILITIES = 64  # as many as the kernel's masks have room for
# Groups whose members libvirt and Pacemaker serve. polkit asks the user database, so to add them here is not enough.
GROUPS = ("libvirt", "haclient")
LIBVIRT = ("/run/libvirt/virtqemud-sock", "/run/libvirt/libvirt-sock")
# What proves to a libvirt that is not reached by its socket who we are.
PROOFS = ("/etc/libvirt/auth.conf", "/etc/pki/libvirt/private/clientkey.pem")
LIBVIRT_LIMIT = 5.0  # seconds; libvirt's open has no time limit of its own
PROC = "/proc/1/stat"  # of a process of root's, as QEMU's may be; hidden with hidepid


class Standing(NamedTuple):
    """As whom the helper runs and why, for people. unwanted: it is root though state.user says otherwise."""

    text: str
    unwanted: bool = False


def confine() -> None:
    """For any process of ours: no core, which would hold credentials, and nothing that it executes gains rights."""
    for option, value in ((PR_SET_NO_NEW_PRIVS, 1), (PR_SET_DUMPABLE, 0)):
        with contextlib.suppress(OSError):  # whatever keeps us from it, a filter of system calls, is as good
            _prctl(option, value)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def leash() -> None:
    """For a process that is about to be executed: it is killed when the thread that forked it ends, however that
    happens. A change of its user ends this."""
    with contextlib.suppress(OSError):
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def drop(config: Configuration, run_directory: str = "") -> Standing:
    """Go on as the user of state.user, if it can do the work; returns what became of that.

    To be called before any thread is started, since the kernel has these rights by thread, and after all that takes
    root: afterwards there is no way back. Whatever is in the way is no failure: the guests are watched by root then.
    run_directory: whose lock and socket the helper keeps; "" for a look only, which changes no file.
    """
    confine()
    name = config.text("state.user")
    if os.geteuid() != 0:
        return Standing(f"the helper runs as uid {os.geteuid()}, since it was started so")
    if name in ("", ROOT.name):
        if run_directory:
            hand_over(config, run_directory, ROOT)
        return Standing("the helper runs as root, as state.user says")
    try:
        user = find(name)
        if run_directory:
            make_ways(config, user)
        trouble = obstacle(config, user) or refusal(config, user)
        if trouble:
            raise Unfit(trouble)
        if run_directory:
            hand_over(config, run_directory, user)
            trouble = foreign(config, user)
            if trouble:
                raise Unfit(trouble)
        _become(user)
    except (Unfit, OSError) as error:
        if run_directory:
            with contextlib.suppress(OSError, Unfit):
                hand_over(config, run_directory, ROOT)
        why = f"{error.filename or 'a change of user'}: {error.strerror}" if isinstance(error, OSError) else str(error)
        return Standing(f"the helper runs as root: {why}", unwanted=True)
    return Standing(f"the helper runs as user {user.name}, uid {user.uid}, without any capability")


def find(name: str) -> User:
    """The user with all its groups. Raises Unfit."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        create = f"useradd --system --no-create-home --shell /sbin/nologin {plain(name)}"
        raise Unfit(f"user {plain(name)} of state.user does not exist; run: {create}") from None
    if entry.pw_uid == 0:
        raise Unfit(f"user {plain(name)} of state.user is root by another name")
    groups = os.getgrouplist(name, entry.pw_gid)
    for group in GROUPS:
        with contextlib.suppress(KeyError):  # neither libvirt nor Pacemaker here: nothing to belong to
            if grp.getgrnam(group).gr_gid not in groups:
                raise Unfit(f"user {plain(name)} is not in group {group}; run: usermod -aG {group} {plain(name)}")
    return User(name, entry.pw_uid, entry.pw_gid, tuple(groups))


def obstacle(config: Configuration, user: User) -> str:
    """What this user cannot do and the helper must, "" if there is nothing. Raises OSError."""
    state, log = config.text("state.directory"), config.text("log.to")
    api = (config.api.get(name, "") for name in ("cafile", "certfile", "keyfile"))
    certificates = (config.text("masakari.cafile"), *api)
    transport = config.text("libvirt.connection_uri").partition(":")[0].partition("+")[2]
    if transport not in ("", "unix", "tcp", "tls"):
        return f"what lets root connect to libvirt by {transport} is not user {user.name}'s"
    needed: list[tuple[str, int, str]] = [
        (os.path.dirname(state), os.X_OK, "lead to the ledger; see state.directory"),
        (os.path.abspath(__file__), os.R_OK, "read its own code"),
        (PROC, os.R_OK, "see QEMU's processes; mount /proc with gid= of a group of this user, or without hidepid"),
        *((path, os.W_OK, "connect to libvirt; see unix_sock_group of its configuration") for path in LIBVIRT),
        *((path, os.R_OK, "prove to libvirt who asks") for path in PROOFS if transport),
        *((path, os.R_OK, "read what proves Masakari's identity or ours") for path in certificates if path),
    ]
    if log.startswith("/") and not givable(log, ROOT.uid):  # where a look finds one of root's, a start hands it over
        needed.append((log, os.W_OK, "write the log; give it to this user, or use /var/log/masakari-qga"))
    with _as(user):
        for path, mode, purpose in needed:
            if not os.access(path, mode, effective_ids=True) and (path == PROC or _there(path)):
                return f"user {user.name} may not use {path}, to {purpose}"
    return ""


def refusal(config: Configuration, user: User) -> str:
    """Why libvirt does not let this user in, "" if it does. One that is away or hangs says nothing, and refuses nobody:
    what it says later is in the link's reason. Raises OSError."""
    uri = config.text("libvirt.connection_uri")

    def asked() -> str:
        from heartbeat.hypervisor import access  # the sender has no use for libvirt

        _become(user)
        return access.refusal(uri)

    said = trial.answer(asked, LIBVIRT_LIMIT)
    return f"libvirt refuses user {user.name}: {said}" if said else ""


def foreign(config: Configuration, user: User) -> str:
    """A part of the ledger that this user cannot write, as after a copy was put back, "" if there is none."""
    state = config.text("state.directory")
    with _as(user), contextlib.suppress(FileNotFoundError):
        for name in os.listdir(state):
            if name.startswith(KEPT) and not os.access(f"{state}/{name}", os.R_OK | os.W_OK, effective_ids=True):
                path = plain(f"{state}/{name}")
                return f"user {user.name} may not write {path}; run: chown {user.name}: {path}"
    return ""


def _there(path: str) -> bool:
    """Whether it is the permission that is missing, and not the file; a directory that hides it says so as well."""
    try:
        os.stat(path)
    except OSError as error:
        return isinstance(error, PermissionError)
    return True


@contextlib.contextmanager
def _as(user: User) -> Iterator[None]:
    groups = os.getgroups()
    try:
        os.setgroups(user.groups)
        os.setegid(user.gid)
        os.seteuid(user.uid)
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def _become(user: User) -> None:
    """All or nothing. Raises OSError, and then we are root as before."""
    groups = os.getgroups()
    try:
        os.setgroups(user.groups)
        os.setresgid(user.gid, user.gid, user.gid)
        for number in range(CAPABILITIES):
            with contextlib.suppress(OSError):  # the kernel knows fewer
                _prctl(PR_CAPBSET_DROP, number)
        os.setresuid(user.uid, user.uid, user.uid)  # which gives up every capability
    except OSError:
        os.setresgid(0, 0, 0)
        os.setgroups(groups)
        raise
    _prctl(PR_SET_DUMPABLE, 0)  # changed by a change of user, to what fs.suid_dumpable says


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
