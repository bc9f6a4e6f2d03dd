"""The ledger loses nothing and lies to nobody, whatever the disk does."""

from __future__ import annotations

import itertools
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest

from heartbeat import ledger as ledger_module
from heartbeat.incident import HUNG, QEMU_DIED, RECORD, RECOVER, Arm, Close, Forget, Incident, Open
from heartbeat.ledger import AlreadyOpenError, Delivery, Ledger, LedgerError

NOW, LATER, STILL_LATER = (f"2026-11-20T05:00:{second:02}+00:00" for second in (0, 10, 20))
GUEST, OTHER = "25efc0bf-1659-4c83-b4e6-4e0e6d0f0b01", "25efc0bf-1659-4c83-b4e6-4e0e6d0f0b02"
RECIPIENTS = {RECOVER: ["masakari"], RECORD: []}


def hang(uuid=GUEST, verdict=HUNG, incarnation="i1", action=RECOVER, name="vm") -> Open:
    return Open(uuid, name, incarnation, verdict, action, "{}")


def begin(ledger, *changes, now=NOW):
    return ledger.apply(changes or (hang(),), now, RECIPIENTS)


@pytest.fixture
def directory(tmp_path) -> str:
    return str(tmp_path / "state")


@pytest.fixture
def ledger(directory):
    ledger = Ledger(directory)
    yield ledger
    ledger.close()


@pytest.fixture
def again(directory):
    """What the next start finds. The first ledger stays open, as if its process had been killed."""
    opened = []

    def reopen() -> Ledger:
        opened.append(Ledger(directory))
        return opened[-1]

    yield reopen
    for ledger in opened:
        ledger.close()


def test_nobody_else_may_read_it(ledger, directory):
    begin(ledger)
    assert os.stat(directory).st_mode & 0o777 == 0o700
    assert {name: os.stat(f"{directory}/{name}").st_mode & 0o777 for name in os.listdir(directory)} == {
        "ledger.sqlite": 0o600, "ledger.sqlite-wal": 0o600, "ledger.sqlite-shm": 0o600,
    }  # fmt: skip


def test_each_transaction_reaches_the_disk(ledger):
    assert ledger._rows("PRAGMA synchronous") == [(2,)]
    assert ledger._rows("PRAGMA journal_mode") == [("wal",)]


def test_an_armed_guest_is_still_armed_after_a_restart_until_it_is_forgotten(ledger, again):
    begin(ledger, Arm(GUEST, "i1"), Arm(OTHER, "i1"), Arm(GUEST, "i2"))
    assert again().armed() == {GUEST: "i2", OTHER: "i1"}
    begin(ledger, Forget(GUEST), Forget("never seen"))
    assert again().armed() == {OTHER: "i1"}


def test_an_incident_and_its_delivery_are_there_after_a_restart(ledger, again):
    opened = begin(ledger)
    assert opened == [Incident(1, GUEST, "vm", "i1", HUNG, RECOVER, NOW, "{}")]
    after = again()
    assert after.open_incidents() == opened
    assert after.pending("masakari") == [Delivery(1, opened[0], NOW, 0, "")]
    assert after.deliveries([1]) == {1: {"masakari": "pending"}}


def test_what_is_only_to_be_recorded_is_owed_to_nobody(ledger):
    begin(ledger, hang(action=RECORD))
    assert ledger.pending("masakari") == []
    assert ledger.deliveries([1]) == {1: {}}


def test_a_guest_is_not_failed_twice_at_once_and_then_nothing_is_written(ledger):
    begin(ledger)
    with pytest.raises(AlreadyOpenError, match=GUEST):
        begin(ledger, Arm(OTHER, "i1"), hang())
    assert ledger.armed() == {}
    begin(ledger, hang(verdict=QEMU_DIED), hang(incarnation="i2"), hang(uuid=OTHER))
    assert len(ledger.open_incidents()) == 4


def test_a_guest_can_fail_again_after_its_incident_was_closed(ledger):
    begin(ledger)
    opened = begin(ledger, Close(1, "answers again"), hang())
    assert [incident.id for incident in ledger.open_incidents()] == [opened[0].id] == [2]


