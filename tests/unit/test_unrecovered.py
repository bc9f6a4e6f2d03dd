"""A recovery came to nothing: what still fails is reported anew while the budget lasts, and then needs a human."""

from __future__ import annotations

import pytest

from heartbeat import verdict
from heartbeat.incident import HUNG, OBSERVED, PANICKED, QEMU_DIED, RECORD, RECOVER, SUSPENDED, Close, Open
from heartbeat.observation import Panicked, Paused, Rebooted, Stopped, Unrecovered
from heartbeat.verdict import Broken, judge
from heartbeat.watch import stands
from tests.harness.observations import FIT, NEXT_RUN, Story, healthy, seen
from tests.unit.test_confirm import failed

WHY = "not recovered: Masakari has failed"


def hung() -> Story:
    story = healthy()
    story.hangs()
    assert story.verdicts == [(HUNG, RECOVER)]
    return story


def unrecovered(story: Story) -> list:
    return story.tell(Unrecovered(story.incidents[-1].id, WHY))


def test_what_still_fails_is_an_incident_of_its_own_that_asks_for_recovery():
    story = hung()
    first = story.incidents[0]
    unrecovered(story)
    assert story.verdicts == [(HUNG, RECOVER), (HUNG, RECOVER)]
    assert story.closed == [Close(first.id, WHY)]
    assert story.incidents[1].evidence == first.evidence
    assert stands(story.watch, story.incidents[1].id, FIT) == "stands"
    assert stands(story.watch, first.id, FIT) == "gone"


def test_with_no_recovery_left_it_needs_a_human_and_stays_so():
    story = hung()
    story.fitness = FIT._replace(spent=True)
    unrecovered(story)
    assert story.verdicts[-1] == (HUNG, SUSPENDED)
    assert unrecovered(story) == []


def test_in_mode_observe_it_is_only_observed():
    story = hung()
    story.timing = story.timing._replace(observe=True)
    unrecovered(story)
    assert story.verdicts[-1] == (HUNG, OBSERVED)


@pytest.mark.parametrize(("end", "found"), [
    ([Stopped(True, "failed")], QEMU_DIED), ([Panicked(False), Stopped(True, "crashed")], PANICKED),
], ids=[QEMU_DIED, PANICKED])  # fmt: skip
def test_a_guest_whose_qemu_is_gone_still_fails(end, found):
    story = healthy()
    for observation in end:
        story.tell(observation)
    unrecovered(story)
    assert story.verdicts == [(found, RECOVER)] * 2


@pytest.mark.parametrize("meanwhile", [
    lambda story: story.asked(), lambda story: story.tell(seen(run=NEXT_RUN)), lambda story: story.tell(Rebooted()),
    lambda story: story.tell(Stopped(False, "destroyed")), lambda story: story.tell(Paused("paused: user", "user")),
], ids=["it answers", "it was started anew", "it was reset", "it was stopped", "it is paused"])  # fmt: skip
def test_what_does_not_fail_any_more_is_not_reported_anew(meanwhile):
    story = hung()
    meanwhile(story)
    unrecovered(story)
    assert story.verdicts == [(HUNG, RECOVER)]


@pytest.mark.parametrize("fitness", [FIT._replace(able=False, why="libvirt is slow"), FIT._replace(held="maintenance")])
def test_while_we_cannot_judge_or_a_hold_is_on_it_waits(fitness):
    story = hung()
    story.fitness = fitness
    assert unrecovered(story) == []
    story.fitness = FIT
    assert len(unrecovered(story)) == 2


def test_an_incident_that_is_not_open_or_asked_for_nothing_is_left_alone():
    story = hung()
    assert story.tell(Unrecovered(99, WHY)) == []
    story.watch = story.watch._replace(incident=story.watch.incident._replace(action=RECORD))
    assert unrecovered(story) == []


def test_a_step_that_reported_anew_what_it_should_not_is_not_made(monkeypatch):
    story = hung()
    old = story.watch.incident

    def wrong(watch, it, now, fitness, timing):
        anew = Open(old.uuid, old.name, "another", old.verdict, RECOVER, old.evidence)
        return watch._replace(incident=None), [Close(old.id, WHY), anew]

    monkeypatch.setitem(verdict._STEPS, Unrecovered, wrong)
    with pytest.raises(Broken, match="is not what incident"):
        judge(story.watch, Unrecovered(old.id, WHY), story.now, story.fitness, story.timing)


def test_the_owner_counts_each_report_against_the_budget():
    node = failed()
    node.owner.call = lambda function: function()
    uuid = node.ledger.opened[0].uuid
    for _ in range(5):
        node.owner.again(uuid, node.ledger.opened[-1].id, WHY)
    assert [it.action for it in node.ledger.opened] == [RECOVER, RECOVER, RECOVER, SUSPENDED]
    assert [it.id for it in node.ledger.closed] == [it.id for it in node.ledger.opened[:-1]]
    assert node.owner.guests.suspended() == [uuid]
    node.owner.again("25efc0bf-1659-4c83-b4e6-000000000000", 1, WHY)  # of a guest that has gone
    assert node.owner.here([uuid, "25efc0bf-1659-4c83-b4e6-000000000000"]) == {
        uuid: True, "25efc0bf-1659-4c83-b4e6-000000000000": False}
