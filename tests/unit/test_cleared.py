"""What is over is told to whom it was told that it had begun: after that, in order, once, and not for ever."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta, timezone

import pytest

from heartbeat.backends import CLEARED, FAILED, Delivered, Later, Report
from heartbeat.delivery import NOT_NOW, STANDS, Courier
from heartbeat.incident import HUNG, QEMU_DIED, RECORD, RECOVER, Close, Open
from heartbeat.ledger import Ledger, Recipient
from heartbeat.owed import CLEARED_ATTEMPTS, CLEARED_DAYS
from heartbeat.records import listed
from qga_ra.incidents import read, reported

START = datetime(2026, 11, 20, 5, 0, tzinfo=timezone.utc)
VITRAGE, MASAKARI = Recipient("vitrage", acts=False, clears=True), Recipient("masakari")
LOST = Later("no answer in time", uncertain=True, whole=True)
DOWN = Later("connection refused", whole=True)
GUEST = "25efc0bf-1659-4c83-b4e6-4e0e6d0f0b01"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now

    def wall(self) -> str:
        return (START + timedelta(seconds=self.now)).isoformat()


class Receiver:
    name = "vitrage"

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.outcomes: list = []
        self.hook = lambda report: None

    def begin(self) -> None:
        pass

    def prepare(self):
        return None

    def deliver(self, report):
        self.reports.append(report)
        self.hook(report)
        return self.outcomes.pop(0) if self.outcomes else Delivered("")

    def close(self) -> None:
        pass

    def interrupt(self) -> None:
        pass

    def told(self) -> list[tuple[int, str]]:
        made = [(report.id, report.kind) for report in self.reports]
        self.reports.clear()
        return made


class Desk:
    def __init__(self, directory: str) -> None:
        self.ledger, self.clock, self.receiver, self.answer = Ledger(directory), Clock(), Receiver(), STANDS
        self.counted: list[str] = []
        self.hire()

    def hire(self) -> None:
        self.courier = Courier(
            self.receiver, self.ledger, lambda: "compute1", lambda _: self.answer, self.clock.wall, self.clock,
            lambda: 0.0, count=self.counted.append,
        )  # fmt: skip

    def fail(self, uuid: str = GUEST, verdict: str = HUNG, *recipients: Recipient) -> int:
        owed = {RECOVER: recipients or (VITRAGE,)}
        return self.ledger.apply([Open(uuid, "vm", "i1", verdict, RECOVER, "{}")], self.clock.wall(), owed)[0].id

    def close(self, incident: int) -> None:
        self.ledger.apply([Close(incident, "answers again")], self.clock.wall(), {})

    def run(self, seconds: float = 0.0) -> list[tuple[int, str]]:
        end = self.clock.now + seconds
        while True:
            wait = self.courier.step()
            if self.clock.now + wait > end:
                self.clock.now = end
                return self.receiver.told()
            self.clock.now += wait

    def rows(self, backend: str = "vitrage") -> list[tuple]:
        query = "SELECT incident_id, kind, status FROM delivery WHERE backend = ? ORDER BY id"
        return self.ledger._rows(query, backend)


@pytest.fixture
def desk(tmp_path):
    desk = Desk(str(tmp_path))
    yield desk
    desk.ledger.close()


def test_what_was_told_is_told_to_be_over_with_when_and_why(desk):
    desk.fail()
    assert desk.run() == [(1, FAILED)]
    desk.clock.now = 60
    desk.close(1)
    desk.courier.step()
    report = desk.receiver.reports[0]
    assert (report.kind, report.closed, report.why) == (CLEARED, desk.clock.wall(), "answers again")
    assert desk.rows() == [(1, FAILED, "delivered"), (1, CLEARED, "delivered")]
    assert desk.courier.status()["pending"] == 0


def test_what_was_never_told_is_not_told_to_be_over(desk):
    desk.fail()
    desk.close(1)
    assert desk.run(600) == []
    assert desk.rows() == [(1, FAILED, "expired")]


def test_what_surely_did_not_arrive_is_not_told_to_be_over(desk):
    desk.fail()
    desk.receiver.outcomes = [DOWN]
    assert desk.run() == [(1, FAILED)]
    desk.close(1)
    assert desk.run(600) == []


def test_what_may_have_arrived_is_told_to_be_over_and_not_told_again(desk):
    desk.fail()
    desk.receiver.outcomes = [LOST]
    assert desk.run() == [(1, FAILED)]
    desk.close(1)
    assert desk.run(600) == [(1, CLEARED)]
    assert desk.rows() == [(1, FAILED, "expired"), (1, CLEARED, "delivered")]


@pytest.mark.parametrize(("outcome", "then"), [(DOWN, []), (LOST, [(1, CLEARED)]), (Delivered(""), [(1, CLEARED)])],
                         ids=["did not arrive", "may have arrived", "arrived"])  # fmt: skip
def test_an_incident_that_ends_while_it_is_being_told_is_told_to_be_over_unless_that_failed(desk, outcome, then):
    desk.fail()
    desk.receiver.outcomes = [outcome]
    desk.receiver.hook = lambda report: desk.close(1) if report.kind == FAILED else None
    assert desk.run(600) == [(1, FAILED), *then]
    assert desk.rows()[-1] == (1, CLEARED, "delivered" if then else "expired")


def test_killed_while_it_was_being_told_it_is_told_to_be_over_by_the_next_helper(desk):
    desk.fail()
    desk.ledger.attempt(1)
    desk.close(1)
    desk.hire()
    assert desk.run(600) == [(1, CLEARED)]


def test_a_guests_reports_keep_their_order_whatever_fails_in_between(desk):
    desk.fail()
    desk.run()
    desk.close(1)
    desk.fail(verdict=QEMU_DIED)
    desk.receiver.outcomes = [LOST, DOWN, Later("refused", 60.0)]
    assert desk.run(600) == [(1, CLEARED)] * 4 + [(2, FAILED)]


def test_another_guests_reports_do_not_wait_for_it(desk):
    desk.fail()
    desk.run()
    desk.close(1)
    desk.fail("other")
    desk.receiver.outcomes = [Later("refused", 60.0)]
    assert desk.run() == [(1, CLEARED), (2, FAILED)]


def test_that_something_is_over_needs_no_look_at_the_guest(desk):
    desk.fail()
    desk.run()
    desk.close(1)
    desk.answer = NOT_NOW
    assert desk.run() == [(1, CLEARED)]


def test_a_repetition_carries_the_same_time_and_says_that_it_is_one(desk):
    desk.fail()
    desk.run()
    desk.clock.now = 60
    desk.close(1)
    desk.receiver.outcomes = [LOST]
    desk.clock.now = 70
    desk.courier.step()
    desk.clock.now = 80
    desk.courier.step()
    first, second = desk.receiver.reports
    assert (first.resend, second.resend) == (False, True)
    assert (first.generated_time, first.key) == (second.generated_time, second.key)


def test_old_news_expires_and_the_guests_next_report_goes(desk, caplog):
    desk.fail()
    desk.run()
    desk.close(1)
    desk.clock.now += CLEARED_DAYS * 86400 + 1
    desk.fail()
    assert desk.run() == [(2, FAILED)]
    assert desk.rows()[1] == (1, CLEARED, "expired")
    assert desk.counted == ["delivered", "expired", "delivered"]
    assert "the end of incident 1" in caplog.text


def test_a_receiver_that_never_takes_the_end_of_one_gets_the_guests_next_report(desk, caplog):
    desk.fail()
    desk.run()
    desk.close(1)
    desk.fail()
    desk.receiver.outcomes = [Later("the end is refused", 60.0)] * 100
    told = desk.run(CLEARED_ATTEMPTS * 75)
    assert told.count((1, CLEARED)) == CLEARED_ATTEMPTS
    assert (2, FAILED) in told
    assert desk.rows()[1] == (1, CLEARED, "refused")
    assert desk.counted.count("refused") == 1


def test_a_receiver_that_is_down_for_long_gets_it_when_it_is_back(desk):
    desk.fail()
    desk.run()
    desk.close(1)
    desk.receiver.outcomes = [DOWN] * 100
    assert set(desk.run(86400)) == {(1, CLEARED)}
    assert desk.rows()[1] == (1, CLEARED, "delivered")


def test_masakari_is_not_told_that_anything_is_over(desk):
    desk.fail(GUEST, HUNG, MASAKARI, VITRAGE)
    desk.run()
    for owed in desk.ledger.pending("masakari"):
        desk.ledger.attempt(owed.id)
        desk.ledger.delivered(owed.id, desk.clock.wall(), "ref")
    desk.close(1)
    assert desk.ledger.pending("masakari") == []
    assert desk.run() == [(1, CLEARED)]


def test_each_backend_has_rows_of_its_own(desk):
    desk.fail(GUEST, HUNG, MASAKARI, VITRAGE)
    assert desk.run() == [(1, FAILED)]
    assert desk.ledger.deliveries([1]) == {1: {"masakari": "pending", "vitrage": "delivered"}}
    assert [fate.backend for fate in desk.ledger.fates(1)] == ["masakari", "vitrage"]


def test_who_only_informs_uses_up_no_budget_and_no_room(desk):
    desk.fail(GUEST, HUNG, MASAKARI, VITRAGE)
    desk.run()
    assert desk.ledger.in_flight("2026-01-01") == 0
    desk.close(1)
    assert desk.ledger.recoveries(GUEST, "2026-01-01") == 0
    desk.fail(GUEST, HUNG, MASAKARI, VITRAGE)
    desk.ledger.attempt(desk.ledger.pending("masakari")[0].id)
    assert (desk.ledger.in_flight("2026-01-01"), desk.ledger.recoveries(GUEST, "2026-01-01")) == (1, 1)


def test_what_is_only_recorded_is_no_earlier_report_of_a_recovery(desk):
    """Else "duplicate" would be taken for the record's, and the recovery be asked for twice."""
    owed = {RECORD: [MASAKARI], RECOVER: [MASAKARI]}
    desk.ledger.apply([Open(GUEST, "vm", "i1", "agent-silent", RECORD, "{}")], desk.clock.wall(), owed)
    desk.ledger.attempt(1)
    desk.ledger.delivered(1, desk.clock.wall(), "ref")
    desk.ledger.apply([Close(1, "became hung"), Open(GUEST, "vm", "i1", HUNG, RECOVER, "{}")], desk.clock.wall(), owed)
    assert desk.ledger.attempt(2).previous == ""


