"""A courier brings every report, in order, once, and never one that does not hold any more."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from heartbeat.backends import FAILED, Delivered, Later, Report
from heartbeat.delivery import AFTER_SOON, GONE, NOT_NOW, SOON, STANDS, Courier
from heartbeat.evidence.collection import Collection, Rules
from heartbeat.incident import HUNG, QEMU_DIED, RECOVER, UNHEALTHY, Close, Open
from heartbeat.ledger import Ledger, LedgerError

OPENED = "2026-11-20T05:00:00+00:00"
REFERENCE = "25efc0bf-1659-4c83-b4e6-4e0e6d0f0bff"
DOWN = Later("no answer", whole=True)
LOST = Later("no answer in time", uncertain=True, whole=True)
REFUSED = Later("invalid; correct it", 60.0)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now

    def wall(self) -> str:
        return f"2026-11-20T05:{int(self.now - 1000) // 60:02}:{int(self.now - 1000) % 60:02}+00:00"


class Receiver:
    """A backend. outcomes: what the next reports meet; after them all are accepted."""

    name = "masakari"

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.outcomes: list = []
        self.prepared: list = []
        self.refused: set[str] = set()
        self.begun = self.closed = 0

    def begin(self) -> None:
        self.begun += 1

    def prepare(self):
        return self.prepared.pop(0) if self.prepared else None

    def deliver(self, report):
        self.reports.append(report)
        if report.uuid in self.refused:
            return REFUSED
        return self.outcomes.pop(0) if self.outcomes else Delivered(REFERENCE)

    def close(self) -> None:
        self.closed += 1

    def interrupt(self) -> None:
        pass

    def sent(self) -> list[tuple[int, str, bool]]:
        made = [(report.id, report.generated_time[14:19], report.resend) for report in self.reports]
        self.reports.clear()
        return made


class Desk:
    """A courier with all around it, and no thread: the test makes its steps."""

    def __init__(self, directory: str) -> None:
        self.ledger, self.clock, self.receiver = Ledger(directory), Clock(), Receiver()
        self.answers: dict[int, object] = {}
        self.counted: list[str] = []
        self.courier = self.hire()

    def hire(self) -> Courier:
        return Courier(
            self.receiver, self.ledger, lambda: "compute1", self.confirm, self.clock.wall, self.clock, lambda: 0.0,
            count=self.counted.append,
        )  # fmt: skip

    def confirm(self, incident: int) -> str:
        answer = self.answers.get(incident, STANDS)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    def fail(self, *guests: str, verdict: str = HUNG) -> None:
        changes = [Open(guest, "vm", "i1", verdict, RECOVER, "{}") for guest in guests]
        self.ledger.apply(changes, self.clock.wall(), {RECOVER: ["masakari"]})

    def close(self, incident: int) -> None:
        self.ledger.apply([Close(incident, "answers again")], self.clock.wall(), {})

    def until_idle(self, seconds: float = 0.0) -> list[tuple[int, str, bool]]:
        """Lets `seconds` pass, in the courier's own steps, and all that is due happen. Returns what was sent."""
        end = self.clock.now + seconds
        while True:
            wait = self.courier.step()
            if self.clock.now + wait > end:
                self.clock.now = end
                return self.receiver.sent()
            self.clock.now += wait

    def states(self) -> dict[int, str]:
        found = self.ledger.deliveries(range(1, 20))
        return {incident: status["masakari"] for incident, status in found.items() if status}


@pytest.fixture
def desk(tmp_path):
    desk = Desk(str(tmp_path))
    yield desk
    desk.ledger.close()


def test_a_report_says_what_the_ledger_says(desk):
    desk.fail("guest", verdict=QEMU_DIED)
    desk.clock.now += 5
    desk.courier.step()
    assert desk.receiver.reports == [Report(
        1, "guest", QEMU_DIED, OPENED, "compute1", False, "", FAILED, RECOVER, "vm", OPENED, "{}",
    )]  # fmt: skip
    assert desk.states() == {1: "delivered"}
    assert desk.courier.status() == {"name": "masakari", "pending": 0, "delivered": 1, "error": None}


