"""What is made of libvirt's words. Its connection and domains are stand-ins here: no daemon does on demand what these
do. tests/live has the real ones."""

from __future__ import annotations

import libvirt
import pytest

from heartbeat.guest import Channel
from heartbeat.hypervisor import Hypervisor, events
from heartbeat.hypervisor.link import Link
from heartbeat.observation import Gap, Seen, Stopped
from heartbeat.procfs import Process
from tests.harness.killable import Paper
from tests.harness.observations import UUID

XML = f"""<domain><name>vm</name><uuid>{UUID}</uuid><vcpu>1</vcpu><devices><channel type='unix'>
<target type='virtio' name='org.qemu.guest_agent.0' state='connected'/></channel></devices></domain>"""
RUNNING = (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_BOOTED)


def failure(code: int, domain: int) -> libvirt.libvirtError:
    error = libvirt.libvirtError("made up")
    error.err = (code, domain, "made up", 2, None, None, None, 0, 0)
    return error


class Domain:
    """state, xml: what libvirt says, or the exception that it raises. number: libvirt's, -1 for a dead one."""

    def __init__(self, state=RUNNING, xml=XML, number=7) -> None:
        self._state, self._xml, self._number = state, xml, number

    def UUIDString(self) -> str:  # noqa: N802
        return UUID

    def ID(self) -> int:  # noqa: N802
        return self._number

    def name(self) -> str:
        return "vm"

    def state(self):
        if isinstance(self._state, Exception):
            raise self._state
        return list(self._state)

    def XMLDesc(self, _: int) -> str:  # noqa: N802
        if isinstance(self._xml, Exception):
            raise self._xml
        return self._xml


class Host:
    """The processes of a host: pid -> start time and state."""

    def __init__(self) -> None:
        self.processes: dict[int, tuple[int, str]] = {}
        self.scans = 0

    def qemu_processes(self) -> dict[str, Process]:
        self.scans += 1
        alive = [Process(pid, started) for pid, (started, state) in self.processes.items() if state not in ("", "Z")]
        return {UUID: alive[-1]} if alive else {}

    def state(self, process: Process) -> str:
        started, state = self.processes.get(process.pid, (0, ""))
        return state if started == process.started else ""


@pytest.fixture
def host(monkeypatch):
    host = Host()
    monkeypatch.setattr("heartbeat.hypervisor.link.procfs.qemu_processes", host.qemu_processes)
    monkeypatch.setattr("heartbeat.hypervisor.link.procfs.state", host.state)
    host.processes[100] = (1, "S")
    return host


@pytest.fixture
def link(host):
    return Link("test:///default", 60, 1, lambda _: None)


def incarnation(link: Link, **domain) -> str:
    found = link._observe(Domain(**domain))
    assert isinstance(found, Seen)
    return found.incarnation


def test_a_running_guest_is_seen_with_its_channel_and_named_by_its_process(link):
    found = link._observe(Domain())
    assert isinstance(found, Seen)
    assert (found.guest.channel, found.pause) == (Channel.OPEN, None)
    assert found.incarnation.endswith("-100-1")


def test_the_processes_are_searched_once_for_a_guest_that_goes_on_running(link, host):
    assert incarnation(link) == incarnation(link)
    assert host.scans == 1


@pytest.mark.parametrize("state", ["", "Z"])
@pytest.mark.parametrize("number", [7, -1])
def test_a_qemu_that_has_just_died_does_not_look_like_another_incarnation(link, host, state, number):
    """For a second or a minute libvirt still calls it running. Its death must count as of a guest that answered."""
    before = incarnation(link)
    host.processes[100] = (1, state)
    assert incarnation(link, number=number) == before
    assert incarnation(link, number=number) == before


@pytest.mark.parametrize("state", ["", "Z"])
def test_a_guest_that_was_started_again_is_another_incarnation_though_its_old_process_is_not_reaped(link, host, state):
    before = incarnation(link)
    host.processes[100] = (1, state)
    host.processes[200] = (2, "S")
    assert incarnation(link, number=8) != before
    assert link.processes[UUID] == Process(200, 2)


def test_a_pid_that_was_given_to_another_process_is_another_incarnation(link, host):
    before = incarnation(link)
    host.processes[100] = (99, "S")
    assert incarnation(link, number=8) != before


def test_without_a_process_that_we_can_see_libvirts_number_tells_the_incarnations_apart(link, host):
    host.processes.clear()
    before = incarnation(link, number=7)
    assert incarnation(link, number=7) == before
    assert incarnation(link, number=8) != before


@pytest.mark.parametrize("trouble", [
    {"xml": "<domain"}, {"xml": XML.replace("<vcpu>1", "<vcpu>x")}, {"xml": failure(1, 10)}, {"xml": failure(88, 38)},
    {"state": failure(38, 10)}, {"xml": UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no")},
], ids=str)  # fmt: skip
def test_a_domain_that_cannot_be_read_is_there_all_the_same_and_stops_nobody(link, trouble):
    found = link._observe(Domain(**trouble))
    assert isinstance(found, Gap)
    assert found.blind
    assert isinstance(link._observe(Domain()), Seen)


def test_a_domain_that_has_gone_meanwhile_is_left_out(link):
    assert link._observe(Domain(state=failure(42, 10))) is None
    assert link._observe(Domain(xml=failure(42, 10))) is None


@pytest.mark.parametrize("code", [38, 1])
def test_a_failure_of_the_connection_is_none_of_the_domain(link, code):
    with pytest.raises(libvirt.libvirtError):
        link._observe(Domain(xml=failure(code, 7)))


@pytest.mark.parametrize("reason", [*range(10), 99])
def test_only_an_end_that_nobody_asked_for_is_a_death(link, reason):
    found = link._observe(Domain(state=(libvirt.VIR_DOMAIN_SHUTOFF, reason), number=-1))
    assert isinstance(found, Stopped)
    assert found.died is (reason in (3, 6, 8))  # crashed, failed, and given up by libvirtd's restart
    assert found.why.isprintable()


@pytest.mark.parametrize(("state", "runs"), [
    ((1, 1), True), ((1, 9), True), ((1, 99), True), ((3, 1), False), ((3, 5), False), ((3, 99), False),
    ((6, 1), False), ((7, 0), False), ((4, 1), False), ((2, 0), False), ((99, 0), False), ((0, 0), False),
])  # fmt: skip
def test_only_a_running_domain_runs(state, runs):
    assert (events.paused(*state) is None) is runs


def test_who_stands_in_for_it_while_the_helper_is_killed_has_all_that_the_helper_may_call():
    wanted = {name for name in vars(Hypervisor) if not name.startswith("_")}
    assert wanted <= set(dir(Paper))
