"""Scenarios that must never cause a recovery: what a guest goes through between its start and its end."""

from __future__ import annotations

import pytest

from heartbeat.guest import Channel
from heartbeat.holds import CEILINGS, JOB
from heartbeat.incident import AGENT_DOWN, AGENT_SILENT, HUNG, NEVER_ANSWERED, RECORD, RECOVER
from heartbeat.observation import ChannelChanged, Paused, Rebooted, Resumed, Stopped, Vanished
from heartbeat.probe import Answer
from heartbeat.verdict import begin
from heartbeat.watch import HEALTHY, PAUSED, STOPPED, WAITING, stands
from tests.harness.observations import FIT, NEXT_RUN, RUN, guest, healthy, seen
from tests.harness.scenario import DEFAULT, HOUR, happens, nothing_recovered, passes, unanswered, unknown, well


def test_a_guest_that_reboots_several_times():
    """Scenario 7: a guest reboots, as for updates of its system, several times in a row."""
    story = well()
    for _ in range(4):
        story.tell(Rebooted())
        happens(story, "reboot")
        story.tell(ChannelChanged(False), 1)
        unanswered(story, 20)
        story.tell(ChannelChanged(True), 1)
        unanswered(story, 5)
    assert story.verdicts == []
    story.asked()
    assert story.watch.state == HEALTHY
    nothing_recovered(story)


def test_a_guest_that_shuts_down():
    """Scenario 8: a guest shuts down, and takes its time."""
    story = well()
    story.tell(ChannelChanged(False))
    passes(story, 50)
    happens(story, "lifecycle.shutdown.guest")
    story.tell(Paused("shutting down", "shutdown"))
    passes(story, HOUR)
    story.tell(Stopped(False, "shutdown", event="lifecycle.stopped.shutdown"))
    story.tell(Stopped(False, "shutdown"))
    assert story.watch.state == STOPPED
    assert story.verdicts == []
    nothing_recovered(story)


def test_a_guest_in_its_firmware_or_a_check_of_its_disks():
    """Scenario 9: firmware, boot menu, file system check, installer or rescue image: no agent, a busy processor."""
    story = unknown(channel=Channel.CLOSED)
    story.tell(seen(channel=Channel.CLOSED))
    unanswered(story, 50, cpu=lambda now: (now, 0, int(now)))
    assert story.watch.state == WAITING
    passes(story, 5 * HOUR)
    assert story.verdicts == [(NEVER_ANSWERED, RECORD)]
    nothing_recovered(story)


def test_a_backup_that_freezes_the_filesystems():
    """Scenario 10: file systems frozen, backup or snapshot, for longer than anybody would expect."""
    story = well()
    story.asked(Answer.BUSY, 30)                       # the call that freezes holds the agent
    unanswered(story, 3, job="a backup")
    assert [hold.kind for hold in story.watch.holds] == [JOB]
    warnings = []
    for _ in range(3):
        warnings += passes(story, CEILINGS[JOB])
        unanswered(story, 10, job="a backup")
    assert len(warnings) == 1
    story.tell(Paused("paused: snapshot", "snapshot"))
    passes(story, HOUR)
    story.tell(Resumed())
    story.asked()
    assert (story.watch.state, story.verdicts) == (HEALTHY, [])
    nothing_recovered(story)


def test_a_windows_guest_whose_agent_still_thinks_it_is_frozen():
    """Scenario 11: Windows has thawed by itself, its agent does not know it, and the disk is written to."""
    story = well()
    for _ in range(50):
        story.asked()                                  # a frozen agent still synchronises
        story.now += 10
    assert story.watch.state == HEALTHY
    unanswered(story, 50, disk=lambda now: int(now * 20))
    assert story.verdicts == [(AGENT_SILENT, RECORD)]
    nothing_recovered(story)


