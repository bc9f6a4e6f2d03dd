"""Guests that are restored from the image of one: what the bench does its measuring with."""
from __future__ import annotations

import libvirt
import pytest

from tests.harness import hypervisor
from tests.harness.fleet import Fleet, still
from tests.harness.wait import until


@pytest.fixture(scope="module")
def fleet(libvirtd):
    with Fleet(4) as made:
        yield made


def test_each_of_a_fleet_is_a_guest_of_its_own(fleet):
    assert len({guest.pid for guest in fleet.guests}) == 4
    for guest in fleet.guests:
        guest.run(f"echo {guest.number} >/run/number")
        assert guest.channel == "connected"
    assert [guest.run("cat /run/number").strip() for guest in fleet.guests] == [str(it.number) for it in fleet.guests]
    known = {domain.UUIDString() for domain in hypervisor.connect().listAllDomains()}
    assert {guest.uuid for guest in fleet.guests} <= known


def test_its_balloons_report_as_those_of_any_guest_do(fleet):
    guest = fleet.guests[0]
    before = guest.balloon_stamp()
    until(lambda: guest.balloon_stamp() > before, "a later stamp of the balloon")


def test_those_that_are_hung_fall_silent_and_the_others_do_not(fleet):
    hung, well = fleet.guests[:3], fleet.guests[3:]
    fleet.hang(hung)
    assert still(hung)
    for guest in hung:
        assert guest.state == (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_RESTORED)
        with pytest.raises(libvirt.libvirtError):
            guest.ask(seconds=1)
    assert all(guest.ask() for guest in well)
    fleet.replace(hung)
    assert fleet.guests[0] is well[0]
    assert not {guest.uuid for guest in hung} & {guest.uuid for guest in fleet.guests}
    assert all(guest.ask() for guest in fleet.guests)
