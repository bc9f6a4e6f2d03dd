"""Vitrage, Mistral and a webhook: what arrives, what a repetition does, and what becomes of trouble."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from heartbeat.backends import CLEARED, Delivered, Later, Report
from heartbeat.backends.mistral import Mistral
from heartbeat.backends.vitrage import Vitrage
from heartbeat.backends.webhook import Webhook, signature
from heartbeat.incident import AGENT_SILENT, HUNG, QEMU_DIED, RECORD, RECOVER, UNHEALTHY
from tests.harness.credentials import sender_options
from tests.harness.endpoint import Endpoint, Fault
from tests.harness.receivers import KEY

GUEST = "25efc0bf-1659-4c83-b4e6-4e0e6d0f0b01"
OPENED, CLOSED = "2026-11-20T05:00:00.123456+00:00", "2026-11-20T05:03:00+00:00"
REPORT = Report(
    7, GUEST, HUNG, OPENED, "compute1", False, name="instance-00000001", opened=OPENED,
    evidence='{"silent":16.2,"kernel":"still"}',
)  # fmt: skip
OVER = REPORT._replace(kind=CLEARED, generated_time=CLOSED, closed=CLOSED, why="answers again")
HOSTILE = "\x1b[31m'; $(reboot) \u202e\n" + "x" * 5000


@pytest.fixture
def endpoint():
    with Endpoint(hosts=("compute1",)) as endpoint:
        yield endpoint


@pytest.fixture
def options(endpoint):
    return sender_options(endpoint.auth_url, 6, workflow="masakari_qga", url=endpoint.url + "/hook", key=KEY)


@pytest.fixture
def make(options):
    """Makes a backend of a kind, with other options."""
    made = []

    def backend(kind, **changes):
        made.append(kind({**options, **changes}))
        return made[-1]

    yield backend
    for it in made:
        if isinstance(it, Webhook):
            it._http.close()
        elif it._service.session:
            it._service.session.session.close()


KINDS = {"vitrage": Vitrage, "mistral": Mistral, "webhook": Webhook}
every = pytest.mark.parametrize("name", KINDS)
with_keystone = pytest.mark.parametrize("name", ["vitrage", "mistral"])


def said(endpoint, name: str) -> list:
    return [json.loads(attempt.body) for attempt in endpoint.received[name]]


def test_an_alarm_is_raised_on_the_guest_and_cleared(make, endpoint):
    vitrage = make(Vitrage)
    assert vitrage.deliver(REPORT) == Delivered("")
    assert endpoint.receiver("vitrage").alarms == {("QgaHung", GUEST): "firing"}
    assert vitrage.deliver(OVER) == Delivered("")
    assert endpoint.receiver("vitrage").alarms == {("QgaHung", GUEST): "resolved"}
    first, second = said(endpoint, "vitrage")
    assert first == {
        "time": "2026-11-20T05:00:00.123456",
        "type": "prometheus.alarm",
        "details": {"status": "firing", "alerts": [{
            "status": "firing",
            "labels": {"alertname": "QgaHung", "severity": "critical", "instance_uuid": GUEST, "host": "compute1"},
            "annotations": {"title": f"Guest {GUEST}: hung", "description": "instance-00000001 on compute1, recover"},
            "startsAt": "2026-11-20T05:00:00.123456Z",
            "endsAt": "0001-01-01T00:00:00Z",
        }]},
    }  # fmt: skip
    assert second["time"] == "2026-11-20T05:03:00.000000"
    assert second["details"]["alerts"][0]["endsAt"] == "2026-11-20T05:03:00.000000Z"


def test_an_alarm_of_what_is_only_recorded_is_a_warning(make, endpoint):
    make(Vitrage).deliver(REPORT._replace(verdict=AGENT_SILENT, action=RECORD))
    assert said(endpoint, "vitrage")[0]["details"]["alerts"][0]["labels"]["severity"] == "warning"
    assert list(endpoint.receiver("vitrage").alarms) == [("QgaAgentSilent", GUEST)]


def test_what_an_application_says_travels_with_the_alarm_and_nothing_that_a_terminal_obeys(make, endpoint):
    found = {"check": "web", "status": "unhealthy", "text": "no quorum\x1b[2J", "failures": 3, "seconds": 60}
    evidence = json.dumps(found)
    report = REPORT._replace(verdict=UNHEALTHY, evidence=evidence)
    for kind in (Vitrage, Webhook):
        make(kind).deliver(report)
    assert list(endpoint.receiver("vitrage").alarms) == [("QgaUnhealthy", GUEST)]
    [alert] = said(endpoint, "vitrage")[0]["details"]["alerts"]
    told = "instance-00000001 on compute1, recover; check web: unhealthy: no quorum\\x1b[2J"
    assert alert["annotations"]["description"] == told
    assert said(endpoint, "webhook")[0]["evidence"] == {**found, "text": "no quorum\\x1b[2J"}
    make(Vitrage).deliver(report._replace(evidence="{"))
    assert "check" not in said(endpoint, "vitrage")[1]["details"]["alerts"][0]["annotations"]["description"]


def test_a_time_without_a_fraction_is_written_with_one_since_vitrage_drops_it_otherwise(make, endpoint):
    make(Vitrage).deliver(REPORT._replace(opened="2026-11-20T14:00:00+09:00"))
    assert said(endpoint, "vitrage")[0]["time"] == "2026-11-20T05:00:00.000000"
    assert endpoint.receiver("vitrage").history == [("QgaHung", GUEST, "firing")]


def test_a_workflow_is_executed_with_what_it_declares(make, endpoint):
    assert make(Mistral).deliver(REPORT) == Delivered(REPORT.key)
    assert said(endpoint, "mistral") == [{
        "id": REPORT.key,
        "workflow_name": "masakari_qga",
        "input": {
            "instance_uuid": GUEST, "host": "compute1", "verdict": "hung", "action": "recover", "opened": OPENED,
            "evidence": '{"silent": 16.2, "kernel": "still"}',
        },
        "description": f"masakari-qga: guest {GUEST} hung (recover)",
    }]  # fmt: skip


def test_a_document_is_posted_that_the_receiver_can_verify(make, endpoint):
    assert make(Webhook).deliver(REPORT) == Delivered("")
    assert endpoint.receiver("webhook").acted == [{
        "version": 1, "id": REPORT.key, "event": "failed", "incident": 7,
        "guest": {"uuid": GUEST, "name": "instance-00000001"}, "host": "compute1", "verdict": "hung",
        "action": "recover", "opened": OPENED, "evidence": {"silent": 16.2, "kernel": "still"},
    }]  # fmt: skip
    make(Webhook).deliver(OVER)
    assert endpoint.receiver("webhook").acted[1]["cleared"] == {"at": CLOSED, "why": "answers again"}
    assert endpoint.receiver("webhook").acted[1]["id"] == OVER.key != REPORT.key


def test_a_signature_is_that_of_the_standard_webhooks_specification():
    """The specification's own example."""
    key, content = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    made = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", content)
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_signature_made_with_another_key_is_refused_and_both_remedies_named(make, endpoint):
    outcome = make(Webhook, key="another key of sixteen").deliver(REPORT)
    assert endpoint.receiver("webhook").acted == []
    assert outcome == Later(
        "the webhook answers 401 'bad signature'; check that webhook.key is the receiver's, and the clock of this node",
        60.0, whole=True,
    )  # fmt: skip


