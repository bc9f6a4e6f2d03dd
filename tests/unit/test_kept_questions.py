"""libvirt keeps questions that are out, since the wall clock was set back. Its connections are stand-ins: no test may
set the clock of the machine that it runs on."""

from __future__ import annotations

import json
import threading

import libvirt
import libvirt_qemu
import pytest

from heartbeat.hypervisor.calls import Questions
from heartbeat.hypervisor.link import Asker
from heartbeat.hypervisor.outstanding import LOST, MARGIN, OWN_WAIT
from heartbeat.message import About
from heartbeat.observation import Answered
from heartbeat.probe import Answer
from heartbeat.watch import HEALTHY
from tests.harness.observations import OTHER, UUID, healthy
from tests.harness.wait import until

SIZE, TIMEOUT = 6, 5
LATE = TIMEOUT + OWN_WAIT + MARGIN + 1
DEADLINE = 30.0


class Connection:
    def lookupByUUIDString(self, uuid: str) -> tuple[Connection, str]:  # noqa: N802
        return self, uuid


class Libvirt:
    """Keeps the calls to these guests until they are let go. inside: connections that are in a call, by guest."""

    def __init__(self) -> None:
        self.kept: dict[str, threading.Event] = {}
        self.inside: dict[str, Connection] = {}
        self.asked: list[str] = []
        self.refuses = False
        self.now = 100.0
        self.heard: list[tuple[str, Answer]] = []
        self.askers = [Asker(self.connect(False)) for _ in range(SIZE)]
        self.lost = print
        self.questions = Questions(self, SIZE, self.post, lambda: self.now)

    def connect(self, read_only: bool) -> Connection:
        if self.refuses:
            raise libvirt.libvirtError("made up")
        return Connection()

    def command(self, domain: tuple[Connection, str], text: str, *_: object) -> str:
        connection, uuid = domain
        assert connection not in self.inside.values(), "two calls in one connection"
        self.asked.append(uuid)
        if uuid in self.kept:
            self.inside[uuid] = connection
            assert self.kept[uuid].wait(DEADLINE)
            del self.inside[uuid]
        return json.dumps({"return": json.loads(text)["arguments"]["id"]})

    def post(self, message: About) -> None:
        assert isinstance(message.observation, Answered)
        self.heard.append((message.uuid, message.observation.answer))

    def hang(self, *guests: str) -> None:
        """Ask these, and let the calls be kept."""
        for guest in guests:
            self.kept[guest] = threading.Event()
            self.questions.put(guest, self.now, TIMEOUT)
        until(lambda: set(guests) <= self.inside.keys(), "the calls to be out")

    def ask(self, guest: str) -> Answer:
        before = len(self.heard)
        self.questions.put(guest, self.now, TIMEOUT)
        until(lambda: len(self.heard) > before, "an answer")
        return self.heard[-1][1]

    def release(self, guest: str) -> None:
        self.kept.pop(guest).set()
        until(lambda: guest not in self.inside, "the call to be back")

    def later(self, seconds: float = LATE) -> list[tuple[str, Answer]]:
        """What is answered for in that time."""
        before = len(self.heard)
        self.now += seconds
        self.questions.expire()
        return self.heard[before:]


@pytest.fixture
def hung(monkeypatch):
    hung = Libvirt()
    monkeypatch.setattr(libvirt_qemu, "qemuAgentCommand", hung.command)
    yield hung
    for event in hung.kept.values():
        event.set()


GUESTS = [f"guest {number}" for number in range(SIZE)]


def test_a_question_that_libvirt_keeps_is_answered_for_as_unclear_once_and_not_before_its_time(hung):
    hung.hang(UUID)
    assert hung.later(LATE - 2) == []
    assert hung.later(2) == [(UUID, Answer.UNCLEAR)]
    assert hung.later() == []
    hung.release(UUID)
    assert hung.ask(OTHER) is Answer.ALIVE
    assert hung.heard == [(UUID, Answer.UNCLEAR), (OTHER, Answer.ALIVE)], "a late answer is nobody's"


def test_where_every_question_is_kept_the_others_are_asked_again_each_over_a_connection_of_its_own(hung):
    hung.hang(*GUESTS)
    assert len(hung.later()) == LOST
    for number in range(20):
        assert hung.ask(f"other {number}") is Answer.ALIVE
    assert sorted(hung.inside) == GUESTS


def test_no_more_questions_are_given_up_than_libvirtd_has_workers_for_until_one_is_back(hung):
    hung.hang(*GUESTS)
    given_up = [guest for guest, _ in hung.later()]
    assert hung.later() == []
    hung.release(given_up[0])
    until(lambda: hung.later(1.0), "one more to be answered for")
    assert len(hung.heard) == LOST + 1


def test_a_guest_whose_question_is_kept_is_not_asked_again_before_it_is_back(hung):
    hung.hang(UUID)
    hung.later()
    assert [hung.ask(UUID) for _ in range(3)] == [Answer.UNCLEAR] * 3
    assert hung.asked == [UUID]
    hung.release(UUID)
    until(lambda: hung.ask(UUID) is Answer.ALIVE, "it to be asked again")
    assert hung.asked == [UUID, UUID]


def test_without_a_further_connection_it_is_the_link_that_is_to_blame(hung):
    hung.hang(*GUESTS)
    hung.later()
    hung.refuses = True
    assert hung.ask(OTHER) is Answer.LINK
    hung.refuses = False
    assert hung.ask(OTHER) is Answer.ALIVE


def test_what_libvirt_keeps_counts_against_no_guest():
    story = healthy()
    for _ in range(50):
        story.asked(Answer.UNCLEAR, LATE)
    assert (story.watch.state, story.incidents) == (HEALTHY, [])
    story.silent()
    story.asked(Answer.UNCLEAR, LATE)
    assert story.watch.silences == 0
    assert story.incidents == []