def test_a_ledger_of_the_version_before_is_taken_over_with_every_row(tmp_path):
    """A file as schema 2 had it: each status, an attempt that was cut short, and one that may have arrived."""
    path = tmp_path / "ledger.sqlite"
    tmp_path.chmod(0o700)
    connection = sqlite3.connect(path)
    connection.executescript(f"PRAGMA journal_mode = WAL; {VERSION_2} PRAGMA user_version = 2;")
    before = connection.execute(f"SELECT {COLUMNS} FROM delivery ORDER BY id").fetchall()
    connection.close()
    ledger = Ledger(str(tmp_path))
    assert ledger._rows(f"SELECT {COLUMNS} FROM delivery ORDER BY id") == before
    assert ledger._rows("SELECT DISTINCT kind, acts, clears FROM delivery") == [(FAILED, 1, 0)]
    assert [owed.incident.id for owed in ledger.pending("masakari")] == [3, 4]
    assert ledger.attempt(3).uncertain
    assert ledger.in_flight("2026-01-01") == 1
    assert ledger.holds("2026-11-20T05:00:00+00:00")[0].scope == "all"
    ledger.apply([Close(3, "answers again")], "2026-11-20T06:00:00+00:00", {})
    assert ledger.pending("masakari")[0].incident.id == 4
    assert ledger._rows("PRAGMA foreign_key_check") == []
    ledger.close()