def test_all_guests_are_reported_at_once_and_each_only_once(desk):
    desk.fail(*(f"guest-{number}" for number in range(15)))
    assert [number for number, _, _ in desk.until_idle()] == list(range(1, 16))
    assert desk.until_idle(3600) == []


def test_what_came_of_each_attempt_is_counted_a_login_that_failed_too(desk):
    desk.receiver.prepared = [Later("no token", whole=True)]
    desk.receiver.outcomes = [Later("busy")]
    desk.fail("guest")
    desk.until_idle(600)
    assert desk.counted == ["failed", "failed", "delivered"]


def test_a_report_is_in_the_ledger_before_it_is_sent(desk):
    desk.fail("guest")
    seen = []
    desk.receiver.deliver = lambda report: seen.append(desk.ledger.attempt(1)) or Delivered("")
    desk.courier.step()
    assert seen[0].number == 2, "the attempt that was being made was the first"
    assert seen[0].uncertain


@pytest.mark.parametrize("answer", [NOT_NOW, TimeoutError()], ids=["suspect", "owner busy"])
def test_a_guest_of_which_we_are_not_sure_now_is_not_reported_now(desk, answer):
    desk.fail("guest", "other")
    desk.answers[1] = answer
    assert desk.until_idle(10) == [(2, "00:00", False)]
    desk.answers.clear()
    assert desk.until_idle(2) == [(1, "00:00", False)]


def test_a_guest_that_has_recovered_is_not_reported(desk):
    desk.fail("guest")
    desk.answers[1] = GONE
    assert desk.until_idle(60) == []
    desk.close(1)
    assert desk.until_idle(600) == []
    assert desk.states() == {1: "expired"}


def test_an_incident_closed_right_after_it_was_confirmed_is_not_sent(desk):
    desk.fail("guest")
    desk.confirm = lambda incident: desk.close(incident) or STANDS
    desk.courier = desk.hire()
    assert desk.until_idle(600) == []


def test_an_incident_that_ends_during_the_login_is_not_sent(desk):
    desk.fail("guest")
    desk.receiver.prepare = lambda: desk.answers.update({1: GONE})
    assert desk.until_idle(60) == []


def test_what_takes_time_is_begun_before_the_cluster_is_asked(desk):
    desk.fail("guest")
    begun = []
    desk.confirm = lambda incident: begun.append(desk.receiver.begun) or STANDS
    desk.courier = desk.hire()
    desk.courier.step()
    assert begun == [1, 1], "asked before the login, and right before the report"


def test_what_is_held_for_long_costs_no_login_and_no_memory(desk):
    desk.fail("guest")
    desk.answers[1] = NOT_NOW
    desk.receiver.prepare = lambda: pytest.fail("there is nothing to report now")
    assert desk.until_idle(3600) == []
    assert (desk.receiver.begun, desk.receiver.closed) == (1, 1)
    del desk.answers[1], desk.receiver.prepare
    assert len(desk.until_idle(2)) == 1


def test_each_attempt_looks_at_the_guest_again(desk):
    desk.fail("guest")
    desk.receiver.outcomes = [LOST]
    assert len(desk.until_idle()) == 1
    desk.answers[1] = GONE
    assert desk.until_idle(600) == []


def test_what_may_have_arrived_is_sent_again_unchanged_as_a_resend(desk):
    desk.fail("guest")
    desk.receiver.outcomes = [LOST, Later("refused", 60.0), Delivered("")]
    assert desk.until_idle(600) == [(1, "00:00", False), (1, "00:00", True), (1, "00:00", True)]
    assert desk.states() == {1: "delivered"}


def test_what_surely_did_not_arrive_is_no_resend(desk):
    desk.fail("guest")
    desk.receiver.outcomes = [DOWN]
    assert desk.until_idle(10) == [(1, "00:00", False), (1, "00:00", False)]


