"""Whom libvirt lets in: what of its errors is a refusal of the user that asks, and what to do about it."""

from __future__ import annotations

import errno

import libvirt

from heartbeat.settings import plain

REFUSALS = frozenset(
    {
        libvirt.VIR_ERR_AUTH_FAILED,
        libvirt.VIR_ERR_AUTH_CANCELLED,
        libvirt.VIR_ERR_AUTH_UNAVAILABLE,
        libvirt.VIR_ERR_ACCESS_DENIED,
    }
)
# A polkit that cannot be asked, for want of D-Bus or of itself, refuses everybody but root; seen with codes 1 and 89.
JUDGES = frozenset({libvirt.VIR_FROM_DBUS, libvirt.VIR_FROM_POLKIT})
RESTART = "restart the resource: its helper then stays root"
# Of a socket: there is none, or nobody behind it.
ABSENT = frozenset({errno.ENOENT, errno.ECONNREFUSED})
WRONG = frozenset({libvirt.VIR_ERR_NO_CONNECT, libvirt.VIR_ERR_INVALID_ARG, libvirt.VIR_ERR_CONFIG_UNSUPPORTED})
START = "run: systemctl start libvirtd, or virtqemud.socket where that is installed; or correct libvirt.connection_uri"


def refusal(uri: str) -> str:
    """Why libvirt does not let this process in, and what to do; "" if it does, or does not say: it may be away.

    Blocks as long as a libvirtd that hangs.
    """
    libvirt.registerErrorHandler(lambda *_: None, None)
    for connect in (libvirt.open, libvirt.openReadOnly):
        try:
            connect(uri).close()
        except libvirt.libvirtError as error:
            return f"{_words(error, 200)}; {_remedy(error, uri)}" if refused(error) else ""
    return ""


def refused(error: libvirt.libvirtError) -> bool:
    """Whether it is who asks that libvirt does not like."""
    return error.get_error_code() in REFUSALS or error.get_error_domain() in JUDGES or _closed(error)


def trouble(error: libvirt.libvirtError, root: bool) -> str:
    """Why there is no connection, for people. root: whether it was root who asked."""
    if refused(error) and not root:
        return f"{_words(error, 100)}; {RESTART}"  # a node attribute has no room for a long reason
    return _words(error, 200)


def remedy(error: libvirt.libvirtError, uri: str) -> str:
    """What brings the connection back, "" where libvirt does not say enough, or comes back by itself."""
    if refused(error):
        return _remedy(error, uri)
    if error.get_error_code() == libvirt.VIR_ERR_SYSTEM_ERROR and error.get_int1() in ABSENT:
        return START
    return "correct libvirt.connection_uri" if error.get_error_code() in WRONG else ""


def _closed(error: libvirt.libvirtError) -> bool:
    """libvirt's socket, not libvirt."""
    return error.get_error_code() == libvirt.VIR_ERR_SYSTEM_ERROR and error.get_int1() in (errno.EACCES, errno.EPERM)


def _remedy(error: libvirt.libvirtError, uri: str) -> str:
    if _closed(error):
        return "see unix_sock_group of its configuration"
    if uri.partition(":")[0].partition("+")[2] in ("tcp", "tls"):
        return "correct what /etc/libvirt/auth.conf has for it"
    return "let group libvirt in by a polkit rule for org.libvirt.unix.manage or auth_unix_rw=none of its configuration"


def _words(error: libvirt.libvirtError, limit: int) -> str:
    return plain(error.get_error_message() or "no reason given", limit)
