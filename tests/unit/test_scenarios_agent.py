"""Scenarios that must never cause a recovery: what guest agents do, and what is done to them."""

from __future__ import annotations

import json

import pytest

from heartbeat.guest import AGENT_CHANNEL, Channel, read
from heartbeat.incident import AGENT_DOWN, NEVER_ANSWERED, RECORD
from heartbeat.observation import Answered, Asked, ChannelChanged, Tick, Warn
from heartbeat.probe import (
    COMMAND_FAILED,
    FROM_QEMU,
    INTERNAL,
    TIMED_OUT_JOB,
    UNRESPONSIVE,
    Answer,
    Failure,
    read_failure,
    read_reply,
)
from heartbeat.watch import HEALTHY, UNMONITORED, WAITING
from tests.harness.observations import UUID, seen
from tests.harness.scenario import HOUR, nothing_recovered, passes, unanswered, unknown, well


def test_an_agent_that_was_never_started():
    """Scenario 1: the agent was never installed or never started."""
    story = unknown()
    unanswered(story, 30)
    assert story.watch.state == WAITING
    passes(story, HOUR)
    unanswered(story, 30)
    assert story.verdicts == [(NEVER_ANSWERED, RECORD)]
    nothing_recovered(story)


@pytest.mark.parametrize("goodbye", ["event", "question", "both"])
def test_an_agent_that_was_stopped_or_upgraded_or_killed(goodbye):
    """Scenario 2: the agent was stopped, upgraded, has crashed or was killed for lack of memory."""
    story = well()
    if goodbye != "event":
        story.asked(Answer.CLOSED, 2)
    if goodbye != "question":
        story.tell(ChannelChanged(False))
    passes(story, HOUR)
    assert story.verdicts == [(AGENT_DOWN, RECORD)]
    story.tell(ChannelChanged(True))
    story.asked()
    assert story.watch.state == HEALTHY
    nothing_recovered(story)


@pytest.mark.parametrize("failure", [Failure(COMMAND_FAILED, FROM_QEMU), Failure(INTERNAL, FROM_QEMU)])
def test_a_command_that_the_distribution_blocks(failure):
    """Scenario 3: the distribution blocks the command: an agent that says so is alive."""
    story = well()
    for _ in range(300):
        story.asked(read_failure(failure, 0.002, 5))
        story.now += 10
    assert story.watch.state == HEALTHY
    nothing_recovered(story)


def test_an_agent_that_talks_to_another_client():
    """Scenario 4: the agent is busy with another client, as a backup, for hours."""
    story = well()
    answer = read_failure(Failure(TIMED_OUT_JOB, FROM_QEMU), 30.0, 5)
    assert answer is Answer.BUSY
    warnings = []
    for _ in range(200):
        story.asked(answer, 30)
        story.looked()
        warnings += [it for it in story.tell(Tick(), 10) if isinstance(it, Warn)]
    assert [warning.text.partition(": ")[2] for warning in warnings] == [Answer.BUSY.value]
    assert story.verdicts == []
    nothing_recovered(story)


def test_an_agent_that_libvirt_gave_up_for_its_garbage():
    """Scenario 5: libvirt has marked the agent as failed, after 10 MiB or garbage."""
    story = well()
    answer = read_failure(Failure(UNRESPONSIVE, FROM_QEMU), 0.001, 5)
    assert answer is Answer.NOT_CONNECTED
    for _ in range(360):
        story.asked(answer)
        story.looked()
        story.tell(Tick(), 10)
    assert story.verdicts == [(AGENT_DOWN, RECORD)]
    nothing_recovered(story)


def test_an_agent_that_becomes_slower_and_slower():
    """Scenario 6: the agent leaks memory and slows down, up to the last moment of its time to answer."""
    story = well()
    for turn in range(1, 50):
        asked = story.now
        story.tell(Asked())
        story.tell(Tick(), 1)
        story.looked()
        story.tell(Answered(Answer.ALIVE, asked), turn * 0.08)
        assert story.watch.state == HEALTHY
        story.now += 10
    nothing_recovered(story)


def test_a_channel_that_is_unplugged_or_another_one_in_its_place():
    """Scenario 29: the agent's channel is not in the domain any more, or not the first of its channels."""
    channel = "<channel type='unix'><target type='virtio' name='{}' state='{}'/></channel>"
    others = channel.format("com.example.0", "disconnected")
    head = f"<domain><name>vm</name><uuid>{UUID}</uuid><devices>{others}"
    assert read(f"{head}</devices></domain>").channel is Channel.ABSENT
    assert read(f"{head}{channel.format(AGENT_CHANNEL, 'connected')}</devices></domain>").channel is Channel.OPEN
    story = well()
    unanswered(story, 1)
    story.tell(seen(channel=Channel.ABSENT))
    unanswered(story, 360)
    passes(story, 30 * HOUR)
    assert story.watch.state == UNMONITORED
    assert story.verdicts == []
    nothing_recovered(story)


def test_an_answer_that_comes_too_late():
    """Scenario 31: a late answer to an earlier question is a sign of life, whatever its number."""
    story = well()
    for _ in range(100):
        story.silent()
        story.looked()
        story.asked(read_reply(json.dumps({"return": 1}), 2))
        assert (story.watch.state, story.watch.silences) == (HEALTHY, 0)
        story.now += 10
    nothing_recovered(story)


@pytest.mark.parametrize("reply", [
    {"error": {"class": "GenericError", "desc": "initialising"}}, {"return": "unknown"}, {"return": {}},
], ids=str)  # fmt: skip
def test_a_guest_that_says_it_is_not_ready(reply):
    """Scenario 37: what a guest says of its own health is not asked; that it says anything is life."""
    story = well()
    for _ in range(100):
        story.asked(read_reply(json.dumps(reply), 7))
        assert story.watch.state == HEALTHY
        story.now += 10
    nothing_recovered(story)


def test_another_program_on_the_agents_port():
    """Scenario 38: a second agent, or something else, holds the port, or the agent lacks a command."""
    story = unknown()
    for _ in range(100):
        story.asked(read_reply("\x7fELF", 7))
        story.tell(Tick(), 10)
        unanswered(story, 1)
    assert story.verdicts == []
    assert story.armed is None, "whatever answers, it is not an agent that we could miss"
    nothing_recovered(story)
    story = well()
    story.asked(read_failure(Failure(COMMAND_FAILED, FROM_QEMU), 0.002, 5))
    assert story.watch.state == HEALTHY
    nothing_recovered(story)