def test_closing_expires_what_was_not_sent_and_nothing_else(ledger):
    begin(ledger, hang(), hang(uuid=OTHER))
    ledger.attempt(1)
    ledger.delivered(1, NOW, "ref")
    begin(ledger, Close(1, "why"), Close(2, "why"))
    assert ledger.deliveries([1, 2]) == {1: {"masakari": "delivered"}, 2: {"masakari": "expired"}}
    assert ledger.open_incidents() == ledger.pending("masakari") == []
    assert ledger.counts("masakari") == {"delivered": 1, "expired": 1}


def test_a_closed_incident_is_not_sent_even_by_a_courier_that_has_just_read_it(ledger):
    begin(ledger)
    owed = ledger.pending("masakari")[0]
    begin(ledger, Close(1, "answers again"))
    assert ledger.attempt(owed.id) is None


def test_a_report_accepted_while_its_incident_was_being_closed_counts_as_delivered(ledger):
    begin(ledger)
    owed = ledger.pending("masakari")[0]
    ledger.attempt(owed.id)
    begin(ledger, Close(1, "answers again"))
    ledger.delivered(owed.id, LATER, "ref")
    assert ledger.deliveries([1]) == {1: {"masakari": "delivered"}}


def test_an_attempt_cut_short_by_a_kill_is_known_to_be_uncertain(ledger, again):
    begin(ledger)
    assert ledger.attempt(1) == (1, NOW, False, "")
    assert again().attempt(1) == (2, NOW, True, "")


def test_an_uncertain_attempt_stays_uncertain_after_one_that_surely_failed(ledger):
    begin(ledger)
    for uncertain_before, uncertain in ((False, False), (False, True), (True, False), (True, False)):
        assert ledger.attempt(1).uncertain is uncertain_before
        ledger.postponed(1, "why", uncertain)
    assert ledger.pending("masakari")[0].error == "why"


def test_a_renewed_report_has_a_new_time_and_nobody_has_seen_it(ledger):
    begin(ledger)
    ledger.attempt(1)
    ledger.postponed(1, "why", True)
    ledger.renewed(1, LATER)
    assert ledger.attempt(1) == (2, LATER, False, "")
    assert ledger.open_incidents()[0].opened == NOW


def test_an_earlier_report_about_the_same_guest_is_remembered_if_it_may_have_been_accepted(ledger):
    begin(ledger, hang(), hang(uuid=OTHER))
    ledger.attempt(1)
    ledger.postponed(1, "no route to host", False)
    begin(ledger, Close(1, "why"), hang(), now=LATER)
    assert ledger.attempt(3).previous == ""
    ledger.delivered(3, LATER, "ref")
    begin(ledger, Close(3, "why"), hang(), now=STILL_LATER)
    assert ledger.attempt(4).previous == LATER
    assert ledger.attempt(2).previous == ""


def test_a_refused_report_is_not_owed_any_more(ledger):
    begin(ledger)
    ledger.refused(1, NOW, "never")
    assert ledger.pending("masakari") == []
    assert ledger.deliveries([1]) == {1: {"masakari": "refused"}}


def test_hostile_names_are_kept_as_text_and_bounded(ledger):
    name = "'); DROP TABLE incident; --\0\ud800" + "x" * 1000
    begin(ledger, hang(name=name))
    found = ledger.open_incidents()[0].name
    assert found.startswith("'); DROP TABLE incident; --\0?x")
    assert len(found) == 255


