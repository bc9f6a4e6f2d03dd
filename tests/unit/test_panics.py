"""A kernel that says it panicked: what libvirt does then is set per guest, and only its end is a verdict."""

from __future__ import annotations

import pytest

from heartbeat.holds import DUMP
from heartbeat.incident import PANICKED, RECOVER
from heartbeat.observation import Panicked, Paused, Rebooted, Resumed, Seen, Stopped, Tick
from heartbeat.watch import HEALTHY, PAUSED
from tests.harness.observations import NEXT_RUN, RUN, guest, healthy

CRASHED = Paused("crashed: panicked", "crashed")


def crashed(on_crash: str):
    """A guest as libvirt shows it just after its panic."""
    story = healthy()
    story.tell(Panicked(False))
    story.tell(Seen(guest()._replace(on_crash=on_crash), RUN, CRASHED))
    return story


def test_a_guest_that_is_kept_as_it_is_after_its_panic_is_recovered():
    assert crashed("preserve").verdicts == [(PANICKED, RECOVER)]


@pytest.mark.parametrize("on_crash", ["destroy", "coredump-destroy"])
def test_a_guest_that_libvirt_stops_for_its_panic_is_recovered_once_it_has(on_crash):
    story = crashed(on_crash)
    story.tell(Tick(), 600)     # its memory is written to a file: a reset would destroy that
    assert not story.incidents
    story.tell(Stopped(True, "crashed", event="lifecycle.stopped.crashed"))
    assert story.verdicts == [(PANICKED, RECOVER)]


def test_a_list_that_was_read_before_the_end_that_followed_a_panic_does_not_take_the_verdict_back():
    """Its report would wait for as long as libvirt is not asked again."""
    story = crashed("destroy")
    story.tell(Stopped(True, "crashed", event="lifecycle.stopped.crashed"))
    story.tell(Seen(guest()._replace(on_crash="destroy"), RUN, CRASHED), 0.005)
    assert story.watch.state == PANICKED
    assert not story.watch.holds
    story.tell(Stopped(True, "crashed"))
    assert story.verdicts == [(PANICKED, RECOVER)]
    story.tell(Seen(guest(), NEXT_RUN), 60)
    assert story.watch.incident is None


@pytest.mark.parametrize("on_crash", ["restart", "coredump-restart"])
def test_a_guest_that_libvirt_resets_for_its_panic_is_left_to_that(on_crash):
    story = crashed(on_crash)
    story.tell(Tick(), 600)
    story.tell(Rebooted())
    story.tell(Resumed("unpaused"))
    story.asked()
    assert not story.incidents
    assert story.watch.state == HEALTHY


def test_a_panic_that_libvirt_does_not_follow_up_warns_and_is_no_verdict():
    story = crashed("restart")
    story.tell(Tick(), 3600)
    assert not story.incidents
    assert story.watch.state == PAUSED
    assert [hold.kind for hold in story.watch.holds if hold.warned] == [DUMP]
