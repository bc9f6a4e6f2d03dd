"""What the ledger keeps for people: holds by hand, past incidents, budgets; and what an older version left."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from heartbeat import records
from heartbeat.incident import HUNG, OBSERVED, QEMU_DIED, RECORD, RECOVER, SUSPENDED, UNHEALTHY, Close, Incident, Open
from heartbeat.ledger import Ledger
from heartbeat.manual import ALL, ManualHold, concerning, held
from heartbeat.outcome import FAILED, NEW, Word

GUEST, OTHER = "25efc0bf-1659-4c83-b4e6-4e0e6d0f0b01", "25efc0bf-1659-4c83-b4e6-4e0e6d0f0b02"
OWED = {RECOVER: ["masakari"]}
# A ledger as version 0.1.0 wrote it, dumped: a delivered and closed incident, one that is recorded, one that is owed.
VERSION_1 = (Path(__file__).parent / "data" / "ledger-1.sql").read_text()


def at(minute: int, day: int = 20) -> str:
    return f"2026-11-{day:02}T05:{minute:02}:00.000000+00:00"


@pytest.fixture
def directory(tmp_path) -> str:
    return str(tmp_path / "state")


@pytest.fixture
def ledger(directory):
    ledger = Ledger(directory)
    yield ledger
    ledger.close()


def left_behind(directory: str) -> None:
    os.mkdir(directory, 0o700)
    connection = sqlite3.connect(f"{directory}/ledger.sqlite")
    connection.executescript(f"PRAGMA journal_mode = WAL; {VERSION_1}")
    connection.close()


def failed(ledger, uuid=GUEST, now=None, action=RECOVER, sent=True, closed=True, verdict=HUNG) -> int:
    """An incident from its opening to its end."""
    now = now or at(0)
    number = ledger.apply([Open(uuid, "vm", f"i-{now}", verdict, action, "{}")], now, OWED)[0].id
    for delivery in ledger.pending("masakari"):
        if sent and delivery.incident.id == number:
            ledger.attempt(delivery.id)
            ledger.delivered(delivery.id, now, "ref")
    if closed:
        ledger.apply([Close(number, "the guest was started again")], now, OWED)
    return number


def test_a_hold_outlasts_a_restart_and_ends_by_itself(ledger, directory):
    number = ledger.hold(GUEST, "alice", "Windows updates", at(0), at(30))
    made = ManualHold(number, GUEST, "alice", "Windows updates", at(0), at(30))
    after = Ledger(directory)
    assert after.holds(at(29)) == [made]
    assert after.holds(at(30)) == []
    assert ledger.holds(at(0)) == [], "it has left the file too"
    after.close()


def test_a_new_hold_of_the_same_owner_replaces_the_old_one_and_of_another_owner_does_not(ledger):
    ledger.hold(GUEST, "alice", "updates", at(0), at(59))
    ledger.hold(GUEST, "bob", "storage", at(1), at(10))
    last = ledger.hold(GUEST, "alice", "updates, shorter", at(2), at(5))
    assert [(hold.owner, hold.until) for hold in ledger.holds(at(2))] == [("bob", at(10)), ("alice", at(5))]
    assert ledger.holds(at(2))[1].id == last


def test_a_release_ends_all_holds_of_that_scope_and_says_how_many(ledger):
    for scope, owner in ((GUEST, "alice"), (GUEST, "bob"), (ALL, "alice"), (OTHER, "bob")):
        ledger.hold(scope, owner, "why", at(0), at(30))
    assert ledger.release(GUEST) == 2
    assert ledger.release(GUEST) == 0
    assert [hold.scope for hold in ledger.holds(at(1))] == [ALL, OTHER]


def test_a_clock_that_went_back_makes_no_hold_longer_than_it_was_meant(ledger, directory):
    ledger.hold(GUEST, "alice", "why", at(0, day=25), at(30, day=25))
    assert ledger.holds(at(0)) == [ManualHold(1, GUEST, "alice", "why", at(0), at(30))]
    after = Ledger(directory)
    assert after.holds(at(10)) == [ManualHold(1, GUEST, "alice", "why", at(0), at(30))], "and it does not begin again"
    assert after.holds(at(30)) == []
    after.close()


def test_strange_texts_in_a_hold_are_kept_as_bounded_data(ledger):
    ledger.hold(GUEST, "o" * 500, "'); DROP TABLE hold; --\ud800" + "x" * 5000, at(0), at(1))
    kept = ledger.holds(at(0))[0]
    assert kept.reason.startswith("'); DROP TABLE hold; --?x")
    assert (len(kept.owner), len(kept.reason)) == (64, 200)


def test_a_guest_is_held_by_its_own_hold_or_the_nodes_and_nobody_elses():
    mine = ManualHold(1, GUEST, "alice", "updates", at(0), at(30))
    node = ManualHold(2, ALL, "bob", "new switch", at(0), at(40))
    assert held([mine], GUEST, at(1)) == "held by alice until 2026-11-20T05:30:00Z: updates"
    assert held([mine], OTHER, at(1)) == ""
    assert held([mine], GUEST, at(30)) == ""
    assert held([], GUEST, at(0)) == ""
    assert concerning([mine, node], GUEST, at(1)) == [node, mine], "the one that lasts longest first"
    assert held([mine, node], OTHER, at(1)) == "held by bob until 2026-11-20T05:40:00Z: the whole node, new switch"


def test_incidents_are_listed_newest_first_with_their_end_and_their_reports(ledger):
    failed(ledger, now=at(0))
    ledger.apply([Open(OTHER, "vm-2", "i1", HUNG, RECOVER, "{}")], at(1), OWED)
    ledger.attempt(2)
    ledger.postponed(2, "masakari answers 503", True)
    newest, oldest = ledger.incidents(10)
    assert (newest.incident.uuid, newest.closed, newest.why) == (OTHER, None, "")
    assert newest.fates == (records.Fate("masakari", "pending", 1, "masakari answers 503", "", None),)
    assert (oldest.incident.id, oldest.closed, oldest.why) == (1, at(0), "the guest was started again")
    assert oldest.fates == (records.Fate("masakari", "delivered", 1, "", "ref", at(0)),)
    assert [past.incident.id for past in ledger.incidents(1)] == [2]


@pytest.mark.parametrize("word", [GUEST, GUEST[:4], GUEST[:-1].upper(), "vm'--"])
def test_incidents_of_one_guest_are_found_by_uuid_its_beginning_or_name(ledger, word):
    for number, (uuid, name) in enumerate(((GUEST, "vm'--"), ("99999999" + GUEST[8:], "vm%"))):
        ledger.apply([Open(uuid, name, "i1", HUNG, RECORD, "{}")], at(number), OWED)
    assert [past.incident.uuid for past in ledger.incidents(10, word)] == [GUEST]


@pytest.mark.parametrize("word", ["25e", "%", "25ef____", "", "' OR 1=1 --"])
def test_what_names_no_guest_finds_no_incident(ledger, word):
    failed(ledger)
    assert ledger.incidents(10, word) == []


def test_a_budget_counts_recoveries_of_this_guest_that_were_asked_for_since(ledger):
    failed(ledger, now=at(0))
    failed(ledger, now=at(10))
    failed(ledger, now=at(20), closed=False, sent=False)
    failed(ledger, now=at(20), uuid=OTHER)
    for number, action in enumerate((RECORD, OBSERVED, SUSPENDED)):
        failed(ledger, now=at(30 + number), action=action)
    assert [ledger.recoveries(GUEST, at(minute)) for minute in (0, 1, 11, 21)] == [3, 2, 1, 0]


def test_a_recovery_that_was_called_off_before_anybody_heard_of_it_is_not_counted(ledger):
    failed(ledger, now=at(0), sent=False)
    assert ledger.recoveries(GUEST, at(0)) == 0
    number = failed(ledger, now=at(1), sent=False, closed=False)
    delivery = ledger.pending("masakari")[0].id
    ledger.attempt(delivery)
    ledger.postponed(delivery, "no answer", True)
    ledger.apply([Close(number, "answers again")], at(2), OWED)
    assert ledger.recoveries(GUEST, at(0)) == 1, "it may have arrived"


def test_a_recovery_opened_while_the_clock_was_ahead_counts_as_one_of_now(ledger):
    failed(ledger, now=at(0, day=28))
    assert ledger.recoveries(GUEST, at(0)) == 1


def test_a_recovery_is_in_flight_from_its_report_until_its_incident_is_over_or_too_old(ledger):
    mine = failed(ledger, now=at(0), closed=False, sent=False)
    assert ledger.in_flight(at(0)) == 0, "nobody has been asked for it yet"
    delivery = ledger.pending("masakari")[0].id
    ledger.attempt(delivery)
    assert ledger.in_flight(at(0)) == 1, "killed now, nobody would know"
    assert ledger.in_flight(at(0), besides=mine) == 0, "a report never waits for itself"
    ledger.delivered(delivery, at(5), "ref")
    failed(ledger, uuid=OTHER, now=at(1), closed=False)
    failed(ledger, uuid=OTHER, now=at(2), closed=False, action=RECORD, verdict="agent-down")
    assert [ledger.in_flight(at(minute)) for minute in (0, 2, 5, 6)] == [2, 1, 1, 0]
    ledger.apply([Close(mine, "answers again")], at(6), OWED)
    assert ledger.in_flight(at(0)) == 1


def reported(ledger, verdict, now, run="i1", sent=True) -> Incident:
    """An incident that is open, and of which Masakari has been told."""
    it = ledger.apply([Open(GUEST, "vm", run, verdict, RECOVER, "{}")], now, OWED)[0]
    for delivery in ledger.pending("masakari"):
        if sent and delivery.incident.id == it.id:
            ledger.attempt(delivery.id)
            ledger.delivered(delivery.id, now, "ref")
    return it


@pytest.mark.parametrize(("first", "second"), [(UNHEALTHY, HUNG), (UNHEALTHY, QEMU_DIED), (HUNG, UNHEALTHY)])
def test_a_guest_is_not_recovered_once_for_its_health_check_and_once_for_its_hang(ledger, first, second):
    one, other = reported(ledger, first, at(0)), reported(ledger, second, at(1), sent=False)
    assert ledger.recovering(other, at(0))
    assert not ledger.recovering(one, at(0)), "the other has not been told of"
    assert not ledger.recovering(other, at(1)), "nothing came of it in time"
    assert not ledger.recovering(reported(ledger, second, at(1), run="i2", sent=False), at(0)), "it was started anew"
    ledger.learned(ledger.followed()[0]._replace(word=Word(NEW)))
    assert ledger.recovering(other, at(0))
    ledger.learned(ledger.followed()[0]._replace(word=Word(FAILED)))
    assert not ledger.recovering(other, at(0)), "Masakari has done with it"


def test_a_hang_waits_for_no_report_of_a_health_check_that_may_not_have_arrived(ledger):
    reported(ledger, UNHEALTHY, at(0), sent=False)
    ledger.attempt(ledger.pending("masakari")[0].id)
    assert not ledger.recovering(reported(ledger, HUNG, at(1), sent=False), at(0))


def test_an_application_waits_for_the_recovery_of_a_hang_that_was_over_before_it(ledger):
    hang = reported(ledger, HUNG, at(0))
    ledger.apply([Close(hang.id, "answers again")], at(1), OWED)
    ledger.learned(ledger.followed()[0]._replace(done=True))
    assert ledger.recovering(reported(ledger, UNHEALTHY, at(2), sent=False), at(0)), "Masakari may act upon it yet"
    assert not ledger.recovering(reported(ledger, HUNG, at(2), sent=False), at(0))


def test_a_ledger_of_the_version_before_is_taken_over_with_all_it_holds(directory):
    left_behind(directory)
    ledger = Ledger(directory)
    assert [(past.incident.id, past.why) for past in ledger.incidents(10)] == [
        (3, ""), (2, ""), (1, "the guest was started again")
    ]  # fmt: skip
    assert ledger.armed() == {GUEST: "i1", OTHER: "i1"}
    assert [owed.incident.id for owed in ledger.pending("masakari")] == [3]
    assert ledger.holds(at(0)) == []
    ledger.hold(ALL, "alice", "why", at(0), at(30))
    ledger.close()
    again = Ledger(directory)
    assert len(again.holds(at(1))) == 1
    again.close()


def test_a_taken_over_ledger_has_the_same_tables_as_a_new_one(directory, tmp_path):
    left_behind(directory)
    shapes = []
    for place in (directory, str(tmp_path / "new")):
        ledger = Ledger(place)
        tables = ledger._rows("SELECT type, name, sql FROM sqlite_master ORDER BY name")
        shapes.append((tables, ledger._rows("PRAGMA user_version")))
        ledger.close()
    assert shapes[0] == shapes[1]


def test_of_a_taken_over_ledger_a_recovery_that_was_asked_for_and_is_not_over_is_followed(directory):
    left_behind(directory)
    connection = sqlite3.connect(f"{directory}/ledger.sqlite")
    connection.execute("UPDATE incident SET closed_at = NULL WHERE id = 1")
    connection.commit()
    connection.close()
    ledger = Ledger(directory)
    (followed,) = ledger.followed()
    assert (followed.incident, followed.uuid, followed.outcome) == (1, GUEST, "")
    assert followed.generated_time == "2026-11-20T05:00:01.000000+00:00"
    assert followed.reference
    ledger.close()


def test_killed_while_taking_it_over_it_is_the_old_one_or_the_new_one(directory):
    left_behind(directory)
    code = (
        "import os, signal, sqlite3, sys\n"
        "left = int(sys.argv[2])\n"
        "def kill(statement):\n"
        "    global left\n"
        "    left -= 1\n"
        "    if left < 0: os.kill(os.getpid(), signal.SIGKILL)\n"
        "connect = sqlite3.connect\n"
        "class Traced(sqlite3.Connection):\n"
        "    def __init__(self, *a, **k): super().__init__(*a, **k); self.set_trace_callback(kill)\n"
        "sqlite3.connect = lambda *a, **k: connect(*a, factory=Traced, **k)\n"
        "from heartbeat.ledger import Ledger\n"
        "Ledger(sys.argv[1])\n"
    )
    versions = []
    for statements in range(50):
        ran = subprocess.run([sys.executable, "-c", code, directory, str(statements)], cwd=os.getcwd(), timeout=60)
        connection = sqlite3.connect(f"{directory}/ledger.sqlite")
        versions.append(connection.execute("PRAGMA user_version").fetchone()[0])
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE name = 'hold'")]
        kinds = connection.execute("SELECT 1 FROM pragma_table_info('delivery') WHERE name = 'kind'").fetchall()
        assert (tables, len(kinds)) == (["hold"] if versions[-1] > 1 else [], int(versions[-1] > 2))
        outcomes = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'outcome'").fetchall()
        assert len(outcomes) == int(versions[-1] > 3)
        assert connection.execute("SELECT count(*), max(attempts) FROM delivery").fetchall() == [(2, 1)]
        connection.close()
        if ran.returncode == 0:
            break
    assert ran.returncode == 0
    assert sorted(set(versions)) == [1, 2, 3, 4]