def test_old_closed_incidents_go_and_open_ones_never_do(ledger, monkeypatch):
    monkeypatch.setattr(ledger_module, "KEEP_NUMBER", 3)
    monkeypatch.setattr(ledger_module, "PRUNE_STEP", 2)
    old = "2026-01-01T00:00:00+00:00"
    begin(ledger, hang(incarnation="open"), now=old)
    for number in range(2, 10):
        begin(ledger, hang(), now=old)
        ledger.apply([Close(number, "why")], old, RECIPIENTS)
    assert ledger.counts("masakari") == {"pending": 1, "expired": 8}, "none is 90 days old yet"
    ids = []
    for _ in range(4):
        begin(ledger, Close(0, "no such incident: only the time passes"))
        ids.append([row[0] for row in ledger._rows("SELECT id FROM incident")])
    assert ids == [[1, 4, 5, 6, 7, 8, 9], [1, 6, 7, 8, 9], [1, 7, 8, 9], [1, 7, 8, 9]]
    assert ledger.counts("masakari") == {"pending": 1, "expired": 3}


def test_a_long_past_costs_neither_the_owner_nor_a_courier_anything(ledger):
    def work(guest):
        """How much SQLite has to do for each step of an incident's life: instructions of its virtual machine."""
        costs, count = {}, itertools.count()
        ledger._database._connection.set_progress_handler(lambda: next(count) * 0, 1)

        def cost(name, action):
            before = next(count)
            found = action()
            costs[name] = next(count) - before
            return found

        opened = cost("open", lambda: begin(ledger, hang(uuid=guest)))[0]
        incident = opened.id
        cost("begin anew", ledger.open_incidents)
        delivery = cost("what is owed", lambda: ledger.pending("masakari"))[0].id
        cost("attempt", lambda: ledger.attempt(delivery))
        cost("delivered", lambda: ledger.delivered(delivery, NOW, "ref"))
        cost("budget of the guest", lambda: ledger.recoveries(guest, NOW))
        cost("budget of the node", lambda: ledger.in_flight(NOW))
        cost("other recoveries", lambda: ledger.recovering(opened, NOW))
        cost("close", lambda: ledger.apply([Close(incident, "why")], NOW, {}))
        return costs

    short = work("one")
    with ledger._transaction() as connection:
        connection.executemany("INSERT INTO incident VALUES (?, ?, 'vm', 'i1', 'hung', 'recover', ?, '{}', ?, 'over')",
                               [(number, f"guest-{number % 500}", NOW, NOW) for number in range(10, 30_000)])
        connection.execute("INSERT INTO delivery (incident_id, backend, status, generated_time)"
                           " SELECT id, 'masakari', 'delivered', opened FROM incident WHERE id >= 10")
    long = work("another")
    # Each close looks at so many of the oldest, whether they may go.
    assert {name: cost for name, cost in long.items() if cost > short[name] + 20 * ledger_module.PRUNE_STEP} == {}


def test_couriers_and_the_owner_use_it_at_once(ledger):
    begin(ledger, *(hang(uuid=f"guest-{number}") for number in range(40)))
    owed = ledger.pending("masakari")
    failures = []

    def courier(part):
        try:
            for delivery in part:
                ledger.attempt(delivery.id)
                ledger.delivered(delivery.id, NOW, "ref")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=courier, args=(owed[start::4],)) for start in range(4)]
    for thread in threads:
        thread.start()
    for number in range(40):
        begin(ledger, Arm(f"guest-{number}", "i1"))
    for thread in threads:
        thread.join()
    assert failures == []
    assert ledger.counts("masakari") == {"delivered": 40}
    assert len(ledger.armed()) == 40


@pytest.mark.parametrize("content", [b"garbage" * 1000, b"SQLite format 3\0" + b"\xff" * 4080], ids=["text", "header"])
def test_a_damaged_ledger_is_kept_aside_and_a_clean_one_begun(directory, content, caplog):
    os.mkdir(directory, 0o700)
    for name in ("ledger.sqlite", "ledger.sqlite-wal"):
        with open(f"{directory}/{name}", "wb") as file:
            file.write(content)
    ledger = Ledger(directory)
    begin(ledger)
    assert len(ledger.open_incidents()) == 1
    with open(f"{directory}/ledger.sqlite.corrupt-1", "rb") as file:
        assert file.read() == content
    assert "corrupt-1" in caplog.text
    ledger.close()


