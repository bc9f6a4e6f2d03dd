"""What is remembered of a guest: what happened to it, and of an answer nothing."""

from __future__ import annotations

import sys

import pytest

from heartbeat import history
from heartbeat.observation import (
    Answered,
    ChannelChanged,
    Gap,
    Happened,
    Panicked,
    Paused,
    Rebooted,
    Sampled,
    Seen,
    Stopped,
    Tasked,
    Tick,
)
from heartbeat.probe import Answer
from heartbeat.verdict import begin
from heartbeat.watch import HEALTHY, SUSPECT
from tests.harness.observations import NEXT_RUN, RUN, guest, sample

WATCH = begin(guest(), RUN, True, None, 0.0)._replace(state=HEALTHY)


def told(observation, before=WATCH, after=WATCH, so_far="") -> str:
    assert history.worth(observation, before, after)
    return history.noted(so_far, observation, before, after, 12.34)


@pytest.mark.parametrize("observation", [
    Answered(Answer.ALIVE, 1.0), Tick(), Sampled(sample(1.0)), Seen(guest(), RUN),
])
def test_a_guest_that_stays_well_leaves_no_trace(observation):
    assert not history.worth(observation, WATCH, WATCH)


@pytest.mark.parametrize(("observation", "line"), [
    (Answered(Answer.SILENT, 1.0), "agent: " + Answer.SILENT.value),
    (Paused("paused: migration", "migration"), "paused: migration"),
    (Panicked(False), "its kernel panicked"),
    (Rebooted(), "reset"),
    (ChannelChanged(False), "it closed the agent's channel"),
    (Stopped(True, "crashed"), "QEMU died: crashed"),
    (Happened("watchdog.reset"), "event watchdog.reset"),
    (Tasked("rebuilding"), "Nova is at it: rebuilding"),
    (Gap("libvirt: gone", True), "not observed: libvirt: gone"),
])
def test_what_happens_is_a_line(observation, line):
    assert told(observation) == f"12.3 {line}\n"


def test_a_change_of_state_is_told_with_what_led_to_it():
    after = WATCH._replace(state=SUSPECT, detail="the agent does not answer")
    assert told(Answered(Answer.SILENT, 1.0), after=after).endswith(
        "; suspect, was healthy: the agent does not answer\n")
    assert told(Seen(guest(), NEXT_RUN), after=after).startswith("12.3 seen as another QEMU process; suspect")


def test_what_repeats_itself_is_told_once():
    first = told(Answered(Answer.SILENT, 1.0))
    assert told(Answered(Answer.SILENT, 11.0), so_far=first) == first
    assert told(Rebooted(), so_far=first).count("\n") == 2


def test_it_takes_less_than_a_kilobyte_whatever_happens():
    text = ""
    for number in range(10_000):
        text = told(Happened(f"event-{number}-\u202e\x1b" + "x" * 200), so_far=text)
        assert len(text) <= history.MOST
    assert sys.getsizeof(text) < 1024
    assert text.isascii()
    assert text.endswith("\n")
    assert "event-9999-" in text
    assert all(line.startswith("12.3 event event-") for line in text.splitlines())  # whole lines go


def test_lines_are_dated_for_people():
    lines = list(history.lines("1.0 a b\n2.5 c\n", lambda at: f"<{at:g}>"))
    assert lines == ["<1> a b", "<2.5> c"]
