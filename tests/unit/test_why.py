"""Why a guest is judged or not: every number that an operator would ask for at night, and what comes next."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from heartbeat.alarm import NEVER
from heartbeat.budget import Budget
from heartbeat.guest import Channel, Guest
from heartbeat.holds import GRACE, JOB, begin
from heartbeat.incident import (
    AGENT_DOWN,
    HUNG,
    IO_ERROR,
    OBSERVED,
    QEMU_DIED,
    RECORD,
    RECOVER,
    SUSPENDED,
    Incident,
)
from heartbeat.manual import ALL, ManualHold
from heartbeat.outlook import Case, span
from heartbeat.patience import Estimate
from heartbeat.records import DELIVERED, PENDING, Fate
from heartbeat.watch import HEALTHY, PAUSED, SUSPECT, UNKNOWN, UNMONITORED, WAITING, Fitness, Timing, Watch
from heartbeat.why import explain
from heartbeat.witness import Sample, Slices

UUID = "25efc0bf-1659-4c83-b4e6-4e0e6d0f0b01"
GUEST = Guest(UUID, "instance-00000001", Channel.OPEN, 10, 2)
ABSENT = Guest(UUID, "instance-00000001", Channel.ABSENT, 10, 2)
TIMING = Timing(interval=10, timeout=5, silence=15, agent_down=60)
NOW = 1000.0
FIRST = Sample(990.0, 5000.0, True, 4992, 70, 30, {41: Slices(10**9, 0, 100), 42: Slices(0, 0, 0)}, "S")
LAST = Sample(997.0, 5007.0, True, 4992, 70, 42, {41: Slices(15 * 10**8, 7 * 10**8, 114), 42: Slices(0, 0, 0)}, "S")
OPEN = Incident(7, UUID, "instance-00000001", "i1", HUNG, RECOVER, "2026-11-20T05:00:00.000000+00:00", '{"silent":16}')


def date(at: float) -> str:
    return (datetime(2026, 11, 20, tzinfo=timezone.utc) + timedelta(seconds=at)).isoformat(timespec="seconds")


def watch(**changes) -> Watch:
    return Watch(GUEST, "i1", 900.0, 500.0, armed=True, answered=985.0)._replace(**changes)


def suspect(**changes) -> Watch:
    known = {"state": SUSPECT, "since": 991.0, "silent_from": 988.0, "silences": 2, "first": FIRST, "last": LAST}
    return watch(**{**known, **changes})


def case(it: Watch, **changes) -> Case:
    usual = Case(it, NOW, date, TIMING, Fitness(True), 1003.0, (), Budget(3, 3600), 1, ())
    return usual._replace(**changes)


def told(it: Watch, **changes) -> str:
    found = explain(case(it, **changes))
    json.dumps(found, allow_nan=False)
    return "\n".join(found["lines"])


def after(it: Watch, **changes) -> list[str]:
    return explain(case(it, **changes))["next"]


def test_a_guest_that_answers_needs_no_witness():
    text = told(watch(state=HEALTHY))
    assert "state     healthy for 100 s, since 2026-11-20T00:15:00+00:00\n" in text
    assert "rule      a guest that answers needs no witness\n" in text
    assert "agent     answered 15 s ago\n" in text
    assert "witnesses not called" in text
    assert "fitness   fit to judge\n" in text
    assert "budget    1 of 3 recoveries within 60 min used\n" in text
    assert text.endswith("next      is asked again in 3 s")


def test_each_witness_is_shown_with_its_numbers():
    text = told(suspect())
    assert "agent     answered 15 s ago, silent for 12 s, 2 questions unanswered\n" in text
    assert "qemu      process state S, monitor answered, looked at 3.0 s ago\n" in text
    assert "kernel    unsure: its balloon stamp is 15.0 s old, every 10 s, and did not advance in 7.0 s\n" in text
    assert "disk      still: 0 requests begun in 7.0 s\n" in text
    assert "net       moving: 12 packets sent in 7.0 s\n" in text
    assert "vcpu      working over 7.0 s, 2 threads\n" in text
    assert "thread 41: ran 7.1%, waited 10.0%, 2.0 slices/s, state S\n" in text
    assert "thread 42: ran 0.0%, waited 0.0%, 0.0 slices/s, state S\n" in text


def test_a_program_gets_the_same_numbers():
    found = explain(case(suspect()))
    assert found["witnesses"]["kernel"] == {"says": "unsure", "age": 15.0, "advanced": False, "period": 10}
    assert found["witnesses"]["vcpu"]["threads"]["41"] == {"ran": 0.0714, "waited": 0.1, "slices": 2.0, "state": "S"}
    assert found["agent"] == {"answered": 15.0, "silent": 12.0, "unanswered": 2, "out": None, "usual": None,
                              "unreachable": None}


def test_a_stamp_that_advanced_says_so():
    moved = Sample(997.0, 5007.0, True, 5002, 70, 30, LAST.cpus, "S")
    assert "kernel    moving: its balloon stamp is 5.0 s old, every 10 s, and advanced in 7.0 s\n" in told(
        suspect(last=moved)
    )


def test_one_look_is_nothing_to_compare():
    assert "witnesses looked at once: nothing to compare yet\n" in told(suspect(first=LAST))


def test_a_monitor_that_was_not_heard_is_no_zero():
    deaf = Sample(997.0, 5007.0, False, 0, 0, 0, LAST.cpus, "D", stuck=True, job="backup")
    text = told(suspect(last=deaf))
    assert "qemu      process state D, monitor stuck, job: backup, looked at 3.0 s ago\n" in text
    assert "disk      unsure: QEMU's monitor: stuck\n" in text
    assert "requests" not in text.split("rule")[1].split("agent")[0]


def test_a_guest_with_very_many_cpus_does_not_fill_the_screen():
    cpus = {number: Slices(0, 0, 0) for number in range(500)}
    two = [Sample(at, 0.0, True, 0, 0, 0, cpus, "S") for at in (990.0, 997.0)]
    text = told(suspect(first=two[0], last=two[1]))
    assert text.count("thread ") == 16
    assert "and 484 more threads" in text


def test_a_suspect_is_told_when_it_counts_as_hung():
    assert after(suspect()) == [
        "is looked at in 2 s", "counts as hung in 3 s if nothing moves", "is asked again in 3 s"
    ]  # fmt: skip
    assert "rule      hung takes 15 s of silence in which every other witness is still too\n" in told(
        suspect()
    )
    assert "counts as hung in 3 s if nothing moves and one more question stays unanswered" in after(
        suspect(silences=1, guest=GUEST._replace(balloon_period=0))
    )
    assert "counts as hung in 3 s if nothing moves" in after(suspect(silences=1))


def test_it_says_how_quickly_the_guest_answers_usually():
    assert "agent     answered 15 s ago, usually within 4 ms, " in told(suspect(answers=Estimate(0.0041, 0.002)))


def test_stretched_times_are_stretched_here_too():
    slow = Fitness(True, stretch=3.0)
    assert "counts as hung in 33 s if nothing moves" in after(suspect(), fitness=slow)
    assert "hung takes 45 s of silence" in told(suspect(), fitness=slow)
    assert "fitness   fit to judge, every time of silence x 3\n" in told(suspect(), fitness=slow)


def test_past_the_time_it_is_the_next_look_that_decides():
    late = suspect(silent_from=970.0)
    assert "counts as hung in 2 s if nothing moves" in after(late)
    assert "counts as hung now if nothing moves" in after(late._replace(looking=True))


def test_nobody_is_announced_as_hung_while_nobody_is_judged():
    unfit = Fitness(False, "libvirt: no answer for 20 s")
    assert not [text for text in after(suspect(), fitness=unfit) if "hung" in text]
    text = told(suspect(), fitness=unfit)
    assert "rule      nobody is judged while we cannot: libvirt: no answer for 20 s\n" in text
    assert "fitness   cannot judge: libvirt: no answer for 20 s\n" in text
    held = suspect(holds=begin((), JOB, "libvirt's job: backup", 950.0))
    assert not [text for text in after(held) if "hung" in text]


def test_holds_are_shown_with_age_and_ceiling():
    holds = begin(begin((), JOB, "libvirt's job: backup", 950.0), GRACE, "resumed", 990.0, 30)
    text = told(suspect(holds=holds))
    assert "rule      not judged while this holds: libvirt's job: backup, resumed\n" in text
    assert "hold      job, libvirt's job: backup: for 50 s, ceiling in 59 min\n" in text
    assert "hold      grace, resumed: for 10 s, ends in 20 s\n" in text
    assert "next      resumed: ends in 20 s\n" in text
    assert "libvirt's job: backup: warns in 59 min if it lasts" in text
    overdue = tuple(hold._replace(until=960.0) for hold in holds if hold.kind == JOB)
    assert "for 50 s, longer than its ceiling\n" in told(suspect(holds=overdue))


def test_holds_by_hand_and_of_the_cluster_are_shown_once():
    mine = ManualHold(1, ALL, "alice", "new switch", "2026-11-20T05:00:00", "2026-11-20T07:00:00")
    line = "held by alice until 2026-11-20T07:00:00Z: the whole node, new switch"
    assert told(watch(state=HEALTHY), manual=(mine,), fitness=Fitness(True, held=line)).count(line) == 1
    assert "hold      maintenance-mode\n" in told(watch(), fitness=Fitness(True, held="maintenance-mode"))


@pytest.mark.parametrize(
    ("fitness", "it", "until"),
    [
        (Fitness(False, "libvirt: away"), {}, "we can judge again (libvirt: away)"),
        (Fitness(True, held="maintenance-mode"), {}, "the hold ends (maintenance-mode)"),
        (Fitness(True), {"state": SUSPECT}, "it is hung again; now it is suspect"),
        (Fitness(True), {}, "masakari takes it (503)"),
    ],
)
def test_a_pending_report_says_for_what_it_waits(fitness, it, until):
    known = suspect(**{"state": HUNG, "detail": "agent silent, kernel still", "incident": OPEN, **it})
    fates = (Fate("masakari", PENDING, 2, "503", "", None),)
    assert after(known, fitness=fitness, fates=fates)[-1] == (
        f"incident 7 is reported to masakari as soon as {until}"
    )
    assert "report    masakari pending, 2 attempts: 503\n" in told(known, fitness=fitness, fates=fates)


def test_a_delivered_incident_says_how_it_ends():
    known = suspect(state=HUNG, detail="agent silent, kernel still", incident=OPEN)
    fates = (Fate("masakari", DELIVERED, 1, "", "ref", "2026"),)
    text = told(known, fates=fates)
    assert "rule      hung: agent silent, kernel still; action recover\n" in text
    assert 'incident  7, hung, recover, opened 2026-11-20T05:00:00Z, evidence {"silent":16}\n' in text
    assert "report    masakari delivered, 1 attempts\n" in text
    assert text.endswith("incident 7 ends when the agent answers, or the guest is started again or goes")


def test_a_recovery_that_nobody_delivers_is_no_secret():
    assert "reported to nobody" in told(suspect(state=HUNG, incident=OPEN))


@pytest.mark.parametrize(
    ("action", "changes", "why"),
    [
        (SUSPENDED, {}, "recovered too often already: needs a human"),
        (OBSERVED, {}, "recovery was wanted, but mode = observe"),
        (RECORD, {"armed": False}, "only recorded: it has not answered since it was started"),
        (RECOVER, {}, "action recover"),
    ],
)
def test_the_action_says_why_it_is_that_one(action, changes, why):
    incident = Incident(7, UUID, "vm", "i1", HUNG, action, "2026-11-20T05:00:00", "{}")
    assert f"; {why}\n" in told(suspect(state=HUNG, detail="x", incident=incident, **changes))


def test_a_spent_budget_says_that_a_human_is_needed():
    spent = told(watch(state=HEALTHY), fitness=Fitness(True, spent=True), used=3)
    assert "budget    3 of 3 recoveries within 60 min used; spent: needs a human\n" in spent


@pytest.mark.parametrize(
    ("it", "rule", "coming"),
    [
        (watch(state=UNKNOWN), "no data is no verdict", None),
        (watch(state=UNMONITORED, guest=ABSENT), "without an agent channel", None),
        (watch(state=WAITING, armed=False, answered=None), "until it has answered once",
         "counts as never-answered in 100 s"),
        (watch(state=PAUSED, running=False), "does not run", None),
        (watch(state=PAUSED, running=False, stalled=980.0), "paused by an I/O error", "counts as io-error in 40 s"),
        (watch(state=HEALTHY, closed_from=990.0), "cannot be reached", "counts as agent-down in 50 s"),
        (watch(state=AGENT_DOWN, detail="gone"), "agent-down: gone; action record", None),
        (watch(state=IO_ERROR, running=False, stalled=900.0, detail="x"), "io-error: x", None),
        (watch(state=QEMU_DIED, running=False, detail="x"), "qemu-died: x; action recover", None),
    ],
)  # fmt: skip
def test_every_state_has_its_rule_and_what_comes_next(it, rule, coming):
    found = explain(case(it, asked_at=NEVER))
    assert rule in found["rule"]
    assert [text[: len(coming or "")] for text in found["next"]] == ([coming] if coming else [])
    assert found["lines"][-1].startswith("next      ")


def test_a_name_with_control_characters_reaches_no_line_raw():
    evil = Guest(UUID, "\x1b[2J\r\nnext  all is well \u202e", Channel.OPEN, 10, 2)
    text = told(watch(guest=evil))
    assert text.isascii()
    assert text.replace("\n", "").isprintable()
    assert text.count("\nnext") == 1


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (119, "119 s"), (600, "10 min"), (86400, "24 h")])
def test_spans_are_for_people(seconds, text):
    assert span(seconds) == text