def test_the_operators_command_reads_a_file_that_a_helper_of_the_version_before_has_left(tmp_path):
    path = tmp_path / "ledger.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(f"{VERSION_2} PRAGMA user_version = 2;")
    connection.close()
    found = read(str(path), 10, None)
    assert [it["id"] for it in found] == [5, 4, 3, 2, 1]
    assert [(way["backend"], way["status"], way["kind"]) for way in found[-1]["deliveries"]] == [
        ("masakari", "delivered", FAILED)
    ]


def test_the_operator_sees_that_the_end_was_told_as_well(desk):
    desk.fail()
    desk.run()
    desk.close(1)
    desk.run()
    (past,) = desk.ledger.incidents(1)
    assert reported(listed(past)) == "vitrage delivered, vitrage end delivered"


COLUMNS = "id, incident_id, backend, status, generated_time, attempts, sending, uncertain, error, reference, finished"
VERSION_2 = """
CREATE TABLE armed (uuid TEXT PRIMARY KEY, incarnation TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE incident (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again, so that an old number in a log stays unambiguous
    uuid TEXT NOT NULL, name TEXT NOT NULL, incarnation TEXT NOT NULL, verdict TEXT NOT NULL, action TEXT NOT NULL,
    opened TEXT NOT NULL, evidence TEXT NOT NULL, closed_at TEXT, closed_why TEXT);
CREATE UNIQUE INDEX incident_open ON incident (uuid, verdict, incarnation) WHERE closed_at IS NULL;
CREATE INDEX incident_of_guest ON incident (uuid);
CREATE TABLE delivery (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    incident_id INTEGER NOT NULL REFERENCES incident (id) ON DELETE CASCADE, backend TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'delivered', 'refused', 'expired')),
    generated_time TEXT NOT NULL,          -- what a resend must repeat exactly
    attempts INTEGER NOT NULL DEFAULT 0,
    sending INTEGER NOT NULL DEFAULT 0,    -- 1 from before an attempt until its result is known, also if we are killed
    uncertain INTEGER NOT NULL DEFAULT 0,  -- 1: an earlier attempt may have been accepted
    error TEXT NOT NULL DEFAULT '', reference TEXT NOT NULL DEFAULT '', finished TEXT,
    UNIQUE (incident_id, backend));
CREATE INDEX delivery_by_status ON delivery (backend, status);
CREATE TABLE hold (
    id INTEGER PRIMARY KEY AUTOINCREMENT, scope TEXT NOT NULL, owner TEXT NOT NULL, reason TEXT NOT NULL,
    begun TEXT NOT NULL, until TEXT NOT NULL, UNIQUE (scope, owner));
INSERT INTO incident VALUES
    (1, 'g1', 'vm', 'i1', 'hung', 'recover', '2026-11-20T05:00:00+00:00', '{}', '2026-11-20T05:01:00+00:00', 'why'),
    (2, 'g2', 'vm', 'i1', 'hung', 'recover', '2026-11-20T05:00:00+00:00', '{}', '2026-11-20T05:01:00+00:00', 'why'),
    (3, 'g3', 'vm', 'i1', 'hung', 'recover', '2026-11-20T05:00:00+00:00', '{"a":1}', NULL, NULL),
    (4, 'g4', 'vm', 'i1', 'hung', 'recover', '2026-11-20T05:00:00+00:00', '{}', NULL, NULL),
    (5, 'g5', 'vm', 'i1', 'hung', 'recover', '2026-11-20T05:00:00+00:00', '{}', '2026-11-20T05:01:00+00:00', 'why');
INSERT INTO delivery VALUES
    (1, 1, 'masakari', 'delivered', '2026-11-20T05:00:00+00:00', 1, 0, 0, '', 'ref', '2026-11-20T05:00:01+00:00'),
    (2, 2, 'masakari', 'expired', '2026-11-20T05:00:00+00:00', 2, 0, 0, 'why not', '', '2026-11-20T05:01:00+00:00'),
    (3, 3, 'masakari', 'pending', '2026-11-20T05:00:00+00:00', 1, 1, 0, '', '', NULL),
    (4, 4, 'masakari', 'pending', '2026-11-20T05:00:00+00:00', 0, 0, 0, '', '', NULL),
    (5, 5, 'masakari', 'refused', '2026-11-20T05:00:00+00:00', 3, 0, 1, 'never', '', '2026-11-20T05:00:09+00:00');
INSERT INTO hold VALUES (1, 'all', 'alice', 'why', '2026-11-20T05:00:00+00:00', '2026-11-21T05:00:00+00:00');
"""