def test_damage_inside_is_found_at_the_start(directory, ledger):
    begin(ledger, *(hang(uuid=f"guest-{number}") for number in range(300)))
    ledger.close()
    size = os.path.getsize(f"{directory}/ledger.sqlite")
    with open(f"{directory}/ledger.sqlite", "r+b") as file:
        file.seek(8192)
        file.write(os.urandom(size - 8192))
    after = Ledger(directory)
    assert after.open_incidents() == []
    assert os.path.exists(f"{directory}/ledger.sqlite.corrupt-1")
    after.close()


def test_a_disk_that_damages_each_ledger_does_not_fill_up_with_them(directory):
    os.mkdir(directory, 0o700)
    for _ in range(5):
        with open(f"{directory}/ledger.sqlite", "w") as file:
            file.write("garbage" * 1000)
        Ledger(directory).close()
    assert sorted(os.listdir(directory)) == ["ledger.sqlite", *(f"ledger.sqlite.corrupt-{n}" for n in (1, 2, 3))]


def test_a_ledger_of_a_newer_version_is_left_alone_and_the_remedy_named(directory, ledger):
    begin(ledger)
    ledger._rows("PRAGMA user_version = 99")
    ledger.close()
    with pytest.raises(LedgerError, match=r"newer version .* \(schema 99, we know 4\); install that") as raised:
        Ledger(directory)
    assert raised.value.path == f"{directory}/ledger.sqlite"
    connection = sqlite3.connect(f"{directory}/ledger.sqlite")
    assert connection.execute("SELECT count(*) FROM incident").fetchall() == [(1,)]
    connection.close()


def test_a_directory_that_others_can_write_is_refused(directory):
    os.mkdir(directory)
    os.chmod(directory, 0o777)
    with pytest.raises(LedgerError, match=f"written by others; run: chmod 0700 {directory}"):
        Ledger(directory)


def test_a_link_in_its_place_is_not_followed(directory, tmp_path):
    os.mkdir(directory, 0o700)
    os.symlink(tmp_path / "elsewhere", f"{directory}/ledger.sqlite")
    with pytest.raises(LedgerError):
        Ledger(directory)
    assert not (tmp_path / "elsewhere").exists()


def test_no_directory_can_be_made_there(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="check the disk and state"):
        Ledger(str(tmp_path / "file" / "state"))


def test_a_ledger_removed_while_in_use_is_noticed_before_the_next_incident_is_lost(ledger, directory):
    begin(ledger)
    os.unlink(f"{directory}/ledger.sqlite")
    with pytest.raises(LedgerError, match="removed or replaced") as raised:
        begin(ledger, hang(uuid=OTHER))
    assert raised.value.restart


