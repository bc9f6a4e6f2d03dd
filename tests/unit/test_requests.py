"""What operators ask over the control socket: found guests, checked words, and holds that reach the owner loop."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from heartbeat.budget import Budget
from heartbeat.choices import Choices
from heartbeat.control import Refused
from heartbeat.discrepancies import Discrepancies
from heartbeat.guest import Channel, Guest
from heartbeat.health.account import Account, Known
from heartbeat.health.condition import Condition
from heartbeat.health.course import Status
from heartbeat.health.diagnoses import Diagnoses
from heartbeat.incident import HUNG, RECOVER, Close, Open
from heartbeat.ledger import Ledger
from heartbeat.requests import Node, handlers
from heartbeat.schedule import Schedule
from heartbeat.watch import HEALTHY, Fitness, Timing, Watch
from tests.harness.memory_ledger import MemoryLedger
from tests.harness.wards import APP

FIRST, SECOND = "25efc0bf-1659-4c83-b4e6-4e0e6d0f0b01", "25efc0bf-1659-4c83-b4e6-4e0e6d0f0b02"
STRANGER = "99999999-1659-4c83-b4e6-4e0e6d0f0b09"
NOW = "2026-11-20T05:00:00.000000+00:00"


class Owner:
    """The owner loop, as the handlers see it: everything runs at once."""

    def __init__(self) -> None:
        names = {FIRST: "instance-00000001", SECOND: "instance-00000002"}
        watches = {
            uuid: Watch(Guest(uuid, name, Channel.OPEN, 10, 1), "i1", 0.0, 0.0, HEALTHY, armed=True, answered=1.0)
            for uuid, name in names.items()
        }  # fmt: skip
        nova = Discrepancies(MemoryLedger(), lambda: NOW, dict, print, print, watches)
        ill = Diagnoses(MemoryLedger(), lambda: NOW, dict, print, print, watches)
        self.guests = SimpleNamespace(
            watches=watches, choices=Choices(), discrepancies=nova, timing=lambda uuid, usual: usual, diagnoses=ill
        )
        self.ward = SimpleNamespace(account=self.account, known=lambda uuid: self.account(uuid).known)
        self.schedule, self.timing = Schedule(10, 4, 4), Timing(10, 5, 15, 60)
        self.link, self.link_since, self.given = "", 0.0, []

    def account(self, uuid):
        return Account([Known(APP, self.guests.diagnoses.patients.get(uuid))], "", "", None)

    def call(self, function):
        return function()


@pytest.fixture
def owner():
    return Owner()


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(str(tmp_path / "state"))
    yield ledger
    ledger.close()


@pytest.fixture
def ask(owner, ledger):
    reporting = SimpleNamespace(state="ok", hostname=SimpleNamespace(name="compute-1"), status=list, lost=["g1"])
    node = Node(
        lambda: "node-1", lambda: Budget(3, 3600.0), lambda _: Fitness(True, stretch=2.0), owner.given.append,
        lambda: NOW,
    )  # fmt: skip
    known = handlers(owner, ledger, reporting, node)

    def ask(do: str, **request):
        return json.loads(json.dumps(known[do]({"do": do, **request}), allow_nan=False))

    return ask


def hold(ask, **changes):
    usual = {"scope": FIRST, "seconds": 7200, "reason": "Windows updates", "owner": "alice"}
    return ask("hold", **{**usual, **changes})


def test_a_hold_is_in_the_ledger_and_known_to_the_owner_loop(ask, owner, ledger):
    made = hold(ask)
    assert made["here"] is True
    assert made["hold"] == {
        "id": 1, "scope": FIRST, "owner": "alice", "reason": "Windows updates", "begun": NOW,
        "until": "2026-11-20T07:00:00.000000+00:00",
    }  # fmt: skip
    assert owner.given[-1] == ledger.holds(NOW)
    assert [it._asdict() for it in ledger.holds(NOW)] == ask("status")["holds"] == [made["hold"]]


@pytest.mark.parametrize(("word", "scope"), [
    (FIRST.upper(), FIRST), (FIRST.replace("-", ""), FIRST), ("instance-00000002", SECOND), ("all", "all"),
])  # fmt: skip
def test_a_scope_is_all_or_a_guest_however_it_is_named(ask, word, scope):
    assert hold(ask, scope=word)["hold"]["scope"] == scope


def test_a_guest_that_is_still_to_arrive_can_be_held_and_that_is_said(ask):
    assert hold(ask, scope=STRANGER)["here"] is False
    assert ask("release", scope=STRANGER[:4])["scope"] == STRANGER, "and released by the beginning of its uuid"


@pytest.mark.parametrize(("word", "why"), [
    ("25efc0bf", "may be 2 guests: 25efc0bf-1659-4c83-b4e6-4e0e6d0f0b01, 25efc0bf"), ("25e", "no guest of this node"),
    ("", "no guest"), ("\x1b[2J", r"\\x1b\[2J is no guest"), ("x" * 1001, "at most 1000"), (5, "text"), (None, "text"),
])  # fmt: skip
def test_a_scope_that_names_no_single_guest_is_refused(ask, ledger, word, why):
    with pytest.raises(Refused, match=why):
        hold(ask, scope=word)
    assert ledger.holds(NOW) == []


@pytest.mark.parametrize("seconds", [0, -5, 30 * 86400 + 1, True, "2h", None, float("nan"), float("inf")])
def test_a_hold_without_a_proper_end_is_refused(ask, seconds):
    with pytest.raises(Refused, match="give --for with 1 second to 30 days, such as 30m, 2h or 1d"):
        hold(ask, seconds=seconds)


@pytest.mark.parametrize("reason", ["", "   ", "a\x1b[2J", "two\nlines", "ümlaut", "x" * 201])
def test_a_hold_without_a_proper_reason_is_refused(ask, reason):
    with pytest.raises(Refused, match="give --reason with 1 to 200 plain ASCII"):
        hold(ask, reason=reason)


def test_an_owner_is_never_missing_nor_strange(ask):
    assert hold(ask, owner="")["hold"]["owner"] == "root"
    assert hold(ask, owner="\x1b[2J" + "x" * 500)["hold"]["owner"].startswith("\\x1b[2Jxxx")


def test_a_script_gone_astray_does_not_fill_the_ledger(ask, ledger, monkeypatch):
    monkeypatch.setattr("heartbeat.requests.MOST_HOLDS", 2)
    for scope in (FIRST, SECOND):
        hold(ask, scope=scope)
    with pytest.raises(Refused, match="2 holds already; release some, or hold all"):
        hold(ask, scope="all")


def test_a_release_tells_whose_holds_ended_and_what_still_holds(ask, owner):
    hold(ask, owner="alice")
    hold(ask, owner="bob")
    hold(ask, scope="all")
    reply = ask("release", scope="instance-00000001")
    assert [it["owner"] for it in reply["released"]] == ["alice", "bob"]
    assert [it["scope"] for it in reply["holds"]] == ["all"]
    assert [it.scope for it in owner.given[-1]] == ["all"]
    assert ask("release", scope=FIRST)["released"] == []


def test_why_tells_of_a_guest_by_any_of_its_names(ask, owner):
    owner.schedule.add(FIRST, 0.0)
    hold(ask)
    for word in (FIRST, "instance-00000001"):
        found = ask("why", uuid=word)
        assert (found["uuid"], found["state"]) == (FIRST, "healthy")
        assert any("Windows updates" in line for line in found["lines"])
        assert found["budget"] == {"recoveries": 3, "window": 3600.0, "in_flight": 50, "used": 0}
        assert any("is asked again" in line for line in found["lines"])


def test_why_of_a_guest_that_is_not_here_names_where_its_past_is(ask):
    with pytest.raises(Refused, match=f"not on this node; masakari-qga incidents --guest {STRANGER}"):
        ask("why", uuid=STRANGER)


def test_why_counts_what_the_budget_counts_and_shows_the_open_incidents_reports(ask, owner, ledger):
    owed = {RECOVER: ["masakari"]}
    incident = ledger.apply([Open(FIRST, "vm", "i1", HUNG, RECOVER, "{}")], NOW, owed)[0]
    ledger.attempt(1)
    ledger.delivered(1, NOW, "ref")
    ledger.apply([Open(SECOND, "vm", "i1", HUNG, RECOVER, "{}")], NOW, owed)
    owner.guests.watches[FIRST] = owner.guests.watches[FIRST]._replace(state=HUNG, incident=incident)
    found = ask("why", uuid=FIRST)
    assert found["budget"]["used"] == 1
    assert [it["status"] for it in found["incident"]["deliveries"]] == ["delivered"]


def test_incidents_are_listed_here_or_not_bounded_and_by_guest(ask, ledger):
    for number, uuid in enumerate((FIRST, STRANGER)):
        ledger.apply([Open(uuid, "vm", "i1", HUNG, RECOVER, "{}")], NOW, {RECOVER: ["masakari"]})
        ledger.apply([Close(number + 1, "answers again")], NOW, {})
    assert [it["uuid"] for it in ask("incidents")["incidents"]] == [STRANGER, FIRST]
    assert [it["uuid"] for it in ask("incidents", limit=1)["incidents"]] == [STRANGER]
    [one] = ask("incidents", uuid=FIRST[:-1])["incidents"]
    assert (one["verdict"], one["why"], one["closed"]) == (HUNG, "answers again", NOW)
    assert one["deliveries"][0]["status"] == "expired"
    for limit in (0, 1001, "5", None):
        with pytest.raises(Refused, match="give a number from 1 to 1000"):
            ask("incidents", limit=limit)


def test_a_ledger_that_fails_says_what_to_do(ask, ledger):
    ledger.close()
    with pytest.raises(Refused, match=r"ledger .*; check the disk"):
        ask("incidents")


def test_status_says_how_fit_we_are(ask):
    assert ask("status")["fitness"] == {"able": True, "why": "", "stretch": 2.0}


def test_status_and_why_say_how_a_guest_is_by_its_checks(ask, owner):
    assert ask("status")["guests"][0]["checks"] == [], "one without checks"
    owner.guests.diagnoses.patients[FIRST] = Condition(Status.UNHEALTHY, "no database", 0.0, 0.0, 0.25, 2, 0.0)
    ill, well = ask("status")["guests"]
    [check] = ill["checks"]
    assert {**check, "since": "", "at": ""} == {
        "name": "app", "status": "unhealthy", "since": "", "at": "", "text": "no database", "took": 0.25,
        "failures": 2, "failed": False,
    }  # fmt: skip
    assert check["since"].endswith("+00:00")
    assert (well["checks"], well["unhealthy"], ask("status")["checks"]) == ([], None, {"held": None})
    found = ask("why", uuid=FIRST)
    assert found["checks"] == [{**check, "since": found["checks"][0]["since"], "at": found["checks"][0]["at"]}]
    [line] = [line for line in found["lines"] if line.startswith("check ")]
    assert "app: unhealthy for" in line
    assert line.endswith("2 of 3 failures, at most recover: no database")