def test_a_new_courier_knows_what_the_old_one_may_have_sent(desk):
    desk.fail("guest")
    desk.receiver.outcomes = [LOST]
    desk.until_idle()
    desk.courier = desk.hire()
    assert desk.until_idle() == [(1, "00:00", True)]


def test_what_keeps_a_report_back_for_a_moment_costs_it_no_seconds_and_a_long_hold_is_not_asked_for_often(desk):
    desk.fail("guest")
    desk.answers[1], asked = NOT_NOW, []
    confirm = desk.courier._confirm
    desk.courier._confirm = lambda number: asked.append(desk.clock.now - 1000) or confirm(number)
    desk.until_idle(8)
    assert asked == pytest.approx([0.0, 0.2, 0.6, 1.4, 3.0, 5.0, 7.0])


def test_a_second_failure_within_the_receivers_window_is_reported_with_a_new_time_if_it_still_holds(desk):
    desk.fail("guest")
    desk.receiver.outcomes = [Later("duplicate", 181.0, renew=True)]
    assert desk.until_idle(180.5) == [(1, "00:00", False)]
    desk.answers[1] = NOT_NOW
    assert desk.until_idle(10) == []
    desk.answers.clear()
    assert desk.until_idle(10) == [(1, "03:12", False)]
    assert desk.ledger.open_incidents()[0].opened == OPENED


def test_a_new_time_is_kept_for_the_resends_of_it(desk):
    desk.fail("guest")
    desk.receiver.outcomes = [Later("duplicate", 181.0, renew=True), LOST]
    assert [time for _, time, _ in desk.until_idle(200)] == ["00:00", "03:01", "03:01"]


def test_the_receiver_learns_of_the_guests_report_before_this_one(desk):
    desk.fail("guest")
    desk.until_idle(100)
    desk.close(1)
    desk.fail("guest")
    desk.courier.step()
    assert desk.receiver.reports[0].previous == OPENED


def test_a_report_that_is_refused_holds_up_nobody_else(desk, caplog):
    desk.fail("bad", "good")
    desk.receiver.refused = {"bad"}
    sent = desk.until_idle(200)
    assert [number for number, _, _ in sent] == [1, 2, 1, 1, 1]
    assert desk.courier.status()["error"] == "invalid; correct it"
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "masakari: incident 1 (hung, guest bad) is not reported yet: invalid; correct it"
    ]


def test_the_reports_of_one_guest_keep_their_order(desk):
    desk.fail("guest")
    desk.fail("guest", verdict=QEMU_DIED)
    desk.receiver.outcomes = [REFUSED]
    assert [number for number, _, _ in desk.until_idle(100)] == [1, 1, 2]


def test_a_guest_that_hangs_is_reported_though_what_its_health_check_found_has_to_wait(desk):
    desk.fail("guest", verdict=UNHEALTHY)
    desk.answers[1] = NOT_NOW  # for as long as it hangs, no check can be run
    assert desk.until_idle(10) == []
    desk.fail("guest")
    assert [number for number, _, _ in desk.until_idle(10)] == [2]
    desk.answers[1] = STANDS
    assert [number for number, _, _ in desk.until_idle(10)] == [1]


def test_a_receiver_that_is_down_is_asked_less_and_less_often_and_not_for_each_guest(desk):
    desk.fail(*(f"guest-{number}" for number in range(50)))
    desk.receiver.prepared = [DOWN] * 9
    times = []
    while desk.receiver.prepared:
        times.append(desk.clock.now - 1000)
        assert desk.until_idle(desk.courier.step()) == []
    assert times[:7] == [0, 1, 3, 7, 15, 31, 63]
    assert desk.courier.status()["error"] == "no answer"
    assert len(desk.until_idle(60)) == 50, "when it is back all go at once"
    assert desk.courier.status()["error"] is None


