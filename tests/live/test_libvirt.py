"""libvirt comes and goes, hangs and dies; the guests are well all the while, but for one that was hung and reported
before the first of these tests."""
from __future__ import annotations

import os
import re
import subprocess
import time

import pytest

from tests.harness.wait import until
from tests.harness.ward import FAST, settle

# Seconds in which guests would be called hung or agent-down, if they were judged.
LONG_ENOUGH = FAST["silence"] + FAST["agent_down"]


@pytest.fixture(scope="module")
def ward(libvirtd, module_ward):
    """A helper that began while there was no libvirtd."""
    ward = module_ward()
    ward.boot("sound", "other", "hung")
    libvirtd.stop()
    ward.helper.start()
    ward.before_libvirtd = ward.helper.status()
    libvirtd.start()
    ward.wait("healthy", *ward.guests)
    ward["hung"].halt()
    ward.wait("hung", "hung")
    until(lambda: ward.deliveries("hung") == "delivered", "the report")
    return ward


@pytest.fixture(autouse=True)
def again(libvirtd, ward):
    """libvirtd runs after each test, whatever became of the test."""
    yield
    try:
        libvirtd.thaw()
    except ProcessLookupError:
        libvirtd.start()


def untroubled(ward) -> None:
    """Who was well is watched again, and nobody was reported but the one who was before."""
    ward.wait("healthy", "sound", "other")
    ward.answers("sound", "other")
    assert ward.helper.status()["libvirt"]["connected"]
    assert ward.incidents("sound") == ward.incidents("other") == []
    assert len(ward.endpoint.attempts) == len(ward.attempts("hung")) == 1
    assert [it[0::3] for it in ward.incidents("hung")] == [("hung", "delivered")]


def unreachable(ward) -> None:
    """Status says that there is no libvirt, and what is known of the guests: nothing."""
    until(lambda: not ward.helper.status()["libvirt"]["connected"], "status to say that libvirt is away", 60)
    ward.wait("unknown", "sound", "other")
    status = ward.helper.status()
    assert status["libvirt"]["error"]
    assert "libvirt" in status["state"]


def admin(*command: str, check: bool = True) -> str:
    """Libvirt's own tool for its daemon."""
    return subprocess.run(["virt-admin", *command], capture_output=True, text=True, check=check).stdout


def usage(ward) -> tuple[int, int]:
    """Open descriptors and threads of the helper."""
    process = f"/proc/{ward.helper.pid}"
    return len(os.listdir(f"{process}/fd")), len(os.listdir(f"{process}/task"))


def test_a_helper_that_begins_before_libvirtd_says_so_and_connects_later(ward):
    before = ward.before_libvirtd
    assert not before["libvirt"]["connected"]
    assert before["libvirt"]["error"]
    assert before["guests"] == []
    untroubled(ward)


def test_while_libvirtd_is_away_nobody_is_judged_and_afterwards_watching_goes_on_by_itself(libvirtd, ward):
    libvirtd.stop()
    unreachable(ward)
    settle(time.monotonic(), LONG_ENOUGH)
    unreachable(ward)
    libvirtd.start()
    untroubled(ward)


def test_a_libvirtd_that_hangs_counts_as_away(libvirtd, ward):
    libvirtd.freeze()
    unreachable(ward)
    settle(time.monotonic(), LONG_ENOUGH)
    libvirtd.thaw()
    untroubled(ward)


def test_a_libvirtd_that_is_killed_counts_against_no_guest_and_the_hung_one_is_not_reported_again(libvirtd, ward):
    libvirtd.kill()
    unreachable(ward)
    libvirtd.start()
    ward.wait("hung", "hung")       # judged anew
    untroubled(ward)


def test_connections_that_somebody_cuts_are_made_anew(ward):
    def clients(writable: bool) -> list[str]:
        """The helper's connections to libvirtd: guests are asked over writable ones, events come over another."""
        listed = [line.split()[0] for line in admin("client-list", "libvirtd").splitlines()[2:] if line.strip()]
        about = {client: admin("client-info", "libvirtd", client) for client in listed}
        return [client for client, text in about.items()
                if re.search(rf"unix_process_id *: {ward.helper.pid}$", text, re.M)
                and re.search(r"readonly *: (yes|no)", text)[1] == ("no" if writable else "yes")]

    for writable in (True, False):
        cut = clients(writable)
        assert cut
        for client in cut:
            admin("client-disconnect", "libvirtd", client, check=False)     # it may have left by itself meanwhile
        until(lambda writable=writable, cut=cut: set(clients(writable)) - set(cut), "new connections", 60)
        untroubled(ward)


def test_five_restarts_of_libvirtd_leave_no_descriptor_and_no_thread_behind(libvirtd, ward):
    def restart() -> None:
        libvirtd.stop()
        unreachable(ward)
        libvirtd.start()
        ward.wait("healthy", "sound", "other")

    ward["hung"].destroy()      # or else each stop waits for the question to it
    restart()       # every thread that is ever needed has begun then
    descriptors, threads = usage(ward)
    for _ in range(5):
        restart()
    until(lambda: all(now <= before for now, before in zip(usage(ward), (descriptors, threads))),
          f"{descriptors} descriptors and {threads} threads as before", 60, 0.2)
    untroubled(ward)
