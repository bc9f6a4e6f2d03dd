"""What the helper makes of real guests that break, or do what guests do every day; and who is told of it.

All guests of `ward` meet their fates at once, and each belongs to one test, so that the times of silence are waited for
only once.
"""
from __future__ import annotations

import time

import pytest

from tests.harness.wait import until
from tests.harness.ward import payloads, settle, together

GUEST_EVENT = {"event": "QEMU_GUEST_AGENT_ERROR", "vir_domain_event": "STOPPED_FAILED"}
QEMU_EVENT = {"event": "LIFECYCLE", "vir_domain_event": "STOPPED_FAILED"}


@pytest.fixture(scope="module")
def ward(module_ward):
    ward = module_ward()
    ward.boot("sound", "agent stopped", "agent killed", "agent frozen", "qemu stopped", "qemu killed", "hung",
              "rebooted", "powered off", "suspended", "saved", "started anew", "undefined", "born silent")
    ward["born silent"].halt()
    ward.boot("without channel", agent=False)
    ward.helper.start()
    ward.wait("healthy", *(ward.guests.keys() - {"born silent", "without channel"}))
    together(
        ward["agent stopped"].stop_agent,
        ward["agent killed"].kill_agent,
        ward["agent frozen"].freeze_agent,
        ward["qemu stopped"].stop_qemu,
        ward["qemu killed"].kill_qemu,
        ward["hung"].halt,
        ward["rebooted"].reboot,
        ward["powered off"].poweroff,
        ward["suspended"].suspend,
        ward["saved"].domain.managedSave,
        ward["started anew"].destroy,
        ward["undefined"].undefine,
    )
    ward["undefined"].destroy()
    ward["started anew"].domain.create()
    ward.broken_at = time.monotonic()
    return ward


def test_guests_whose_cpu_halts_or_spins_or_whose_kernel_panicked_are_each_reported_once(new_ward):
    ward = new_ward({})      # nothing set: as an operator gets it
    ward.boot("sound", "halted", "spinning", "panicked", balloon_period=10)
    ward.watch()
    broken = ("halted", "spinning", "panicked")
    together(*(getattr(ward[part], way) for part, way in zip(broken, ("halt", "spin", "panic"))))
    ward.wait("hung", *broken)
    for part in broken:
        until(lambda part=part: ward.deliveries(part) == "delivered", f"the report of {part}")
    ward.answers("sound", seconds=60)       # a round in which a second report could come
    assert len(ward.endpoint.attempts) == 3
    for part in broken:
        (attempt,) = ward.attempts(part)
        assert attempt.status == 202
        assert attempt.body.keys() == {"notification"}
        assert attempt.notification.keys() == {"type", "hostname", "generated_time", "payload"}
        assert (attempt.notification["type"], attempt.notification["hostname"]) == ("VM", "one")
        assert attempt.notification["payload"] == {**GUEST_EVENT, "instance_uuid": ward[part].uuid}
        assert [it[:3] for it in ward.incidents(part)] == [("hung", "recover", "")]
    assert ward.incidents("sound") == []


@pytest.mark.parametrize("part", ["agent stopped", "agent killed"])
def test_an_agent_that_is_gone_is_recorded_and_back_it_is_well_again(ward, part):
    ward.wait("agent-down", part)
    ward[part].start_agent()
    ward.wait("healthy", part)
    assert [it[:2] for it in ward.incidents(part)] == [("agent-down", "record")]
    assert ward.seen(part)["incident"] is None
    assert ward.attempts(part) == []


def test_a_dead_qemu_is_reported_as_such_and_well_again_when_it_is_started(ward):
    ward.wait("qemu-died", "qemu killed")
    (payload,) = payloads(until(lambda: ward.stored("qemu killed"), "its report"))
    assert payload == {**QEMU_EVENT, "instance_uuid": ward["qemu killed"].uuid}
    ward["qemu killed"].domain.create()
    ward.wait("healthy", "qemu killed")
    assert ward.seen("qemu killed")["incident"] is None
    assert ward.incidents("qemu killed") == [("qemu-died", "recover", "the guest was started again", "delivered")]
    assert len(ward.attempts("qemu killed")) == 1