def test_a_later_attempt_has_a_new_stamp_and_the_same_id_and_body(options, endpoint):
    now = [datetime(2026, 11, 20, 5, 0, 10, tzinfo=timezone.utc)]
    endpoint.receiver("webhook").clock = lambda: max(now).timestamp()
    webhook = Webhook(options, lambda: now[-1])
    webhook.deliver(REPORT)
    now.append(now[0] + timedelta(hours=1))
    assert webhook.deliver(REPORT._replace(resend=True)) == Delivered("")
    webhook._http.close()
    first, second = endpoint.received["webhook"]
    assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    assert len(endpoint.receiver("webhook").acted) == 1


@pytest.mark.parametrize(("options_", "remedy"), [
    ({"url": ""}, "set webhook.url"), ({"url": "file:///etc/shadow"}, "set webhook.url"),
    ({"key": ""}, "set webhook.key to at least 16"), ({"key": "short"}, "set webhook.key to at least 16"),
    ({"key": "whsec_this is not base64"}, "not base64"),
])  # fmt: skip
def test_a_webhook_without_address_or_key_sends_nothing_and_says_what_to_set(make, endpoint, options_, remedy):
    webhook = make(Webhook, **options_)
    assert remedy in webhook.prepare().reason
    assert remedy in webhook.deliver(REPORT).reason
    assert endpoint.received["webhook"] == []


@every
def test_two_attempts_of_one_report_are_one_request_and_two_reports_are_two(make, endpoint, name):
    backend = make(KINDS[name])
    for report in (REPORT, REPORT._replace(resend=True), REPORT._replace(verdict=QEMU_DIED)):
        assert isinstance(backend.deliver(report), Delivered)
    bodies = [attempt.body for attempt in endpoint.received[name]]
    assert bodies[0] == bodies[1] != bodies[2]


def test_an_execution_that_was_started_is_not_started_again(make, endpoint):
    endpoint.fail(Fault.HANG_AFTER_STORING, on="mistral")
    assert make(Mistral, timeout=0.3).deliver(REPORT).uncertain
    assert make(Mistral).deliver(REPORT._replace(resend=True)) == Delivered(REPORT.key)
    assert list(endpoint.receiver("mistral").executions) == [REPORT.key]