def test_an_outage_is_logged_when_it_begins_and_when_it_ends(desk, caplog):
    caplog.set_level("INFO")
    desk.fail("guest")
    desk.receiver.prepared = [DOWN, DOWN, Later("wrong password", whole=True), DOWN]
    desk.until_idle(600)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "masakari: nothing can be reported, it is tried again: no answer"),
        ("WARNING", "masakari: nothing can be reported, it is tried again: wrong password"),
        ("WARNING", "masakari: nothing can be reported, it is tried again: no answer"),
        ("INFO", f"masakari: incident 1 (hung, guest guest) reported: {REFERENCE}"),
        ("INFO", "masakari: reports are taken again."),
    ]


def test_a_report_that_hangs_lets_another_guests_go_first_the_next_time(desk):
    desk.fail("guest-1", "guest-2")
    desk.receiver.outcomes = [LOST]
    assert [number for number, _, _ in desk.until_idle(10)] == [1, 2, 1]


def test_a_time_that_the_receiver_asks_for_is_granted(desk):
    desk.fail("guest")
    desk.receiver.outcomes = [Later("busy", 40.0, whole=True)]
    assert len(desk.until_idle(39)) == 1
    assert len(desk.until_idle(1)) == 1


def test_nodes_do_not_come_back_all_at_once(desk):
    desk.courier._chance = lambda: 1.0
    desk.fail("guest")
    desk.receiver.outcomes = [Later("busy", 40.0, whole=True)]
    assert len(desk.until_idle(49)) == 1
    assert len(desk.until_idle(1)) == 1


def test_new_settings_are_tried_at_once(desk):
    desk.fail("guest", "other")
    desk.receiver.outcomes = [Later("wrong password", 300.0, whole=True)]
    desk.until_idle(10)
    desk.courier.wake()
    assert desk.until_idle() == []
    desk.courier.wake(afresh=True)
    assert len(desk.until_idle()) == 2


def test_trouble_is_forgotten_with_the_last_report_that_had_it(desk):
    desk.fail("guest")
    desk.receiver.prepared = [Later("wrong password", 300.0, whole=True)]
    desk.until_idle()
    desk.close(1)
    desk.fail("other")
    desk.close(2)
    desk.courier.step()
    assert desk.courier.status() == {"name": "masakari", "pending": 0, "delivered": 0, "error": None}
    desk.fail("third")
    assert len(desk.until_idle()) == 1


def test_what_the_backend_holds_is_given_back_two_minutes_after_the_last_use(desk):
    assert desk.until_idle(1000) == []
    assert desk.receiver.closed == 0
    desk.fail("guest")
    desk.until_idle(119)
    assert desk.receiver.closed == 0
    desk.until_idle(1)
    assert desk.receiver.closed == 1
    desk.until_idle(1000)
    assert desk.receiver.closed == 1


def test_an_accepted_report_that_cannot_be_recorded_is_recorded_later_and_not_sent_again(desk, caplog):
    caplog.set_level("INFO")
    desk.fail("guest")
    desk.ledger.delivered, delivered = broken(LedgerError("/x", "disk full; make room")), desk.ledger.delivered
    for _ in range(3):
        assert desk.courier._guarded_step() == 5
    assert desk.courier.status()["error"] == "ledger /x: disk full; make room"
    desk.ledger.delivered = delivered
    desk.courier._guarded_step()
    assert len(desk.receiver.reports) == 1
    assert desk.states() == {1: "delivered"}
    assert [record.levelname for record in caplog.records] == ["INFO", "ERROR", "INFO"]


def test_nothing_is_sent_that_the_ledger_does_not_know_of(desk):
    desk.fail("guest")
    desk.ledger.attempt, attempt = broken(LedgerError("/x", "disk full")), desk.ledger.attempt
    desk.courier._guarded_step()
    assert desk.receiver.reports == []
    desk.ledger.attempt = attempt
    desk.courier._guarded_step()
    assert len(desk.receiver.reports) == 1


