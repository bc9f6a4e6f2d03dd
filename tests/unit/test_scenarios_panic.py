"""Scenarios that must never cause a recovery: a kernel that panics and deals with it, or that others deal with."""

from __future__ import annotations

import pytest

from heartbeat.holds import CEILINGS, DUMP
from heartbeat.incident import RECORD
from heartbeat.observation import ChannelChanged, Panicked, Paused, Rebooted, Resumed, Seen
from heartbeat.watch import HEALTHY
from tests.harness.observations import RUN, guest
from tests.harness.scenario import happens, nothing_recovered, passes, unanswered, well

CRASHED = Paused("crashed: panicked", "crashed")
# What a small kernel that dumps looks like: no balloon, one busy processor, the disk at first idle.
DUMPING = {"balloon": None, "cpu": lambda now: (now, 0, int(now))}


def dumps(story) -> None:
    unanswered(story, 10, **DUMPING)
    unanswered(story, 30, **DUMPING, disk=lambda now: int(now * 500))
    assert len(passes(story, CEILINGS[DUMP])) == 1, "a dump that takes too long is told"
    unanswered(story, 10, **DUMPING)
    assert story.watch.holds
    story.tell(Rebooted())
    happens(story, "reboot")
    unanswered(story, 10)
    story.asked()
    assert story.watch.state == HEALTHY


def test_a_guest_that_writes_its_crash_dump():
    """Scenario 15: kdump writes the guest's memory away, then reboots it."""
    story = well()
    story.tell(Panicked(True))
    happens(story, "lifecycle.crashed.crashloaded")
    dumps(story)
    assert story.verdicts[0] == ("kdump", RECORD)
    nothing_recovered(story)


def test_a_guest_that_tells_of_its_panic_before_it_dumps():
    """Scenario 16: crash_kexec_post_notifiers: the panic is told without a word about the dump, and QEMU goes on."""
    story = well()
    story.tell(Panicked(False))
    dumps(story)
    nothing_recovered(story)


@pytest.mark.parametrize("on_crash", ["restart", "coredump-restart"])
def test_a_panic_that_libvirt_deals_with(on_crash):
    """Scenario 17: on_crash or the action of a watchdog has dealt with it already."""
    story = well()
    story.tell(Panicked(False))
    story.tell(Seen(guest()._replace(on_crash=on_crash), RUN, CRASHED))
    passes(story, 300)
    story.tell(Rebooted())
    happens(story, "reboot")
    story.tell(Resumed("unpaused"))
    unanswered(story, 5)
    story.asked()
    assert story.verdicts == []
    watchdog_resets(story)


def watchdog_resets(story) -> None:
    unanswered(story, 1)
    happens(story, "watchdog.reset")
    story.tell(Rebooted())
    happens(story, "reboot")
    story.tell(ChannelChanged(False))
    unanswered(story, 10)
    story.asked()
    assert story.verdicts == [("watchdog", RECORD)]
    nothing_recovered(story)


@pytest.mark.parametrize("action", ["ignore", "inject"])
def test_a_memory_failure_that_the_guest_survives(action):
    """Scenario 40: the host's memory failed, and the guest deals with it."""
    story = well()
    happens(story, f"memory-failure.{action}")
    unanswered(story, 1)
    story.asked(takes=4)
    assert story.verdicts == [("memory-failure", RECORD)]
    assert not story.open
    nothing_recovered(story)