def test_a_ledger_held_by_another_program_is_an_error_and_works_again_afterwards(ledger, directory):
    ledger._rows("PRAGMA busy_timeout = 0")
    other = sqlite3.connect(f"{directory}/ledger.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerError, match="locked; another program has it open"):
        begin(ledger)
    other.close()
    assert len(begin(ledger)) == 1


def test_a_full_filesystem_costs_the_transaction_and_nothing_else(ledger):
    begin(ledger)
    pages = ledger._rows("PRAGMA page_count")[0][0]
    ledger._rows(f"PRAGMA max_page_count = {pages}")
    many = [change for n in range(200) for change in (Arm(f"guest-{n}", "i1"), hang(uuid=f"guest-{n}"))]
    with pytest.raises(LedgerError, match="full; make room on its filesystem"):
        begin(ledger, *many)
    assert ledger.armed() == {}
    assert len(ledger.open_incidents()) == 1
    ledger._rows("PRAGMA max_page_count = 100000")
    begin(ledger, *many)
    assert len(ledger.open_incidents()) == 201


def child(code: str, *words: str, limit: int | None = None) -> subprocess.CompletedProcess:
    def bound():
        if limit is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond it is EFBIG, as a quota would have it
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    prelude = (
        "from heartbeat.ledger import *\nfrom heartbeat.incident import *\nimport os, sys, signal\n"
        "def guest(n): return Open(f'guest-{n}', 'vm', 'i1', HUNG, RECOVER, 'x' * 2000)\n"
        "OWED = {RECOVER: ['masakari']}\n"
    )
    return subprocess.run(
        [sys.executable, "-c", prelude + code, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
        preexec_fn=bound, cwd=os.getcwd(), check=False,
    )  # fmt: skip


def test_a_write_that_the_system_refuses_is_an_error_and_all_before_it_stays(directory):
    code = (
        f"ledger = Ledger(sys.argv[1])\n"
        f"try:\n"
        f"    for n in range(1000): ledger.apply([guest(n)], '{NOW}', OWED); print(n, flush=True)\n"
        "except LedgerError as error: print(error, flush=True)\n"
        "assert len(ledger.open_incidents()) == n\n"
        "os._exit(0)"
    )
    ran = child(code, directory, limit=200_000)
    lines = ran.stdout.decode().splitlines()
    assert ran.returncode == 0, lines[-5:]
    assert lines[-1].startswith(f"ledger {directory}/ledger.sqlite: ")
    kept = int(lines[-2])
    after = Ledger(directory)
    assert [incident.uuid for incident in after.open_incidents()] == [f"guest-{n}" for n in range(kept + 1)]
    after.close()


def test_killed_between_any_two_statements_it_has_all_of_a_transaction_or_nothing(directory):
    code = (
        "import sqlite3\n"
        "left = int(sys.argv[2])\n"
        "def kill(statement):\n"
        "    global left\n"
        "    left -= 1\n"
        "    if left < 0: os.kill(os.getpid(), signal.SIGKILL)\n"
        "class Traced(sqlite3.Connection):\n"
        "    def __init__(self, *a, **k): super().__init__(*a, **k); self.set_trace_callback(kill)\n"
        "connect = sqlite3.connect\n"
        "sqlite3.connect = lambda *a, **k: connect(*a, factory=Traced, **k)\n"
        "ledger = Ledger(sys.argv[1])\n"
        f"ledger.apply([guest(1), Arm('guest-1', 'i1')], '{NOW}', OWED)\n"
        "ledger.attempt(1)\n"
        "ledger.delivered(1, 'now', 'ref')\n"
        f"ledger.apply([Close(1, 'why'), guest(2), Forget('guest-1')], '{LATER}', OWED)\n"
    )
    seen = []
    for statements in range(200):
        place = f"{directory}-{statements}"
        ran = child(code, place, str(statements))
        after = Ledger(place)
        uncertain = [after.attempt(owed.id).uncertain for owed in after.pending("masakari")]
        state = ([i.id for i in after.open_incidents()], list(after.armed()), after.counts("masakari"), uncertain)
        after.close()
        assert not [name for name in os.listdir(place) if "corrupt" in name]
        if not seen or seen[-1] != state:
            seen.append(state)
        if ran.returncode == 0:
            break
        assert ran.returncode == -signal.SIGKILL, ran.stdout
    assert seen == [
        ([], [], {}, []),
        ([1], ["guest-1"], {"pending": 1}, [False]),
        ([1], ["guest-1"], {"pending": 1}, [True]),
        ([1], ["guest-1"], {"delivered": 1}, []),
        ([2], [], {"delivered": 1, "pending": 1}, [False]),
    ]


def test_a_directory_mounted_read_only_is_named(directory):
    begin(first := Ledger(directory))
    first.close()
    code = (
        "import ctypes\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "place = sys.argv[1].encode()\n"
        "for flags, source, target in ((0x44000, None, b'/'), (4096, place, place), (4096 | 32 | 1, None, place)):\n"
        "    if flags == 0x44000 and libc.unshare(0x20000): sys.exit(77)\n"
        "    if libc.mount(source, target, None, flags, None): sys.exit(77)\n"
        "try: Ledger(sys.argv[1])\n"
        "except LedgerError as error: print(error)\n"
    )
    ran = child(code, directory)
    if ran.returncode == 77:
        pytest.skip("needs the right to mount")
    assert b"mount its filesystem read-write" in ran.stdout
