"""Guests whose agents mean harm, and their neighbours, who are asked in time all the same."""
from __future__ import annotations

import threading
import time
from datetime import datetime, timezone

import pytest

from tests.harness.drill import NOTHING
from tests.harness.ward import settle, together

WATCHED = 80.0
ON_TIME = 25.0      # seconds between two answers of a neighbour: one interval, and one question that waits its turn
NEIGHBOURS = ("neighbour 1", "neighbour 2", "neighbour 3")
DRILLS = [
    # mode of the agent, its number, what it does, what is to come of it
    ("mute", 1, "answers nothing", "agent-silent recorded"),
    ("badsync", 1, "answers with wrong numbers", "agent-silent recorded"),
    ("strsync", 1, "answers with texts for numbers", "agent-silent recorded"),
    ("open", 1, "begins replies and never ends them", "agent-silent recorded"),
    ("flood", 1, "floods", "agent-silent recorded"),
    ("garbage", 1, "sends garbage", "agent-down recorded"),
    ("huge", 5, "replies of 5 MiB", NOTHING),
    ("huge", 11, "replies of 11 MiB", "agent-down recorded"),
    ("list", 1, "replies that are no objects", "agent-down recorded"),
    ("double", 1, "replies three times", NOTHING),
    ("escape", 1, "errors that break terminals", NOTHING),
]


def part(mode: str, number: int) -> str:
    return f"{mode} {number}"


@pytest.fixture(scope="module")
def drills(new_drills):
    drills = new_drills({"agent_down": 30}, breaker={"share": 100, "number": 100})
    ward = drills.ward
    ward.boot(*NEIGHBOURS, *(part(mode, number) for mode, number, *_ in DRILLS), balloon_period=10)
    ward.watch()
    begun = time.monotonic()
    late, ended = Lateness(ward), threading.Event()
    watcher = threading.Thread(target=late.watch, args=(ended,))
    watcher.start()
    for it in NEIGHBOURS:
        drills.strike(it)
    together(*(lambda mode=mode, number=number: drills.strike(
        part(mode, number), lambda: ward[part(mode, number)].evil(mode, number)) for mode, number, *_ in DRILLS))
    settle(begun, WATCHED)
    ended.set()
    watcher.join()
    drills.late = late.longest
    return drills


class Lateness:
    """The longest time for which each neighbour had not answered."""

    def __init__(self, ward) -> None:
        self.longest = dict.fromkeys(NEIGHBOURS, 0.0)
        self._ward = ward

    def watch(self, ended: threading.Event) -> None:
        while not ended.wait(1):
            for it in NEIGHBOURS:
                answered = datetime.fromisoformat(self._ward.seen(it)["last_answer"])
                age = (datetime.now(timezone.utc) - answered).total_seconds()
                self.longest[it] = max(self.longest[it], age)


@pytest.mark.parametrize(("mode", "number", "does", "expected"), DRILLS, ids=[f"{row[0]}-{row[1]}" for row in DRILLS])
def test_a_hostile_agent(drills, mode, number, does, expected):
    drills.check(f"agent {does}", part(mode, number), expected)


def test_neighbours_of_hostile_agents(drills):
    drills.check("neighbours of these", NEIGHBOURS, NOTHING, "healthy")


def test_neighbours_of_hostile_agents_are_asked_in_time(drills):
    longest = max(drills.late.values())
    got = "on time" if longest <= ON_TIME else f"{longest:.0f} s without an answer"
    drills.record("... are asked all the time", "on time", got, longest, True)
