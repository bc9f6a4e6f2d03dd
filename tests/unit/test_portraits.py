"""What libvirt shows of a failed guest, where it shows only half of it, or does not come back. Its connection is a
stand-in: no daemon does on demand what this one does. tests/live has the real one."""

from __future__ import annotations

import threading

import libvirt
import pytest

from heartbeat import procfs
from heartbeat.evidence.portrait import Wanted
from heartbeat.hypervisor import portraits as module
from heartbeat.hypervisor.portraits import LOST, WORKERS, Portraits
from heartbeat.procfs import Process
from tests.harness.observations import OTHER, UUID
from tests.harness.wait import until
from tests.unit.test_hypervisor import failure

THIRD, FOURTH = OTHER[:-1] + "3", OTHER[:-1] + "4"


class Stream:
    def __init__(self, content: bytes) -> None:
        self.content, self.ended = content, ""

    def recv(self, most: int) -> bytes:
        piece, self.content = self.content[:most], self.content[most:]
        return piece

    def finish(self) -> None:
        self.ended = "finished"

    def abort(self) -> None:
        self.ended = "aborted"


class Libvirt:
    """A link, a connection and a domain in one. hangs: uuids whose screen never comes, until they are let go."""

    def __init__(self) -> None:
        self.processes = {UUID: Process(1, 1)}
        self.hangs: dict[str, threading.Event] = {}
        self.refuses: dict[str, Exception] = {}
        self.job, self.control, self.active, self.content = 0, [0], True, b"\x89PNG"
        self.stream, self.asked, self.closed = Stream(b""), [], 0

    def connect(self, read_only: bool):
        assert not read_only
        self._may("connect")
        return self

    def close(self) -> int:
        self.closed += 1
        return 0

    def lookupByUUIDString(self, uuid: str):  # noqa: N802
        self._may("lookup")
        domain = Libvirt.__new__(Libvirt)
        domain.__dict__ = {**self.__dict__, "uuid": uuid, "whole": self}
        return domain

    def XMLDesc(self, flags: int) -> str:  # noqa: N802
        assert flags == 0  # never what is secret
        self._may("xml")
        return f"<domain>{self.uuid}</domain>"

    def isActive(self) -> bool:  # noqa: N802
        return self.active

    def jobInfo(self) -> list[int]:  # noqa: N802
        return [self.job]

    def controlInfo(self) -> list[int]:  # noqa: N802
        return [self.control.pop(0) if len(self.control) > 1 else self.control[0]]

    def newStream(self, _: int) -> Stream:  # noqa: N802
        self.stream = Stream(self.content)
        return self.stream

    def screenshot(self, stream: Stream, *_: int) -> str:
        self.asked.append(self.uuid)
        if self.uuid in self.hangs:
            self.hangs[self.uuid].wait(60)
        self._may("screenshot")
        return "image/png"

    def diskErrors(self, _: int) -> dict[str, int]:  # noqa: N802
        self._may("disks")
        return {"vda": libvirt.VIR_DOMAIN_DISK_ERROR_NO_SPACE, "vdb\x1b": 77}

    def _may(self, what: str) -> None:
        if what in self.refuses:
            raise self.refuses[what]


@pytest.fixture
def host(monkeypatch):
    """libvirt, and the state letter of every process."""
    made = Libvirt()
    made.letter = "S"
    monkeypatch.setattr(procfs, "state", lambda process: made.letter)
    return made


@pytest.fixture
def portraits(host):
    yield Portraits(host)
    for waiting in host.hangs.values():
        waiting.set()


def take(portraits, uuid: str = UUID, seconds: float = 30.0, **wanted):
    return portraits.finish(portraits.begin(uuid, Wanted(**wanted)), seconds)


def test_a_guest_shows_its_screen_and_its_domain(portraits, host):
    found = take(portraits)
    assert (found.picture, found.xml) == (b"\x89PNG", f"<domain>{UUID}</domain>")
    assert (found.no_picture, found.no_xml) == ("", "")
    assert host.closed == 1


def test_what_is_not_wanted_is_not_asked_for(portraits, host):
    found = take(portraits, no_picture="off")
    assert (found.picture, found.no_picture, host.asked) == (b"", "off", [])
    assert found.xml


