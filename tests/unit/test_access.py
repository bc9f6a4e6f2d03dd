"""Whom libvirt refuses, by its errors as they were seen; and that only a refusal is taken for one."""

from __future__ import annotations

import errno

import libvirt
import pytest

from heartbeat.hypervisor import access
from heartbeat.hypervisor.link import Link
from heartbeat.message import LinkDown
from heartbeat.privileges import LIBVIRT_LIMIT
from qga_ra import metadata

URI = "qemu:///system"
AWAY = "Failed to connect socket to '/var/run/libvirt/libvirt-sock': No such file or directory"
SHUT = "Failed to connect socket to '/var/run/libvirt/libvirt-sock': Permission denied"
NO_AGENT = "authentication unavailable: no polkit agent available to authenticate action 'org.libvirt.unix.manage'"
NO_BUS = "internal error: Unable to get system bus connection: Could not connect: No such file or directory"
NO_POLKIT = "error from service: GDBus.Error:org.freedesktop.DBus.Error.ServiceUnknown"


def failure(code: int, domain: int, words: str, number: int = -1) -> libvirt.libvirtError:
    error = libvirt.libvirtError("made up")
    error.err = (code, domain, words, 2, "%s", words, None, number, -1)
    return error


REFUSED = [
    failure(libvirt.VIR_ERR_AUTH_UNAVAILABLE, libvirt.VIR_FROM_POLKIT, NO_AGENT),
    failure(libvirt.VIR_ERR_AUTH_CANCELLED, libvirt.VIR_FROM_POLKIT, "authentication cancelled by user"),
    failure(libvirt.VIR_ERR_AUTH_FAILED, libvirt.VIR_FROM_RPC, "authentication failed: authentication failed"),
    failure(libvirt.VIR_ERR_ACCESS_DENIED, libvirt.VIR_FROM_ACCESS, "access denied"),
    failure(libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_FROM_DBUS, NO_BUS),
    failure(libvirt.VIR_ERR_DBUS_SERVICE, libvirt.VIR_FROM_DBUS, NO_POLKIT),
    failure(libvirt.VIR_ERR_SYSTEM_ERROR, libvirt.VIR_FROM_RPC, SHUT, errno.EACCES),
]
SAYS_NOTHING = [
    failure(libvirt.VIR_ERR_SYSTEM_ERROR, libvirt.VIR_FROM_RPC, AWAY, errno.ENOENT),
    failure(libvirt.VIR_ERR_SYSTEM_ERROR, libvirt.VIR_FROM_RPC, "Connection refused", errno.ECONNREFUSED),
    failure(libvirt.VIR_ERR_SYSTEM_ERROR, libvirt.VIR_FROM_RPC, "End of file while reading data", errno.EIO),
    failure(libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_FROM_RPC, "client socket is closed"),
    failure(libvirt.VIR_ERR_NO_CONNECT, libvirt.VIR_FROM_NONE, "no connection driver available"),
]


def by_words(error: libvirt.libvirtError) -> str:
    return str(error.err[2])


class Connection:
    def close(self) -> None:
        pass


@pytest.fixture
def libvirt_says(monkeypatch):
    """What the two kinds of connection raise, None for one that opens."""
    def opened(error):
        def connect(_uri: str) -> Connection:
            if error:
                raise error
            return Connection()
        return connect

    def say(full=None, read_only=None) -> None:
        monkeypatch.setattr(libvirt, "open", opened(full))
        monkeypatch.setattr(libvirt, "openReadOnly", opened(read_only))
    return say


@pytest.mark.parametrize("error", REFUSED, ids=by_words)
def test_a_refusal_is_named_with_its_remedy(libvirt_says, error):
    libvirt_says(full=error)
    said = access.refusal(URI)
    assert said.startswith(by_words(error)[:60])
    assert ("unix_sock_group" if error.err[7] == errno.EACCES else "polkit rule for org.libvirt.unix.manage") in said


def test_a_refused_read_only_connection_is_a_refusal_too(libvirt_says):
    libvirt_says(read_only=REFUSED[0])
    assert "no polkit agent" in access.refusal(URI)


def test_over_the_network_it_is_the_credentials_that_are_wrong(libvirt_says):
    libvirt_says(full=REFUSED[2])
    assert access.refusal("qemu+tcp://host/system").endswith("correct what /etc/libvirt/auth.conf has for it")


@pytest.mark.parametrize("error", [None, *SAYS_NOTHING], ids=lambda error: by_words(error) if error else "open")
def test_a_libvirt_that_is_away_or_lets_us_in_refuses_nobody(libvirt_says, error):
    libvirt_says(full=error, read_only=error)
    assert access.refusal(URI) == ""


@pytest.mark.parametrize(("error", "user", "remedy"), [
    (REFUSED[0], 1000, True), (REFUSED[0], 0, False), (SAYS_NOTHING[0], 1000, False)])
def test_the_link_says_how_to_get_root_back_only_where_that_helps(libvirt_says, monkeypatch, error, user, remedy):
    monkeypatch.setattr("heartbeat.hypervisor.link.os.geteuid", lambda: user)
    libvirt_says(error, error)
    heard = []

    def post(message: object) -> None:
        heard.append(message)
        link.stop()

    link = Link(URI, 60, 1, post)
    link._run()
    assert [type(message) for message in heard] == [LinkDown]
    assert heard[0].why.startswith(by_words(error)[:60])
    assert (access.RESTART in heard[0].why) is remedy


@pytest.mark.parametrize(("error", "remedy"), [
    (SAYS_NOTHING[0], "run: systemctl start libvirtd"), (SAYS_NOTHING[1], "run: systemctl start libvirtd"),
    (SAYS_NOTHING[2], ""), (SAYS_NOTHING[3], ""), (SAYS_NOTHING[4], "correct libvirt.connection_uri"),
    (REFUSED[0], "let group libvirt in by a polkit rule"), (REFUSED[-1], "see unix_sock_group"),
], ids=lambda it: by_words(it) if isinstance(it, Exception) else it)
def test_what_brings_libvirt_back_is_said_where_it_is_known(libvirt_says, error, remedy):
    libvirt_says(error, error)
    heard = []

    def post(message: object) -> None:
        heard.append(message)
        link.stop()

    link = Link(URI, 60, 1, post)
    link._run()
    assert heard[0].remedy.startswith(remedy)
    assert bool(heard[0].remedy) is bool(remedy)


def test_the_remedy_is_not_cut_off_in_the_node_attribute():
    error = failure(libvirt.VIR_ERR_AUTH_FAILED, libvirt.VIR_FROM_RPC, "why " * 1000)
    from heartbeat.backends.attributes import safe
    assert access.RESTART in safe(f"libvirt: {access.trouble(error, root=False)}")


def test_the_trial_leaves_a_start_most_of_its_time():
    start = next(it for it in metadata.ACTIONS if it["name"] == "start")
    assert int(start["timeout"].rstrip("s")) > 4 * LIBVIRT_LIMIT
