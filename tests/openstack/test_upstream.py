"""What the real Mistral and the real Vitrage make of our reports. Keystone is ours: they are not asked about it."""
from __future__ import annotations

import json

import pytest

from heartbeat.backends import CLEARED, Delivered, Report
from heartbeat.backends.mistral import Mistral
from heartbeat.backends.vitrage import Vitrage, alarm
from heartbeat.incident import AGENT_SILENT, HUNG, RECORD
from heartbeat.settings import VERDICTS
from tests.harness import upstream
from tests.harness.credentials import sender_options
from tests.harness.endpoint import Endpoint
from tests.harness.wait import until

GUESTS = tuple(f"25efc0bf-1659-4c83-b4e6-{number:012}" for number in range(len(VERDICTS) + 1))
OPENED, CLOSED = "2026-11-20T05:00:00.123456+00:00", "2026-11-20T05:03:00+00:00"
HOSTILE = "\x1b[31m'; $(reboot) <% $.x %> \u202e\n" + "x" * 5000


def report(guest: int = 0, verdict: str = HUNG, **about: object) -> Report:
    made = Report(7, GUESTS[guest], verdict, OPENED, "compute1", False, name="instance-00000001", opened=OPENED,
                  evidence='{"silent":16.2,"kernel":"still"}')
    return made._replace(**about)


def over(it: Report) -> Report:
    return it._replace(kind=CLEARED, generated_time=CLOSED, closed=CLOSED, why="answers again")


@pytest.fixture(scope="module")
def mistral(tmp_path_factory):
    with upstream.Mistral(tmp_path_factory.mktemp("mistral")) as it:
        assert it.create((upstream.EXAMPLES / "mistral_workflow.yaml").read_text()).status_code == 201
        yield it


@pytest.fixture(scope="module")
def vitrage(tmp_path_factory):
    with upstream.Vitrage(tmp_path_factory.mktemp("vitrage"), GUESTS[:-1]) as it:
        yield it


@pytest.fixture(scope="module")
def options():
    with Endpoint() as keystone:
        yield sender_options(keystone.auth_url, 30, workflow="masakari_qga")


@pytest.fixture
def to_mistral(mistral, options):
    yield from _backend(Mistral, {**options, "endpoint": mistral.url + "/v2"})


@pytest.fixture
def to_vitrage(vitrage, options):
    yield from _backend(Vitrage, {**options, "endpoint": vitrage.url})


def _backend(kind, options):
    backend = kind(options)
    yield backend
    backend._service.session.session.close()


def test_the_example_workflow_is_executed_and_sees_what_we_say(mistral, to_mistral):
    it = report()
    assert to_mistral.deliver(it) == Delivered(it.key)
    ended = mistral.ended(it.key)
    assert (ended["state"], ended["workflow_name"]) == ("SUCCESS", "masakari_qga")
    assert json.loads(ended["input"])["evidence"] == '{"silent": 16.2, "kernel": "still"}'
    assert json.loads(ended["output"])["done"] == f"guest {GUESTS[0]} on compute1 is to be recovered, hung"


def test_the_example_workflow_acts_on_nothing_that_is_only_recorded(mistral, to_mistral):
    it = report(1, AGENT_SILENT, action=RECORD)
    to_mistral.deliver(it)
    assert json.loads(mistral.ended(it.key)["output"])["done"].endswith("was recorded as agent-silent")


def test_the_same_report_is_one_execution_however_often_it_is_sent(mistral, to_mistral):
    it = report(2)
    for _ in range(3):
        assert to_mistral.deliver(it) == Delivered(it.key)
    mistral.ended(it.key)
    assert to_mistral.deliver(it._replace(resend=True)) == Delivered(it.key), "also when it has ended"
    assert [number for number in mistral.executions() if number == it.key] == [it.key]


def test_what_a_guest_is_called_is_no_expression_to_mistral(mistral, to_mistral):
    it = report(3, name=HOSTILE, evidence=json.dumps({"reason": HOSTILE}))
    assert to_mistral.deliver(it) == Delivered(it.key)
    assert mistral.ended(it.key)["state"] == "SUCCESS"


