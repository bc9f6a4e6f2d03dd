"""The follower: the ledger's rows, an endpoint in Masakari's place, and kill -9 between any two statements."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import subprocess
import sys
from datetime import datetime, timedelta, timezone

import pytest

from heartbeat.backends import Later, Sought
from heartbeat.backends.masakari import Masakari
from heartbeat.follower import IDLE, Follower
from heartbeat.incident import HUNG, OBSERVED, RECORD, RECOVER, SUSPENDED, UNHEALTHY, Arm, Close, Forget, Open
from heartbeat.ledger import Ledger, Recipient
from heartbeat.outcome import ANSWERED, CONFIRMED, IGNORED, LEFT_IT, LOST, NOT_RECOVERED, RECOVERED, SKIPPED, Word
from heartbeat.sender import Sender
from tests.harness.credentials import sender_options
from tests.harness.endpoint import Endpoint

GUEST, OTHER = (f"25efc0bf-1659-4c83-b4e6-4e0e6d0f0b0{number}" for number in (1, 2))
BEGIN = datetime(2026, 11, 20, 5, 0, tzinfo=timezone.utc)
OWED = {RECOVER: [Recipient("masakari"), Recipient("webhook", False, True)], SUSPENDED: [Recipient("webhook", False)]}
DEADLINE = 600


class Node:
    """A ledger, a follower in logical time, and Masakari's words by hand."""

    def __init__(self, directory) -> None:
        self.directory, self.seconds = str(directory), 0.0
        self.words: dict[str, Word | Later] = {}
        self.asked: list[Sought] = []
        self.again: list[tuple[str, int, str]] = []
        self.here: bool | None = True
        self.ends = 0
        self.begin()

    def begin(self) -> None:
        """A life of the helper's."""
        self.ledger = Ledger(self.directory)
        self.follower = Follower(
            self.ledger, lambda uuids: dict.fromkeys(uuids, self.here), lambda *it: self.again.append(it),
            self.wall, lambda: self.seconds)  # fmt: skip
        self.follower.configure(self, DEADLINE)

    def wall(self) -> str:
        return (BEGIN + timedelta(seconds=self.seconds)).isoformat(timespec="microseconds")

    def look(self, it: Sought) -> Word | Later:
        self.asked.append(it)
        return self.words.get(it.uuid, Word("new"))

    def close(self) -> None:
        self.ends += 1

    def interrupt(self) -> None:
        pass

    def apply(self, *changes) -> None:
        self.ledger.apply(changes, self.wall(), OWED)

    def fails(self, uuid: str = GUEST, run: str = "boot-1", action: str = RECOVER, reference: str = "number") -> int:
        """A guest fails, and everybody has been told."""
        number = self.ledger.apply([Open(uuid, "vm", run, HUNG, action, "{}")], self.wall(), OWED)[0].id
        for backend in ("masakari", "webhook"):
            for it in (it for it in self.ledger.pending(backend) if it.incident.id == number):
                self.ledger.attempt(it.id)
                self.ledger.delivered(it.id, self.wall(), reference)
        return number

    def is_started(self, uuid: str = GUEST, run: str = "boot-2") -> None:
        open_ones = [it.id for it in self.ledger.open_incidents() if it.uuid == uuid]
        self.apply(*(Close(it, "the guest was stopped: destroyed") for it in open_ones), Forget(uuid))
        self.apply(Arm(uuid, run))

    def run(self, seconds: float) -> None:
        end = self.seconds + seconds
        while self.seconds < end:
            rest = self.follower.step()
            self.seconds = min(self.seconds + (60.0 if rest is None else rest), end)
        self.follower.step()

    def fruit(self, incident: int):
        return self.ledger.fruit(incident)


@pytest.fixture
def node(tmp_path):
    node = Node(tmp_path / "state")
    yield node
    node.ledger.close()


def outcomes(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if "incident" in record.getMessage()
            and "Masakari says" not in record.getMessage().partition(": ")[2][:14]]