def test_what_a_guest_is_called_reaches_nobody_raw_and_is_bounded(make, endpoint):
    report = REPORT._replace(name=HOSTILE, evidence=json.dumps({"reason": HOSTILE, HOSTILE: 1}))
    for kind in KINDS.values():
        assert isinstance(make(kind).deliver(report), Delivered)
    for name in KINDS:
        body = endpoint.received[name][0].body
        assert len(body) < 2000
        assert not {0x1B, 0x0A} & set(body)
        assert body.isascii()
        assert "\\u202e" not in body.decode().replace("\\\\u202e", "")


@pytest.mark.parametrize("evidence", ["", "null", "[]", '{"a": ', "[" * 5000])
def test_evidence_that_is_no_record_is_left_out(evidence):
    assert REPORT._replace(evidence=evidence).document()["evidence"] == {}


def test_a_workflow_that_does_not_exist_is_named_with_the_remedy(make, endpoint):
    endpoint.receiver("mistral").workflows.clear()
    outcome = make(Mistral).deliver(REPORT)
    assert (outcome.after, outcome.uncertain, outcome.whole) == (60.0, False, True)
    assert outcome.reason.endswith("; create workflow 'masakari_qga', or share it with masakari.project_name, or set "
                                   "mistral.workflow")  # fmt: skip


def test_a_workflow_that_takes_other_inputs_is_named_with_the_remedy(make, endpoint):
    endpoint.receiver("mistral").workflows["masakari_qga"] = {"instance_uuid"}
    outcome = make(Mistral).deliver(REPORT)
    assert outcome.whole
    assert "must take the inputs of docs/backends/mistral_workflow.yaml" in outcome.reason


@with_keystone
def test_a_revoked_token_costs_a_second_login_and_no_report(make, endpoint, name):
    backend = make(KINDS[name])
    backend.prepare()
    endpoint.revoke()
    assert isinstance(backend.deliver(REPORT), Delivered)
    assert (endpoint.logins, len(endpoint.received[name])) == (2, 2)


@with_keystone
def test_a_service_that_is_not_in_the_catalogue_is_named(make, endpoint, name):
    for path in [path for path, it in endpoint.receivers.items() if it.name == name]:
        endpoint.receivers[path].kind = ""
    try:
        outcome = make(KINDS[name]).prepare()
    finally:
        endpoint.receiver(name).kind = type(endpoint.receiver(name)).kind
    assert (outcome.after, outcome.whole) == (60.0, True)
    assert f"or set {name}.endpoint" in outcome.reason


@every
@pytest.mark.parametrize("status", [500, 502, 503])
def test_an_error_of_the_server_may_have_come_after_it_took_the_report(make, endpoint, name, status):
    endpoint.fail(status, on=name)
    outcome = make(KINDS[name]).deliver(REPORT)
    assert (outcome.after, outcome.uncertain, outcome.whole) == (None, True, True)
    assert outcome.reason.endswith(f" answers {status}")


@every
@pytest.mark.parametrize("status", [301, 400, 403, 404, 405, 406, 413])
def test_what_the_server_refuses_did_not_arrive_but_for_a_404_of_vitrage(make, endpoint, name, status):
    endpoint.fail(status, times=2, on=name)
    outcome = make(KINDS[name]).deliver(REPORT)
    assert (outcome.after, outcome.uncertain) == (60.0, (name, status) == ("vitrage", 404))
    assert f" answers {status}" in outcome.reason


@every
@pytest.mark.parametrize("fault", [Fault.HTML, Fault.NOT_FOUND_PAGE], ids=["login page", "404 page"])
def test_a_page_for_people_is_no_acceptance(make, endpoint, name, fault):
    endpoint.fail(fault, on=name)
    outcome = make(KINDS[name]).deliver(REPORT)
    assert outcome.whole
    assert "check " in outcome.reason


@every
@pytest.mark.parametrize("fault", [
    Fault.HANG, Fault.HANG_AFTER_STORING, Fault.RESET, Fault.RESET_AFTER_STORING, Fault.HALF_CLOSED, Fault.CUT,
])  # fmt: skip
def test_a_connection_that_breaks_after_the_request_leaves_open_whether_it_arrived(make, endpoint, name, fault):
    endpoint.fail(fault, on=name)
    outcome = make(KINDS[name], timeout=0.5).deliver(REPORT)
    assert (outcome.uncertain, outcome.whole) == (True, True)
    assert " does not answer: " in outcome.reason


@every
def test_a_name_that_does_not_resolve_is_surely_not_delivered(make, endpoint, name):
    backend = make(KINDS[name], url="http://nowhere.invalid/", endpoint="http://nowhere.invalid/")
    outcome = backend.deliver(REPORT)
    assert (outcome.uncertain, outcome.whole) == (False, True)
    assert "cannot be reached" in outcome.reason


def test_recovery_and_record_are_told_apart_by_every_receiver(make, endpoint):
    for action in (RECOVER, RECORD):
        for kind in KINDS.values():
            make(kind).deliver(REPORT._replace(action=action))
    for name in KINDS:
        first, second = said(endpoint, name)
        assert first != second
