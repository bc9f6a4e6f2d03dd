"""What became of a report: a real guest hangs, the real Masakari acts or does not, and the operator is told.

Nobody types anything between the hang and what `masakari-qga incidents` shows.
"""
from __future__ import annotations

import contextlib

import libvirt
import pytest

from qga_ra import command
from qga_ra.supervision import Places
from tests.harness.guests import Guest
from tests.harness.helper import CODE, Helper, settings
from tests.harness.hypervisor import Libvirtd
from tests.harness.wait import until
from tests.harness.ward import FAST

HOST = "compute-of-the-followed"
DEADLINE = 20


@pytest.fixture(scope="module")
def libvirtd():
    with Libvirtd() as daemon:
        yield daemon


@pytest.fixture(scope="module")
def eager(cloud):
    """The cloud, whose Masakari takes a second report of a guest after a second, not after three minutes."""
    cloud.segment(HOST)
    path = cloud.services.folder / "masakari.conf"
    usual = path.read_text()

    def begin(text: str) -> None:
        cloud.services.stop("masakari")
        path.write_text(text)
        cloud.services.start("masakari")

    begin(usual.replace("[DEFAULT]\n", "[DEFAULT]\nduplicate_notification_detection_interval = 1\n", 1))
    yield cloud
    begin(usual)


@pytest.fixture
def guest(libvirtd, eager):
    guest = Guest(1, balloon_period=1)
    guest.start()
    # The stop of Nova would wait 60 s for a guest that no longer listens, and then do just this.
    eager.nova.server(guest.uuid, HOST, stop=guest.destroy, start=guest.start)
    guest.wait_agent(180)
    yield guest
    eager.nova.heal()
    with contextlib.suppress(libvirt.libvirtError):
        guest.remove()


@pytest.fixture
def helper(eager, guest, tmp_path):
    text = settings(tmp_path, eager, watch=FAST, report={"hostname": HOST},
                    budget={"deadline": DEADLINE, "recoveries": 2})
    with Helper(tmp_path, text) as helper:
        helper.wait_state(guest.uuid, "healthy")
        yield helper
    print(helper.log())


def notified(cloud, guest) -> list[dict]:
    """Masakari's notifications about a guest, the latest first."""
    found = cloud.call("GET", "/notifications")["notifications"]
    return [it for it in found if it["payload"]["instance_uuid"] == guest.uuid]


def shown(helper, capsys) -> str:
    """What `masakari-qga incidents` prints."""
    capsys.readouterr()
    assert command.main(["incidents"], Places(str(helper.folder / "run"), str(CODE), "/usr/bin/python3")) == 0
    return capsys.readouterr().out


def outcomes(helper) -> list[str]:
    """Of all incidents, the latest first; "" while nothing has become of one."""
    return [(it["recovery"] or {}).get("outcome", it["action"]) for it in helper.command("incidents")["incidents"]]


def test_a_guest_that_masakari_stopped_and_started_is_recovered_when_it_answers(eager, guest, helper, capsys):
    first = guest.pid
    guest.halt()
    until(lambda: outcomes(helper) == ["recovered"], "the incident to end as recovered", 180, 0.5)
    assert guest.pid != first
    assert helper.guest(guest.uuid)["armed"]
    assert eager.nova.actions(guest.uuid) == ["os-stop", "os-start"]
    assert [it["status"] for it in notified(eager, guest)] == ["finished"]
    line = shown(helper, capsys).splitlines()[1]
    assert "  recovered  " in line
    assert helper.log().count("): recovered: it was started anew and answers") == 1
    assert helper.status()["lost"] == []


def test_a_helper_that_was_killed_meanwhile_tells_it_all_the_same(eager, guest, helper):
    eager.nova.servers[guest.uuid].seconds = 3.0
    asked = len(eager.nova.actions(guest.uuid))
    guest.halt()
    until(lambda: len(eager.nova.actions(guest.uuid)) > asked, "Masakari to stop it", 120, 0.1)
    helper.kill()
    until(lambda: len(eager.nova.actions(guest.uuid)) > asked + 1, "Masakari to start it", 60, 0.1)
    helper.start()
    until(lambda: outcomes(helper)[0] == "recovered", "the incident to end as recovered", 180, 0.5)