def test_a_workflow_that_is_not_there_is_named(to_mistral):
    to_mistral._service.options = {**to_mistral._service.options, "workflow": "nowhere"}
    outcome = to_mistral.deliver(report(4))
    assert (outcome.whole, outcome.uncertain, outcome.after) == (True, False, 60)
    assert "create workflow 'nowhere'" in outcome.reason


def test_a_workflow_with_other_inputs_is_named(mistral, to_mistral):
    mistral.create("version: '2.0'\nother:\n  input: [instance_uuid]\n  tasks:\n    x:\n      action: std.noop\n")
    to_mistral._service.options = {**to_mistral._service.options, "workflow": "other"}
    outcome = to_mistral.deliver(report(4))
    assert (outcome.whole, outcome.uncertain) == (True, False)
    assert "workflow 'other' must take the inputs of docs/backends/mistral_workflow.yaml" in outcome.reason


def test_an_alarm_is_on_the_guest_and_on_no_other_until_it_is_cleared(vitrage, to_vitrage):
    for guest in (0, 1):
        assert to_vitrage.deliver(report(guest)) == Delivered("")
    both = [("QgaHung", (GUESTS[guest],), "critical") for guest in (0, 1)]
    until(lambda: vitrage.alarms() == both, "both alarms", 60)
    to_vitrage.deliver(over(report(0)))
    until(lambda: vitrage.alarms() == both[1:], "one alarm", 60)
    to_vitrage.deliver(over(report(1)))
    until(lambda: vitrage.alarms() == [], "no alarm", 60)


def test_the_mapping_that_we_ship_puts_every_verdict_on_its_guest(vitrage, to_vitrage):
    names = [name for name, *_ in VERDICTS]
    for guest, name in enumerate(names):
        to_vitrage.deliver(report(guest, name, action=RECORD))
    expected = sorted((alarm(name), (GUESTS[guest],), "warning") for guest, name in enumerate(names))
    until(lambda: vitrage.alarms() == expected, "an alarm on each", 60)
    for guest, name in enumerate(names):
        to_vitrage.deliver(over(report(guest, name, action=RECORD)))
    until(lambda: vitrage.alarms() == [], "no alarm", 60)


def test_the_same_alarm_twice_is_one_and_clearing_it_twice_does_no_harm(vitrage, to_vitrage):
    for _ in range(3):
        to_vitrage.deliver(report(5))
    until(lambda: len(vitrage.alarms()) == 1, "the alarm", 60)
    for _ in range(2):
        to_vitrage.deliver(over(report(5)))
    until(lambda: vitrage.alarms() == [], "no alarm", 60)


def test_clearing_what_was_never_raised_raises_nothing(vitrage, to_vitrage):
    assert to_vitrage.deliver(over(report(6))) == Delivered("")
    to_vitrage.deliver(report(5))
    until(vitrage.alarms, "the next alarm", 60)
    assert vitrage.alarms() == [("QgaHung", (GUESTS[5],), "critical")]
    to_vitrage.deliver(over(report(5)))
    until(lambda: vitrage.alarms() == [], "no alarm", 60)


def test_a_guest_that_fails_again_has_its_alarm_again(vitrage, to_vitrage):
    first, again = report(4), report(4, opened="2026-11-20T06:00:00+00:00")
    for raised in (first, again):
        to_vitrage.deliver(raised)
        until(lambda: len(vitrage.alarms()) == 1, "the alarm", 60)
        to_vitrage.deliver(over(raised))
        until(lambda: vitrage.alarms() == [], "no alarm", 60)


def test_an_alarm_on_a_guest_that_vitrage_does_not_know_is_on_nothing(vitrage, to_vitrage):
    assert to_vitrage.deliver(report(-1)) == Delivered("")
    until(lambda: [on for _, on, _ in vitrage.alarms()] == [()], "the alarm", 60)
    to_vitrage.deliver(over(report(-1)))
    until(lambda: vitrage.alarms() == [], "no alarm", 60)
