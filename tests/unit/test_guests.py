"""All guests of a node, and the ledger that has the last word on every step."""

from __future__ import annotations

import pytest

from heartbeat import guests as guests_module
from heartbeat.guest import Channel
from heartbeat.incident import HUNG, QEMU_DIED, RECORD, RECOVER, Arm
from heartbeat.observation import (
    Answered,
    Asked,
    ChannelChanged,
    Gap,
    Paused,
    Rebooted,
    Resumed,
    Sampled,
    Stopped,
    Tick,
    Vanished,
)
from heartbeat.probe import Answer
from heartbeat.verdict import Broken
from tests.harness.host import Host
from tests.harness.observations import NEXT_RUN, OPENED, OTHER, RUN, TIMING, UUID, sample, seen


@pytest.fixture
def host(tmp_path):
    host = Host(str(tmp_path / "state"))
    yield host
    host.ledger.close()


@pytest.mark.parametrize("observation", [
    Asked(), Answered(Answer.ALIVE, 0), Answered(Answer.SILENT, 0), Sampled(sample(1)), Paused("x"), Resumed(),
    Rebooted(), ChannelChanged(True), Stopped(True, "failed"), Stopped(False, "shutdown"), Vanished(),
    Gap("late", False), Tick(),
], ids=lambda it: type(it).__name__)  # fmt: skip
def test_word_of_a_guest_that_nobody_knows_is_passed_over(host, observation):
    host.tell(observation)
    assert not host.guests.watches
    assert not host.opened


def test_an_incident_is_opened_once_and_is_in_the_ledger_before_anybody_is_told(host):
    host.tell(seen())
    host.answers()
    told = []
    host.guests._opened = lambda it: told.append((it.verdict, [that.id for that in host.ledger.open_incidents()]))
    host.hangs()
    host.hangs()
    assert told == [(HUNG, [1])]
    assert host.guests.failed() == [UUID]
    assert host.guests.holding(1).guest.uuid == UUID


def test_a_guest_wants_to_be_asked_again_and_looked_at_when_it_falls_silent(host):
    host.tell(seen())
    host.answers()
    host.answers(Answer.SILENT, 5)
    assert (host.asks, host.looks) == ([UUID], [UUID])


def test_a_broken_promise_costs_the_step_and_nothing_else(host, monkeypatch, caplog):
    host.tell(seen())
    host.answers()
    judge = guests_module.judge

    def broken(watch, observation, *rest):
        if isinstance(observation, Sampled):
            raise Broken("a bug of ours")
        return judge(watch, observation, *rest)

    monkeypatch.setattr(guests_module, "judge", broken)
    host.hangs()
    assert not host.opened
    assert "a step was not made" in caplog.text
    assert not host.guests.watches[UUID].looking, "it would never be looked at again"
    monkeypatch.setattr(guests_module, "judge", judge)
    host.hangs()
    assert [it.uuid for it in host.opened] == [UUID]


def test_an_incident_of_an_earlier_life_is_kept_and_not_opened_again(host):
    host.tell(seen())
    host.answers()
    host.hangs()
    host.begin()
    assert host.guests.awaited(1)
    assert host.guests.failed() == [UUID]
    host.inventory(one=seen())
    assert not host.guests.awaited(1)
    host.hangs()
    assert not host.opened
    assert host.guests.holding(1).state == HUNG


@pytest.mark.parametrize("found", [{"one": seen(run=NEXT_RUN)}, {}, {"one": Stopped(False, "shutdown", "vm")}], ids=str)
def test_an_incident_of_an_earlier_life_ends_when_the_guest_was_restarted_stopped_or_moved_meanwhile(host, found):
    host.tell(seen())
    host.answers()
    host.hangs()
    host.begin()
    host.inventory(**found)
    assert host.ledger.open_incidents() == []
    assert host.guests.failed() == []


def test_a_guest_that_hung_while_we_were_down_is_found(host):
    host.tell(seen())
    host.answers()
    host.begin()
    host.inventory(one=seen())
    host.hangs()
    assert [(it.verdict, it.action) for it in host.opened] == [(HUNG, RECOVER)]


def test_a_guest_that_died_while_we_were_down_is_reported(host):
    host.tell(seen())
    host.answers()
    host.begin()
    host.inventory(one=Stopped(True, "crashed", "instance-1"))
    assert [(it.verdict, it.action, it.name) for it in host.opened] == [(QEMU_DIED, RECOVER, "instance-1")]
    host.begin()
    host.inventory(one=Stopped(True, "crashed", "instance-1"))
    assert not host.opened
    assert [it.id for it in host.ledger.open_incidents()] == [1]


def test_another_incarnation_than_the_one_that_answered_in_an_earlier_life_is_not_armed(host):
    host.ledger.apply([Arm(UUID, RUN)], OPENED, {})
    host.begin()
    host.inventory(one=seen(run=NEXT_RUN))
    host.hangs()
    assert not host.opened


def test_a_guest_that_is_in_no_list_any_more_is_forgotten_everywhere(host):
    host.inventory(one=seen(), two=seen(uuid=OTHER))
    host.answers()
    host.hangs()
    host.inventory(two=seen(uuid=OTHER))
    assert list(host.guests.watches) == [OTHER]
    assert host.ledger.open_incidents() == []
    assert host.ledger.armed() == {}
    assert host.guests.next_at() == TIMING.boot, "of the one that is left"


def test_a_guest_whose_xml_cannot_be_read_now_is_not_taken_for_gone(host):
    host.inventory(one=seen())
    host.answers()
    host.hangs()
    host.inventory(one=Gap("libvirt does not describe it", True))
    assert host.states() == ["unknown"]
    assert [it.id for it in host.ledger.open_incidents()] == [1]
    host.inventory(one=seen())
    host.now += TIMING.grace
    host.hangs()
    assert host.guests.holding(1).state == HUNG
    assert len(host.opened) == 1


def test_many_guests_that_are_due_at_once_each_get_their_turn(host):
    uuids = [f"25efc0bf-1659-4c83-b4e6-{number:012}" for number in range(20)]
    for uuid in uuids:
        host.tell(seen(uuid=uuid), uuid=uuid)
        host.answers(uuid=uuid)
        host.tell(Asked(), uuid=uuid)
    host.wake(1.0)
    assert sorted(host.looks) == uuids
    assert host.guests.next_at() == float("inf")


def test_a_channel_that_stays_closed_wakes_us_once(host):
    host.tell(seen())
    host.answers()
    host.tell(ChannelChanged(False))
    assert host.guests.next_at() == 60
    host.wake(60)
    assert [(it.verdict, it.action) for it in host.opened] == [("agent-down", RECORD)]
    assert host.guests.next_at() == float("inf")
    assert host.guests.failed() == []
    assert host.guests.watches[UUID].guest.channel is Channel.CLOSED