def test_a_bug_of_ours_is_shown_logged_once_and_does_not_end_the_courier(desk, caplog):
    desk.fail("guest")
    desk.answers[1] = KeyError("a bug")
    for _ in range(3):
        assert desk.courier._guarded_step() == 30
    assert desk.courier.status()["error"] == "KeyError('a bug')"
    assert len(caplog.records) == 1
    desk.answers.clear()
    desk.courier._guarded_step()
    assert desk.courier.status()["error"] is None
    assert desk.states() == {1: "delivered"}


def broken(error):
    def call(*_, **__):
        raise error

    return call


def test_the_thread_delivers_when_woken_and_ends_when_told(tmp_path):
    desk, arrived = Desk(str(tmp_path)), threading.Semaphore(0)
    desk.receiver.deliver = lambda report: arrived.release() or Delivered("")
    desk.courier = Courier(desk.receiver, desk.ledger, lambda: "compute1", desk.confirm, desk.clock.wall)
    desk.courier.start()
    for guest in ("guest", "other"):
        desk.fail(guest)
        desk.courier.wake()
        assert arrived.acquire(timeout=60)
    desk.courier.stop(seconds=60)
    assert not desk.courier._thread.is_alive()
    assert desk.receiver.closed == 1
    desk.ledger.close()


def test_a_report_that_nobody_answers_does_not_hold_up_the_end(tmp_path):
    desk, asked, cut = Desk(str(tmp_path)), threading.Event(), threading.Event()

    def deliver(report):
        asked.set()
        cut.wait()
        return LOST

    desk.receiver.deliver, desk.receiver.interrupt = deliver, cut.set
    desk.fail("guest")
    desk.courier.start()
    assert asked.wait(60)
    desk.courier.stop(seconds=0.1)
    desk.courier._thread.join(60)
    assert desk.ledger.attempt(1).uncertain
    desk.ledger.close()


def test_while_evidence_is_taken_the_login_goes_on_and_the_report_goes_right_after(desk):
    desk.fail("guest")
    desk.answers[1] = SOON
    prepared = []
    desk.receiver.prepare = lambda: prepared.append(desk.clock.now)
    assert desk.courier.step() == pytest.approx(AFTER_SOON)
    assert (desk.receiver.sent(), prepared) == ([], [desk.clock.now])
    assert desk.courier.status()["error"] is None
    desk.clock.now += AFTER_SOON
    desk.answers[1] = STANDS
    assert desk.courier.step() == 0.0
    assert [number for number, _, _ in desk.receiver.sent()] == [1]


def test_the_end_of_a_capture_wakes_its_report_and_hurries_nothing_else(desk):
    desk.fail("first", "second")
    desk.answers.update({1: SOON, 2: NOT_NOW})
    desk.courier.step()
    desk.answers.update({1: STANDS, 2: STANDS})
    desk.courier.step()
    assert desk.receiver.sent() == []
    desk.courier.wake()
    assert [number for number, _, _ in desk.until_idle()] == [1]


def test_evidence_that_never_comes_delays_a_report_by_two_seconds_at_most(desk, tmp_path):
    """With the real rule for how long a report waits, and a capture that hangs for ever."""
    taken = Collection(
        str(tmp_path), Rules(), desk.ledger, SimpleNamespace(portray=lambda *_: threading.Event().wait()),
        lambda _: ("", ""), print, desk.clock.wall, desk.clock,
    )  # fmt: skip
    desk.fail("guest")
    opened = desk.clock.now
    taken._pending[1] = opened
    desk.confirm = lambda incident: SOON if taken.awaited(incident, desk.clock.now) else STANDS
    desk.courier = desk.hire()
    while not desk.receiver.sent():
        desk.clock.now += desk.courier.step()
    assert 1.5 < desk.clock.now - opened <= 2.0


def test_evidence_of_one_guest_keeps_no_other_report_back(desk):
    desk.fail("first", "second")
    desk.answers[1] = SOON
    assert [number for number, _, _ in desk.until_idle()] == [2]