@pytest.mark.parametrize("last", ["migrated", "gives up"])
@pytest.mark.parametrize("cause", ["migration", "postcopy"])
def test_a_migration_seen_from_its_source(cause, last):
    """Scenario 12: a live migration, pre-copy or post-copy, on either side."""
    story = well()
    unanswered(story, 60, job="a migration")
    story.tell(Paused(f"paused: {cause}", cause))
    happens(story, "lifecycle.suspended.migrated")
    story.silent()
    if last == "migrated":
        story.tell(Stopped(False, "migrated", event="lifecycle.stopped.migrated"))
        story.tell(Vanished())
    else:
        story.tell(Resumed("unpaused"), 60)
        unanswered(story, 3)                           # in its grace
        story.asked()
    assert story.verdicts == []
    nothing_recovered(story)
    arrives()


def arrives() -> None:
    """The other side: it comes paused, and its agent's first answers there are slow."""
    story = unknown()
    story.tell(seen(run=NEXT_RUN, pause=Paused("paused: migration", "migration")))
    passes(story, 300)
    story.tell(Resumed("migrated"))
    unanswered(story, 20)
    story.asked()
    assert (story.watch.state, story.verdicts) == (HEALTHY, [])
    nothing_recovered(story)


@pytest.mark.parametrize("cause", ["user", "save", "dump", "from-snapshot", "snapshot", "api-error", "unknown", "99"])
def test_a_guest_that_somebody_paused(cause):
    """Scenario 13: paused by a user, by Nova, to be saved, dumped or debugged, over night and longer."""
    story = well()
    unanswered(story, 1)
    story.tell(Paused(f"paused: {cause}", cause))
    warnings = passes(story, 30 * HOUR)
    assert len(warnings) == 1
    assert story.watch.state == PAUSED
    story.tell(seen())
    story.asked(takes=4)
    assert (story.watch.state, story.verdicts) == (HEALTHY, [])
    nothing_recovered(story)


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_a_guest_that_suspended_itself(kind):
    """Scenario 14: the guest suspends itself to memory or to disk."""
    story = well()
    happens(story, f"lifecycle.pmsuspended.{kind}")
    story.tell(Paused("suspended by the guest", "suspended"))
    passes(story, 30 * HOUR)
    story.tell(Resumed("wakeup"))
    unanswered(story, 2)
    story.asked()
    assert (story.watch.state, story.verdicts) == (HEALTHY, [])
    nothing_recovered(story)


def test_a_guest_that_was_replaced_between_two_looks():
    """Scenario 30: stopped, deleted or started again between two looks: another QEMU owes nothing of the first."""
    story = well()
    unanswered(story, 1)
    story.tell(seen(run=NEXT_RUN))
    unanswered(story, 20)
    assert story.verdicts == []
    assert (story.watch.incarnation, story.armed) in ((NEXT_RUN, None), (NEXT_RUN, RUN))
    assert not story.watch.armed
    nothing_recovered(story)


@pytest.mark.parametrize("why", ["held by alice until 12:00Z: Windows updates", "node one is in standby"])
def test_a_node_or_a_guest_at_which_somebody_works(why):
    """Scenario 32: maintenance by an operator or of the cluster: recorded, and not reported while it lasts."""
    story = healthy()
    story.timing, story.fitness = DEFAULT, FIT._replace(held=why)
    story.hangs()
    assert story.verdicts == [(HUNG, RECOVER)]
    for _ in range(100):
        unanswered(story, 1)
        assert stands(story.watch, story.incidents[0].id, story.fitness) == "not-now"
    story.asked()
    assert not story.open
    assert stands(story.watch, story.incidents[0].id, FIT) == "gone"


def test_a_guest_that_nova_rescues_or_resizes():
    """Scenario 36: Nova has stopped it and started something else under its uuid; Nova itself is not asked."""
    story = well()
    story.tell(Stopped(False, "destroyed", event="lifecycle.stopped.destroyed"))
    story.tell(seen(run=NEXT_RUN, channel=Channel.CLOSED))
    passes(story, HOUR)
    assert story.verdicts == [(NEVER_ANSWERED, RECORD)]
    story.tell(Stopped(False, "destroyed"))
    story.tell(Vanished())                              # resized: it goes on elsewhere, until that is verified
    assert not story.open
    nothing_recovered(story)
    again = begin(guest(), RUN, False, None, story.now)
    assert not again.armed
    assert AGENT_DOWN not in [verdict for verdict, _ in story.verdicts]