def test_a_frozen_agent_in_a_guest_that_works_is_recorded_and_thawed_it_is_well_again(ward):
    ward.wait("agent-silent", "agent frozen")
    assert [it[:3] for it in ward.incidents("agent frozen")] == [("agent-silent", "record", "")]
    ward["agent frozen"].thaw_agent()
    ward.wait("healthy", "agent frozen")
    assert ward.seen("agent frozen")["incident"] is None
    assert ward.attempts("agent frozen") == []


def test_a_hung_guest_that_is_reset_is_well_again_and_its_next_hang_is_owed_until_masakari_takes_it(ward):
    ward.wait("hung", "hung")
    until(lambda: ward.stored("hung"), "the first report")
    ward["hung"].domain.reset()
    ward.wait("healthy", "hung")
    assert ward.seen("hung")["incident"] is None
    ward["hung"].wait_agent()
    ward["hung"].halt()
    ward.wait("hung", "hung")
    # Masakari takes no second report of a guest within 3 minutes
    until(lambda: len(ward.attempts("hung")) > 1, "the second report")
    first, second = ward.attempts("hung")
    assert second.status == 409
    assert second.notification["generated_time"] > first.notification["generated_time"]
    until(lambda: "3 minutes" in (ward.backend()["error"] or ""), "status to say why the report is late")
    assert ward.deliveries("hung") == "pending"
    assert ward.backend()["pending"] == 1
    assert [it[0::3] for it in ward.incidents("hung")] == [("hung", "delivered"), ("hung", "pending")]


def test_a_stopped_qemu_is_stuck_and_not_recovered_and_costs_its_neighbours_no_question(ward):
    ward.wait("qemu-stuck", "qemu stopped")     # to stop it through Nova would hang as well
    ward.answers("sound", "rebooted", rounds=4)
    settle(ward.broken_at)
    assert "state T" in ward.seen("qemu stopped")["detail"]
    assert [it[:3] for it in ward.incidents("qemu stopped")] == [("qemu-stuck", "record", "")]
    ward["qemu stopped"].cont_qemu()
    ward.wait("healthy", "qemu stopped")
    assert ward.seen("qemu stopped")["incident"] is None
    assert ward.attempts("qemu stopped") == []


def test_a_suspended_guest_is_paused_for_as_long_as_it_is_and_then_well(ward):
    settle(ward.broken_at)
    assert ward.state("suspended") == "paused"
    ward["suspended"].resume()
    ward.wait("healthy", "suspended")
    assert ward.incidents("suspended") == []


def test_a_saved_guest_is_stopped_and_restored_it_is_well(ward):
    settle(ward.broken_at)
    ward.wait("stopped", "saved")
    ward["saved"].domain.create()
    ward.wait("healthy", "saved")
    ward.answers("saved", rounds=2)
    assert ward.incidents("saved") == []


@pytest.mark.parametrize(("part", "state"), [
    ("rebooted", "healthy"), ("started anew", "healthy"), ("powered off", "stopped"), ("undefined", "not known"),
])
def test_what_an_owner_does_with_a_guest_is_no_incident(ward, part, state):
    settle(ward.broken_at)
    assert ward.state(part) == state
    assert ward.incidents(part) == []
    assert ward.attempts(part) == []


def test_a_guest_that_has_never_answered_is_waited_for(ward):
    settle(ward.broken_at)
    assert ward.state("born silent") == "waiting"
    assert ward.seen("born silent")["armed"] is False
    assert ward.incidents("born silent") == []


def test_a_guest_without_agent_channel_is_shown_as_unmonitored(ward):
    assert ward.state("without channel") == "unmonitored"
    assert ward.incidents("without channel") == []


def test_nobody_was_reported_but_the_hung_and_the_dead(ward):
    ward.answers("sound")
    assert ward.incidents("sound") == []
    assert len(ward.endpoint.attempts) == len(ward.attempts("hung", "qemu killed"))
