"""What our code takes for granted of libvirt, asked of the version that is installed, and the helper at work with it.
Run by test_versions.py in a cell within a root; not by itself."""
from __future__ import annotations

import threading
import time
from typing import NamedTuple

import libvirt
import libvirt_qemu
import pytest

from heartbeat.hypervisor.calls import STATISTICS
from heartbeat.probe import LIFE, Answer, Failure, question, read_failure, read_reply
from tests.harness import hypervisor
from tests.harness.guests import boot
from tests.live.conftest import libvirtd, new_guest, new_ward  # noqa: F401  fixtures

NOWAIT = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
CHEAP = libvirt.VIR_DOMAIN_STATS_STATE | libvirt.VIR_DOMAIN_STATS_INTERFACE
QUICK = 3.0     # s, for what libvirt answers by itself
TIMEOUT = 2     # s, that an agent is given


class Heard(NamedTuple):
    answer: Answer
    failure: Failure | None
    seconds: float


@pytest.fixture(scope="module")
def guest(libvirtd):  # noqa: F811
    print(f"libvirt {libvirt.getVersion()}, QEMU {hypervisor.connect().getVersion()}")
    with boot(77, balloon_period=1, nic=True, disk="/run/disk.img") as made:
        yield made


def ask(guest, command: str = "") -> Heard:
    """As the helper does it, or another command."""
    began = time.monotonic()
    try:
        reply = libvirt_qemu.qemuAgentCommand(guest.domain, command or question(5), TIMEOUT, 0)
    except libvirt.libvirtError as error:
        seconds, failure = time.monotonic() - began, Failure(error.get_error_code(), error.get_error_domain())
        return Heard(read_failure(failure, seconds, TIMEOUT), failure, seconds)
    except (UnicodeDecodeError, SystemError):
        return Heard(Answer.GARBLED, None, time.monotonic() - began)
    return Heard(read_reply(reply, 5), None, time.monotonic() - began)


def told(what: str, heard: Heard) -> Answer:
    print(f"{what}: {heard.failure or 'no error'} after {heard.seconds:.2f} s: {heard.answer.name}")
    return heard.answer


def test_a_silent_agent_is_silent_by_whatever_code(guest):
    assert told("answers", ask(guest)) is Answer.ALIVE
    guest.freeze_agent()
    answers = [told(f"frozen agent, question {number}", ask(guest)) for number in range(3)]
    guest.thaw_agent()
    guest.wait_agent()
    assert answers == [Answer.SILENT] * 3


def test_a_channel_that_closes_in_the_middle_is_no_silence(guest):
    heard: list[Heard] = []
    guest.freeze_agent()
    asking = threading.Thread(target=lambda: heard.append(ask(guest)))
    asking.start()
    time.sleep(0.5)     # the question is on its way; nothing says when
    guest.kill_agent()
    asking.join()
    assert told("agent killed while asked", heard[0]) in (Answer.CLOSED, Answer.NOT_CONNECTED)
    assert told("no agent", ask(guest)) is Answer.NOT_CONNECTED
    guest.start_agent()
    guest.wait_agent()


def test_an_error_of_the_guests_is_life(guest):
    assert told("unknown command", ask(guest, '{"execute": "guest-nonsense"}')) in LIFE


@pytest.mark.parametrize("mode", ["error", "list", "garbage", "escape"])
def test_whatever_a_hostile_agent_says_is_life_and_no_proper_answer(guest, mode):
    guest.evil(mode)
    try:
        assert told(f"evil agent, {mode}", ask(guest)) in LIFE
    finally:
        guest.reform()


def test_a_domain_that_does_not_run_is_said_to(guest):
    guest.suspend()
    assert told("suspended", ask(guest)) is Answer.NOT_RUNNING
    guest.resume()
    guest.wait_agent()


def test_what_is_asked_of_all_guests_returns_while_a_qemu_is_stopped_and_what_is_asked_of_one_may_not(guest):
    """So the second is asked of suspects only, by a worker that may be written off."""
    returned: dict[str, float] = {}
    uuid = guest.uuid

    def statistics(name: str, kind: int, flags: int) -> None:
        connection, began = hypervisor.connect(), time.monotonic()
        connection.domainListGetStats([connection.lookupByUUIDString(uuid)], kind, flags)
        returned[name] = time.monotonic() - began

    guest.stop_qemu()
    stuck = threading.Thread(target=statistics, args=("balloon, block and interface, NOWAIT", STATISTICS, NOWAIT))
    try:
        statistics("state and interface", CHEAP, 0)
        assert returned.pop("state and interface") < QUICK
        stuck.start()
        stuck.join(QUICK)
        if stuck.is_alive():
            print(f"balloon, block and interface with NOWAIT do not return within {QUICK:g} s, the monitor being free")
            assert hypervisor.connect().lookupByUUIDString(uuid).controlInfo()[0] != libvirt.VIR_DOMAIN_CONTROL_OK
            statistics("the same again", STATISTICS, NOWAIT)
            print(f"asked again meanwhile, they return after {returned['the same again']:.2f} s")
            assert returned["the same again"] < QUICK
        else:
            print(f"they return after {returned}")
        statistics("state and interface", CHEAP, 0)
        assert returned["state and interface"] < QUICK
    finally:
        guest.cont_qemu()
        if stuck.ident:
            stuck.join(60)
    assert not stuck.is_alive()


def test_the_balloons_stamp_is_under_the_name_that_we_read(guest):
    connection = hypervisor.connect()
    ((_, found),) = connection.domainListGetStats([connection.lookupByUUIDString(guest.uuid)], STATISTICS, NOWAIT)
    assert found["balloon.last-update"] > 0
    assert {"block.0.rd.reqs", "block.0.wr.reqs", "net.0.tx.pkts"} <= found.keys()


def test_the_helper_tells_a_frozen_agent_a_stopped_qemu_and_a_hung_guest_apart(new_ward):  # noqa: F811
    ward = new_ward()
    ward.boot("sound", "frozen", "stopped", "hung")
    ward.watch()
    ward["frozen"].freeze_agent()
    ward["hung"].halt()
    ward["stopped"].stop_qemu()
    ward.wait("hung", "hung")
    ward.wait("agent-silent", "frozen")
    ward.wait("qemu-stuck", "stopped")
    ward["stopped"].cont_qemu()
    ward["frozen"].thaw_agent()
    ward.wait("healthy", "sound", "frozen", "stopped")
    assert {attempt.notification["payload"]["instance_uuid"] for attempt in ward.endpoint.attempts} == {
        ward["hung"].uuid}
