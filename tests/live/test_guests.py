"""The harness breaks guests as it says: what libvirt and the operating system see of each failure."""
from __future__ import annotations

import os
import time
from pathlib import Path
from xml.etree import ElementTree

import libvirt
import pytest

from tests.harness.failures import cramped
from tests.harness.hypervisor import connect
from tests.harness.wait import until

# libvirt 11.2 and later have a code of their own for a command that was not answered in time.
SILENT = (libvirt.VIR_ERR_AGENT_UNRESPONSIVE, 112)
RUNNING = (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_BOOTED)


def silent(guest) -> bool:
    """The agent's channel is open, the domain runs, and nobody answers."""
    assert guest.state[0] == libvirt.VIR_DOMAIN_RUNNING
    assert guest.channel == "connected"
    try:
        guest.ask(seconds=1)
    except libvirt.libvirtError as error:
        return error.get_error_code() in SILENT
    return False


def used(guest, seconds: float = 1.0):
    """What its vCPU took in a while: ns run, ns waited, slices."""
    before = guest.vcpu()
    time.sleep(seconds)
    return type(before)(*(after - was for after, was in zip(guest.vcpu(), before)))


def becomes(guest, *expected: int) -> None:
    until(lambda: guest.state == expected, f"{guest.name} to be in state {expected}")


def channel_becomes(guest, expected: str) -> None:
    until(lambda: guest.channel == expected, f"the channel of {guest.name} to be {expected}")


def test_a_guest_looks_like_novas_with_a_decoy_before_the_agents_channel(guest):
    live = ElementTree.fromstring(guest.domain.XMLDesc())
    assert [target.get("name") for target in live.iterfind("devices/channel/target")] \
        == ["com.redhat.spice.0", "org.qemu.guest_agent.0"]
    assert live.find("metadata/{http://openstack.org/xmlns/libvirt/nova/1.1}instance") is not None
    assert guest.domain.isPersistent()
    assert guest.state == RUNNING
    assert guest.channel == "connected"
    assert guest.process_state in ("S", "R")


def test_a_line_in_the_guest_gives_its_output_and_status(guest):
    assert guest.shell("echo one; echo two >&2; exit 3") == ("one\ntwo\n", 3)


def test_a_stopped_agent_closes_the_channel_and_a_started_one_opens_it(guest):
    guest.stop_agent()
    channel_becomes(guest, "disconnected")
    assert guest.state == RUNNING
    guest.start_agent()
    guest.wait_agent()


def test_a_killed_agent_closes_the_channel(guest):
    guest.kill_agent()
    channel_becomes(guest, "disconnected")
    assert guest.shell("pidof qemu-ga").status == 1


def test_a_frozen_agent_is_silent_on_an_open_channel_and_answers_when_thawed(guest):
    guest.freeze_agent()
    assert silent(guest)
    assert guest.shell("echo alive").output == "alive\n"
    guest.thaw_agent()
    guest.wait_agent()


def test_the_balloon_stamp_outlives_the_agent_but_not_the_kernel(new_guest):
    guest = new_guest(balloon_period=1).start()
    guest.wait_agent()
    guest.freeze_agent()
    first = until(guest.balloon_stamp, "a first stamp")
    until(lambda: guest.balloon_stamp() > first, "the stamp to advance")
    guest.halt()
    last = guest.balloon_stamp()
    time.sleep(3)
    assert guest.balloon_stamp() == last


def test_a_panicked_guest_without_panic_device_burns_its_cpu_in_silence(guest):
    guest.panic()
    assert silent(guest)
    assert used(guest).run > 1e8


@pytest.mark.parametrize(("on_crash", "state", "channel"), [
    ("destroy", (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_CRASHED), None),
    ("preserve", (libvirt.VIR_DOMAIN_CRASHED, libvirt.VIR_DOMAIN_CRASHED_PANICKED), "connected"),
    ("restart", (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_CRASHED), "disconnected"),
])
def test_a_panic_device_tells_libvirt(new_guest, on_crash, state, channel):
    guest = new_guest(panic_device=True, on_crash=on_crash).start()
    guest.wait_agent()
    guest.panic()
    becomes(guest, *state)
    channel_becomes(guest, channel)


def test_a_spinning_cpu_burns_time_in_silence(guest):
    guest.spin()
    assert silent(guest)
    assert used(guest).run > 1e8


