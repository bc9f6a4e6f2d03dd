"""The whole way: a real guest hangs, our helper finds it, and the real Masakari has it stopped and started."""
from __future__ import annotations

import pytest

from tests.harness.guests import Guest
from tests.harness.helper import Helper, settings
from tests.harness.hypervisor import Libvirtd
from tests.harness.ward import FAST

HOST = "compute-with-guests"


@pytest.fixture(scope="module")
def libvirtd():
    with Libvirtd() as daemon:
        yield daemon


@pytest.fixture
def guest(libvirtd):
    guest = Guest(77, balloon_period=1)     # a number is a uuid, and the cloud remembers what it did with each
    yield guest.start()
    guest.remove()


def test_masakari_recovers_a_guest_that_we_found_hung(cloud, guest, tmp_path):
    cloud.segment(HOST)
    # The stop of Nova would wait 60 s for a guest that no longer listens, and then do just this.
    cloud.nova.server(guest.uuid, HOST, stop=guest.destroy, start=guest.start)
    guest.wait_agent(180)
    with Helper(tmp_path, settings(tmp_path, cloud, watch=FAST, report={"hostname": HOST})) as helper:
        helper.wait_state(guest.uuid, "healthy")
        first = guest.pid
        guest.halt()
        helper.wait_state(guest.uuid, "hung")
        helper.wait_state(guest.uuid, "healthy", seconds=180)
    assert guest.pid != first
    assert cloud.nova.actions(guest.uuid) == ["os-stop", "os-start"]
    (told,) = [it for it in cloud.call("GET", "/notifications")["notifications"]
               if it["payload"]["instance_uuid"] == guest.uuid]
    assert told["payload"]["event"] == "QEMU_GUEST_AGENT_ERROR"
    assert cloud.outcome(told["notification_uuid"])["status"] == "finished"