@pytest.mark.parametrize("letter", ["T", "t", "D"])
def test_a_qemu_that_stands_still_is_not_asked(portraits, host, letter):
    host.letter = letter
    found = take(portraits)
    assert (found.no_picture, host.asked) == (f"its QEMU process is in state {letter}", [])
    assert found.xml


@pytest.mark.parametrize(("change", "why"), [
    ({"letter": "Z"}, "its QEMU has ended"), ({"active": False}, "its QEMU has ended"),
    ({"job": libvirt.VIR_DOMAIN_JOB_UNBOUNDED},
     "libvirt is at work on it: a migration, save, dump, backup or snapshot"),
    ({"control": [1]}, "another client's call has QEMU's monitor"),
])
def test_a_qemu_that_is_gone_or_busy_is_not_asked(portraits, host, change, why):
    host.__dict__.update(change)
    assert (take(portraits).no_picture, host.asked) == (why, [])


def test_a_call_of_another_clients_that_ends_soon_is_waited_for(portraits, host):
    host.control = [1, 1, 0]
    assert take(portraits).picture


@pytest.mark.parametrize("what", ["connect", "lookup", "xml", "screenshot"])
def test_what_libvirt_refuses_is_named_in_its_own_words_made_printable(portraits, host, what):
    host.refuses[what] = failure(38, 10)
    found = take(portraits)
    assert found.no_picture == "made up"
    assert (found.no_xml == "made up") == (what != "screenshot")
    assert take(portraits, OTHER).no_picture == "made up"  # and it is asked again


def test_a_screen_without_an_end_is_given_up(portraits, host, monkeypatch):
    monkeypatch.setattr(module, "MOST", 1 << 20)
    host.content = b"x" * (1 << 21)
    assert take(portraits).no_picture == "a picture of more than 1 MiB"


def test_disks_are_asked_for_their_errors_only_where_they_may_be_to_blame(portraits, host):
    assert take(portraits).disks == ()
    assert take(portraits, disks=True).disks == (("vda", "no space"), ("vdb\\x1b", "an error"))
    host.refuses["disks"] = failure(38, 10)
    found = take(portraits, disks=True)
    assert (found.disks, found.no_disks) == ((), "made up")
    assert found.picture


def test_one_that_does_not_come_back_is_given_up_and_not_asked_again_until_it_does(portraits, host):
    host.hangs[UUID] = threading.Event()
    sitting = portraits.begin(UUID, Wanted())
    until(lambda: host.asked, "the screen to be asked for")
    found = portraits.finish(sitting, 0)
    assert (found.no_picture, found.no_xml) == ("QEMU's monitor, or libvirt, did not answer", "")
    assert portraits.stuck(UUID)
    assert take(portraits).no_picture == "an earlier call about it has not returned"
    assert take(portraits, OTHER).picture
    host.hangs.pop(UUID).set()
    until(lambda: not portraits.stuck(UUID), "the call to return")
    assert take(portraits).picture


def test_those_that_hang_are_never_more_than_so_many_and_then_the_reason_comes_at_once(portraits, host):
    stuck = [f"{UUID[:-2]}{number:02}" for number in range(50, 50 + WORKERS + LOST)]
    for uuid in stuck:
        host.hangs[uuid] = threading.Event()
    for number, uuid in enumerate(stuck, 1):
        sitting = portraits.begin(uuid, Wanted())
        until(lambda number=number: len(host.asked) == number, "the screen to be asked for")
        assert portraits.finish(sitting, 0).no_picture == "QEMU's monitor, or libvirt, did not answer"
    assert take(portraits).no_picture == "calls about other guests do not return"
    assert len(host.asked) == WORKERS + LOST
    for waiting in host.hangs.values():
        waiting.set()
    until(lambda: not any(map(portraits.stuck, stuck)), "all calls to return")
    assert take(portraits).picture


def test_one_that_never_had_a_worker_is_told_so(portraits, host):
    for uuid in (OTHER, THIRD):
        host.hangs[uuid] = threading.Event()
        portraits.begin(uuid, Wanted())
    until(lambda: len(host.asked) == WORKERS, "all workers to be busy")
    found = take(portraits, FOURTH, 0)
    assert found.no_picture == found.no_xml == "libvirt was busy with other guests"
    for waiting in host.hangs.values():
        waiting.set()
    assert take(portraits).picture
    assert FOURTH not in host.asked