def test_a_halted_cpu_asks_for_nothing_where_an_idle_one_does(guest):
    assert used(guest).slices > 0
    guest.halt()
    assert silent(guest)
    assert used(guest) == (0, 0, 0)


def test_a_real_time_task_starves_the_agent(guest):
    guest.starve()
    assert silent(guest)
    assert used(guest).run > 1e8


def test_a_guest_under_load_takes_more_time_than_an_idle_one(guest):
    idle = used(guest)
    guest.load()
    assert used(guest).run > 3 * idle.run
    assert guest.ask(seconds=5) is not None
    guest.unload()


def test_a_stopped_qemu_is_running_for_libvirt_and_stopped_for_the_kernel(guest):
    guest.stop_qemu()
    assert guest.process_state == "T"
    assert silent(guest)
    guest.cont_qemu()
    guest.wait_agent()


def test_a_killed_qemu_is_a_crash_and_the_guest_can_be_started_again(guest):
    before = guest.pid
    guest.kill_qemu()
    becomes(guest, libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_CRASHED)
    assert guest.process_state is None
    guest.start()
    guest.wait_agent()
    assert guest.pid != before


def test_a_reboot_keeps_the_process_and_the_state(guest):
    process, boot = guest.pid, guest.shell("cat /proc/sys/kernel/random/boot_id").output
    guest.reboot()
    channel_becomes(guest, "disconnected")
    assert guest.state == RUNNING
    guest.wait_agent()
    assert guest.pid == process
    assert guest.shell("cat /proc/sys/kernel/random/boot_id").output != boot


def test_a_guest_may_power_itself_off(guest):
    guest.poweroff()
    becomes(guest, libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN)


def test_a_suspended_guest_answers_after_resume(guest):
    guest.suspend()
    becomes(guest, libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_USER)
    assert used(guest).slices == 0
    guest.resume()
    guest.wait_agent()


def test_a_watchdog_that_runs_out_pauses_the_guest(new_guest):
    guest = new_guest(watchdog="pause").start()
    guest.wait_agent()
    guest.bark()
    becomes(guest, libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_WATCHDOG)


def test_a_disk_that_outgrows_the_host_pauses_the_guest(new_guest):
    guest = new_guest(disk=str(cramped(Path("/run/cramped")))).start()
    guest.wait_agent()
    guest.fill_disk()
    becomes(guest, libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR)


def test_a_network_card_counts_what_the_guest_sends(new_guest):
    guest = new_guest(nic=True).start()
    guest.wait_agent()
    device = ElementTree.fromstring(guest.domain.XMLDesc()).find("devices/interface/target").get("dev")
    # for the host, what the guest transmits is received on the tap device; libvirt turns it round
    sent = guest.domain.interfaceStats(device)[5]
    guest.shell("ip address add 192.0.2.1/24 dev eth0; ping -c 1 -W 1 192.0.2.2")
    until(lambda: guest.domain.interfaceStats(device)[5] > sent, "packets from the guest")


def test_an_evil_agent_takes_the_place_of_the_real_one_and_gives_it_back(guest):
    guest.evil("error")
    with pytest.raises(libvirt.libvirtError, match="not today"):
        guest.ask(seconds=2)
    guest.reform()
    guest.evil("syncmute")
    assert guest.ask() is not None
    with pytest.raises(libvirt.libvirtError):
        guest.ask("guest-ping", seconds=1)
    guest.reform()
    guest.evil("garbage")
    with pytest.raises((SystemError, UnicodeDecodeError)):
        guest.ask(seconds=2)


def test_a_slow_file_system_freeze_keeps_the_agent_from_answering(guest):
    guest.slow_freeze(12)
    with pytest.raises(libvirt.libvirtError):
        guest.ask("guest-fsfreeze-freeze", seconds=1)
    assert silent(guest)
    guest.wait_agent()


def test_guests_outlive_a_libvirtd_that_is_killed(libvirtd, guest):
    process = guest.pid
    libvirtd.kill()
    with pytest.raises(libvirt.libvirtError):
        connect()
    assert guest.shell("echo alive").output == "alive\n"
    libvirtd.start()
    guest.wait_agent()
    assert guest.pid == process


def test_a_guest_that_is_removed_leaves_neither_process_nor_domain(guest):
    process = guest.pid
    guest.stop_qemu()
    guest.remove()
    assert not os.path.exists(f"/proc/{process}")
    assert guest.name not in [domain.name() for domain in connect().listAllDomains()]