def test_a_recovery_is_followed_from_its_report_to_the_first_answer(node, caplog):
    caplog.set_level(logging.INFO)
    number = node.fails()
    node.run(10)
    assert (node.fruit(number).outcome, node.fruit(number).status) == ("", "new")
    node.words[GUEST] = Word("finished", CONFIRMED, "")
    node.run(10)
    assert node.fruit(number).outcome == ""
    node.is_started()
    node.run(5)
    assert node.fruit(number).outcome == RECOVERED
    assert node.ledger.followed() == []
    assert outcomes(caplog) == [f"incident {number} (hung, guest {GUEST}): recovered: it was started anew and answers"]
    assert node.ledger.incidents(5)[0].fruit.outcome == RECOVERED


def test_nothing_is_asked_while_nothing_is_followed(node):
    assert node.follower.step() is None
    number = node.fails(action=SUSPENDED)
    node.run(300)
    assert (node.asked, node.fruit(number)) == ([], None)
    assert node.follower.step() is None


@pytest.mark.parametrize("action", [RECORD, OBSERVED, SUSPENDED])
def test_what_asks_for_no_recovery_has_no_outcome(node, action):
    assert node.fruit(node.fails(action=action)) is None


def test_masakari_is_asked_less_and_less_often(node):
    node.fails()
    times = []
    node.look = lambda it: times.append(node.seconds) or Word("running")
    node.run(300)
    gaps = [later - earlier for earlier, later in zip(times, times[1:])]
    assert times[0] >= 2
    assert all(later >= earlier for earlier, later in zip(gaps, gaps[1:]))
    assert 30 <= gaps[-1] <= 36
    assert len(times) < 20


def test_masakari_that_is_away_is_no_outcome_and_is_told_once(node, caplog):
    number = node.fails()
    node.words[GUEST] = Later("Masakari cannot be reached: connection refused", whole=True)
    node.run(300)
    assert node.fruit(number).outcome == ""
    assert len(caplog.records) == 1
    node.words[GUEST] = Word("finished", LEFT_IT, "Skipping recovery for instance")
    node.run(60)
    assert node.fruit(number).outcome == SKIPPED


def test_after_a_trouble_of_the_api_no_other_notification_is_asked_for_at_once(node):
    node.fails(GUEST)
    node.fails(OTHER)
    node.words = dict.fromkeys((GUEST, OTHER), Later("Masakari answers 503", 40.0, whole=True))
    node.run(41)
    assert len(node.asked) == 1


def test_what_ends_badly_is_reported_again_and_over_once_that_has_been_done(node):
    first = node.fails()
    node.words[GUEST] = Word("failed", "", "Failed to stop instance")
    node.run(DEADLINE - 1)
    assert (node.fruit(first).outcome, node.again) == (NOT_RECOVERED, [])
    assert node.follower.needing == [], "it is reported again: no human yet"
    node.run(10)
    assert {it[:2] for it in node.again} == {(GUEST, first)}
    assert node.again[0][2] == "not recovered: Masakari has failed: Failed to stop instance"
    node.apply(Close(first, "not recovered"))
    node.fails()
    node.run(10)
    assert [it.incident for it in node.ledger.followed()] == [first + 1]


def test_the_end_of_an_incident_tells_the_outcome_if_it_is_known_by_then(node):
    first = node.fails()
    node.words[GUEST] = Word("finished", LEFT_IT, "")
    node.run(10)
    node.apply(Close(first, "the agent answers again"))
    (owed,) = node.ledger.pending("webhook")
    assert (owed.kind, owed.outcome) == ("cleared", SKIPPED)
    second = node.fails(OTHER)
    node.apply(Close(second, "the guest was stopped: destroyed"))
    assert [it.outcome for it in node.ledger.pending("webhook")] == [SKIPPED, ""], "it does not wait for it"
    node.is_started(OTHER)
    node.run(10)
    assert node.fruit(second).outcome == RECOVERED
    assert [it.outcome for it in node.ledger.pending("webhook")] == [SKIPPED, ""], "and stays as it was"


def test_a_guest_that_nobody_gets_to_needs_a_human_until_it_answers(node):
    number = node.fails()
    node.run(DEADLINE + 10)
    assert node.follower.needing == [GUEST]
    assert node.fruit(number).human
    node.is_started()
    node.run(5)
    assert node.follower.needing == []
    assert node.fruit(number).outcome == RECOVERED


def test_an_answer_is_not_forgotten_though_the_guest_is_stopped_again_before_anybody_looks(node):
    number = node.fails()
    node.is_started()
    node.apply(Forget(GUEST))
    node.run(1)
    assert node.fruit(number).outcome == RECOVERED