def test_a_guest_without_ha_enabled_is_skipped_though_masakari_calls_it_finished(eager, guest, helper, capsys):
    eager.nova.servers[guest.uuid].metadata = {}
    first, asked, before = guest.pid, len(eager.nova.actions(guest.uuid)), len(notified(eager, guest))
    guest.halt()
    until(lambda: outcomes(helper) == ["skipped (HA_Enabled)"], "the incident to end as skipped", 120, 0.5)
    assert notified(eager, guest)[0]["status"] == "finished"
    assert len(eager.nova.actions(guest.uuid)) == asked
    assert guest.pid == first
    assert "skipped (HA_Enabled)" in shown(helper, capsys)
    told = helper.command("why", uuid=guest.uuid)
    assert told["state"] == "hung", "and is still what it was"
    assert len(notified(eager, guest)) == before + 1


def test_a_guest_that_nova_cannot_stop_is_reported_again_and_then_needs_a_human(eager, guest, helper, capsys):
    eager.nova.fail("os-stop", 500, server=guest.uuid)
    before = len(notified(eager, guest))
    guest.halt()
    until(lambda: outcomes(helper) == ["suspended", "not recovered", "not recovered"],
          "two reports, neither of which helped, and no third", 240, 0.5)
    told = notified(eager, guest)[:len(notified(eager, guest)) - before]
    assert [it["status"] for it in told] == ["failed", "failed"]
    assert len({it["generated_time"] for it in told}) == 2
    status = helper.status()
    assert "1 suspended, needs a human" in status["state"]
    lines = shown(helper, capsys).splitlines()
    assert "  needs a human  " in lines[1]
    assert all("  not recovered  " in line for line in lines[2:])
    assert "needs a human" in "\n".join(helper.command("why", uuid=guest.uuid)["lines"])
    assert helper.log().count("): not recovered: Masakari has failed") == 2, "a line for each"


def test_a_guest_that_was_stopped_and_not_started_needs_a_human_until_it_answers(eager, guest, helper, capsys):
    eager.nova.fail("os-start", 500, server=guest.uuid)
    guest.halt()
    until(lambda: outcomes(helper) == ["not recovered"] and helper.status()["lost"] == [guest.uuid],
          "a human to be asked for", 180, 0.5)
    assert "1 not recovered, needs a human" in until(
        lambda: "not recovered" in (now := helper.status()["state"]) and now, "the node's state to say so")
    assert "not recovered, needs a human" in shown(helper, capsys)
    guest.start()       # by that human
    until(lambda: outcomes(helper) == ["recovered"], "the guest to be well", 180, 0.5)
    assert helper.status()["lost"] == []


def test_what_waits_for_an_engine_is_not_reported_again_and_is_recovered_once_by_the_next_one(eager, guest, helper):
    before, asked = len(notified(eager, guest)), len(eager.nova.actions(guest.uuid))
    eager.services.stop("masakari")
    eager.services.start("masakari without engine")
    try:
        guest.halt()
        until(lambda: outcomes(helper) == ["not recovered"] and helper.status()["lost"] == [guest.uuid],
              "a human to be asked for", 120, 0.5)
        assert helper.guest(guest.uuid)["recovery"] == "not recovered, needs a human"
    finally:
        eager.services.stop("masakari")
        eager.services.start("masakari")
    # It takes up what is new and older than a minute.
    until(lambda: outcomes(helper) == ["recovered"], "the guest to be well", 240, 0.5)
    assert len(notified(eager, guest)) == before + 1
    assert eager.nova.actions(guest.uuid)[asked:] == ["os-stop", "os-start"]
    assert helper.status()["lost"] == []