def test_one_that_answers_by_itself_was_not_recovered_by_anybody(node):
    node.apply(Arm(GUEST, "boot-1"))
    number = node.fails()
    node.apply(Close(number, "the agent answers again"))
    node.run(1)
    assert node.fruit(number).outcome == ANSWERED


def test_one_that_answers_by_itself_and_is_unhealthy_then_has_answered_all_the_same(node):
    node.apply(Arm(GUEST, "boot-1"))
    number = node.fails()
    node.apply(Close(number, "the agent answers again"), Open(GUEST, "vm", "boot-1", UNHEALTHY, RECORD, "{}"))
    node.run(10)
    assert node.fruit(number).outcome == ANSWERED


def test_a_report_whose_answer_was_lost_is_followed_if_the_guest_comes_back_before_it_is_repeated(node):
    number = node.ledger.apply([Open(GUEST, "vm", "boot-1", HUNG, RECOVER, "{}")], node.wall(), OWED)[0].id
    (owed,) = node.ledger.pending("masakari")
    node.ledger.attempt(owed.id)
    node.ledger.postponed(owed.id, "no answer in time", True)
    assert node.fruit(number) is None
    node.is_started()
    node.run(5)
    assert node.fruit(number).outcome == RECOVERED


def test_without_masakari_the_guest_itself_is_followed(node):
    node.follower.configure(None, DEADLINE)
    number = node.fails()
    node.run(DEADLINE + 10)
    assert node.asked == []
    assert (node.fruit(number).outcome, node.fruit(number).human) == (NOT_RECOVERED, True)


def test_a_child_that_is_not_needed_is_ended(node):
    number = node.fails()
    node.run(20)
    ends = node.ends
    node.words[GUEST] = Word(IGNORED, "", "")
    node.run(60)
    assert node.fruit(number).outcome == IGNORED
    assert node.ends > ends
    assert IDLE <= 60


def test_a_helper_that_is_started_again_follows_what_the_one_before_did(node):
    number = node.fails()
    node.words[GUEST] = Word("failed", "", "")
    node.run(100)
    node.ledger.close()
    node.again.clear()
    node.begin()
    node.run(DEADLINE - 110)
    assert node.again == []
    node.run(20)
    assert {it[1] for it in node.again} == {number}


KILLED = """
import os, signal, sqlite3, sys
left = int(sys.argv[2])
def kill(statement):
    global left
    left -= 1
    if left < 0: os.kill(os.getpid(), signal.SIGKILL)
connect = sqlite3.connect
class Traced(sqlite3.Connection):
    def __init__(self, *a, **k): super().__init__(*a, **k); self.set_trace_callback(kill)
sqlite3.connect = lambda *a, **k: connect(*a, factory=Traced, **k)
from tests.unit.test_follower import lives
lives(sys.argv[1])
"""


def lives(directory: str) -> None:
    """One life: whatever an earlier one has done already is not done again."""
    node = Node(directory)
    node.words[GUEST] = Word("finished", CONFIRMED, "")
    if not node.ledger.incidents(1):
        node.ledger.apply([Open(GUEST, "vm", "boot-1", HUNG, RECOVER, "{}")], node.wall(), OWED)
    for owed in node.ledger.pending("masakari"):
        node.ledger.attempt(owed.id)
        node.ledger.delivered(owed.id, node.wall(), "number")
    node.run(10)
    for it in node.ledger.open_incidents():
        node.apply(Close(it.id, "the guest was stopped: destroyed"), Forget(GUEST))
    if node.ledger.armed().get(GUEST) != "boot-2":
        node.apply(Arm(GUEST, "boot-2"))
    node.run(10)
    node.ledger.close()


def test_killed_between_any_two_statements_it_goes_on_and_ends_with_the_same_outcome(tmp_path):
    """Each life gets a few statements further than the one before, or is let live."""
    code, ran, kills = KILLED, None, 0
    for statements in range(20, 400, 3):
        ran = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "state"), str(statements)], cwd=os.getcwd(), timeout=60,
            check=False,
        )  # fmt: skip
        kills += ran.returncode == -9
        assert ran.returncode in (0, -9)
        if ran.returncode == 0:
            break
    assert ran.returncode == 0
    assert kills > 5
    connection = sqlite3.connect(tmp_path / "state" / "ledger.sqlite")
    assert connection.execute("SELECT outcome, done, answered FROM outcome").fetchall() == [(RECOVERED, 1, "boot-2")]
    connection.close()


# Against the recording endpoint


@pytest.fixture
def endpoint():
    with Endpoint() as endpoint:
        yield endpoint


@pytest.fixture
def masakari(endpoint):
    masakari = Masakari(options(endpoint))
    yield masakari
    if masakari._service.session:
        masakari._service.session.session.close()


def options(endpoint) -> dict:
    return sender_options(endpoint.auth_url, 5)


def stored(endpoint, guest: str = GUEST, time: str = "2026-11-20T05:00:00.123456+00:00") -> Sought:
    """A notification that Masakari has."""
    document = {"type": "VM", "hostname": "one", "generated_time": time,
                "payload": {"event": "QEMU_GUEST_AGENT_ERROR", "instance_uuid": guest,
                            "vir_domain_event": "STOPPED_FAILED"}}  # fmt: skip
    answer = endpoint.masakari.post(json.dumps({"notification": document}).encode())
    return Sought(guest, time, answer.document["notification"]["notification_uuid"])


def task(name: str, state: str, *messages: str) -> dict:
    return {"name": name, "state": state, "progress": 1.0,
            "progress_details": [{"timestamp": "2026-11-20 05:00:00", "progress": "0.5", "message": text}
                                 for text in messages]}  # fmt: skip


STOPPED = task("StopInstanceTask", "SUCCESS", "Stopping instance: x", "Stopped instance: 'x'")
CONFIRMS = task("ConfirmInstanceActiveTask", "SUCCESS", "Confirmed instance 'x' vm_state is ACTIVE")


@pytest.mark.parametrize(("status", "details", "deed"), [
    ("new", [], ""), ("running", [STOPPED], ""), ("error", [STOPPED], ""),
    ("finished", [STOPPED, CONFIRMS], CONFIRMED),
    ("finished", [task("StopInstanceTask", "REVERTED", "Skipping recovery for instance: x as it is not Ha_Enabled")],
     LEFT_IT),
    ("finished", [], ""), ("failed", [STOPPED, task("ConfirmInstanceActiveTask", "REVERTED", "Failed")], "stopped it"),
    ("ignored", [task("StopInstanceTask", "REVERTED", "is ignored as it is in 'paused' state.")], ""),
])  # fmt: skip
def test_masakaris_states_are_read_as_they_are_meant(endpoint, masakari, status, details, deed):
    sought = stored(endpoint)
    endpoint.masakari.settle(sought.reference, status, *details)
    found = masakari.look(sought)
    assert (found.status, found.deed) == (status, deed)


def test_a_notification_whose_number_was_lost_is_found_by_guest_and_time(endpoint, masakari):
    stored(endpoint, OTHER)
    wanted = stored(endpoint)
    later = stored(endpoint, time="2026-11-20T06:00:00.123456+00:00")
    endpoint.masakari.settle(later.reference, "failed")
    endpoint.masakari.settle(wanted.reference, "finished", STOPPED, CONFIRMS)
    assert masakari.look(Sought(GUEST, wanted.generated_time, "")).deed == CONFIRMED
    assert masakari.look(Sought(GUEST, "2026-11-20T05:30:00+00:00", "")) == Word(LOST)


def test_a_number_that_masakari_does_not_know_is_lost(endpoint, masakari):
    assert masakari.look(Sought(GUEST, "", "6f5e0a2c-0000-4000-8000-000000000001")) == Word(LOST)


def test_an_api_that_refuses_or_is_away_says_nothing(endpoint, masakari):
    sought = stored(endpoint)
    endpoint.role = "member"
    assert isinstance(masakari.look(sought), Later)
    endpoint.refuse()
    assert isinstance(masakari.look(sought), Later)


def test_the_question_goes_through_a_process_of_its_own(endpoint):
    sender = Sender(options(endpoint))
    sought = stored(endpoint)
    try:
        assert sender.look(sought) == Word("new")
        endpoint.masakari.settle(sought.reference, "ignored", task("StopInstanceTask", "REVERTED", "\x1b[2J" * 300))
        found = sender.look(sought)
        assert found.status == "ignored"
        assert found.said.isprintable()
        assert len(found.said) <= 200
        assert sender.prepare() is None, "and serves for all else"
    finally:
        sender.close()
