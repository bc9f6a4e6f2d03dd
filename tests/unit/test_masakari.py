"""Reports to Masakari, through the real keystoneauth1, against an endpoint that keeps to Masakari's contract."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import subprocess
import threading
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from heartbeat.backends import Delivered, Later, Report
from heartbeat.backends.answers import seconds
from heartbeat.backends.masakari import Masakari
from heartbeat.incident import HUNG, QEMU_DIED, RECORD, RECOVER, UNHEALTHY
from tests.harness.credentials import sender_options
from tests.harness.endpoint import Endpoint, Fault

GUEST = "25efc0bf-1659-4c83-b4e6-4e0e6d0f0b01"
OPENED = datetime(2026, 11, 20, 5, 0, 0, 123456, timezone.utc)


@pytest.fixture
def endpoint():
    with Endpoint(hosts=("compute1",)) as endpoint:
        yield endpoint


def options(endpoint, auth):
    """What sender.connection() makes of our own section."""
    made = sender_options(endpoint.auth_url, 6)
    return {**made, "auth": {**made["auth"], **auth}}


@pytest.fixture
def client(endpoint):
    """Makes what sends. seconds: how long after the incident was opened."""
    made = []

    def make(seconds=1.0, auth=None, **changes) -> Masakari:
        wall = lambda: OPENED + timedelta(seconds=seconds)  # noqa: E731
        made.append(Masakari({**options(endpoint, auth or {}), **changes}, wall))
        return made[-1]

    yield make
    for masakari in made:
        if masakari._service.session:
            masakari._service.session.session.close()


def report(verdict=HUNG, resend=False, seconds=0.0, previous="", hostname="compute1", uuid=GUEST) -> Report:
    time = (OPENED + timedelta(seconds=seconds)).isoformat()
    return Report(7, uuid, verdict, time, hostname, resend, previous)


def test_a_report_arrives_as_masakaris_engine_needs_it(client, endpoint):
    outcome = client().deliver(report())
    assert outcome == Delivered(endpoint.masakari.stored[0]["notification_uuid"])
    attempt = endpoint.attempts[0]
    assert attempt.body == {
        "notification": {
            "type": "VM",
            "hostname": "compute1",
            "generated_time": "2026-11-20T05:00:00.123456+00:00",
            "payload": {
                "event": "QEMU_GUEST_AGENT_ERROR", "instance_uuid": GUEST, "vir_domain_event": "STOPPED_FAILED",
            },
        }
    }  # fmt: skip
    assert attempt.headers["User-Agent"].startswith("masakari-qga/")
    assert "OpenStack-API-Version" not in attempt.headers


def test_a_qemu_that_died_has_the_event_of_a_failed_domain(client, endpoint):
    client().deliver(report(QEMU_DIED))
    payload = endpoint.attempts[0].notification["payload"]
    assert (payload["event"], payload["vir_domain_event"]) == ("LIFECYCLE", "STOPPED_FAILED")


@pytest.mark.parametrize(("action", "event"), [
    (RECOVER, ("QEMU_GUEST_AGENT_ERROR", "STOPPED_FAILED")), (RECORD, ("QGA_RECORD", "UNHEALTHY")),
])  # fmt: skip
def test_an_unhealthy_guest_is_recovered_as_one_that_hangs_and_only_if_that_is_wanted(client, endpoint, action, event):
    client().deliver(report(UNHEALTHY)._replace(action=action))
    payload = endpoint.attempts[0].notification["payload"]
    assert (payload["event"], payload["vir_domain_event"], payload["instance_uuid"]) == (*event, GUEST)


def test_one_login_serves_many_reports(client, endpoint):
    masakari = client()
    assert masakari.prepare() is None
    for number in range(3):
        assert isinstance(masakari.deliver(report(uuid=GUEST[:-1] + str(number))), Delivered)
    assert endpoint.logins == 1


def test_preparing_sends_nothing_to_masakari(client, endpoint):
    assert client().prepare() is None
    assert endpoint.attempts == []


def test_a_revoked_token_costs_a_second_login_and_no_report(client, endpoint):
    masakari = client()
    masakari.prepare()
    endpoint.revoke()
    assert isinstance(masakari.deliver(report()), Delivered)
    assert endpoint.logins == 2
    assert len(endpoint.notifications) == 1


@pytest.mark.parametrize("fault", [Fault.HANG_AFTER_STORING, Fault.RESET_AFTER_STORING], ids=["hangs", "resets"])
def test_a_report_whose_answer_was_lost_is_sent_again_unchanged_and_duplicate_means_delivered(client, endpoint, fault):
    endpoint.fail(fault)
    first = client(timeout=0.3).deliver(report())
    assert (first.uncertain, first.renew, first.whole) == (True, False, True)
    assert client().deliver(report(resend=True)) == Delivered("")
    assert len(endpoint.notifications) == 1
    assert len({attempt.notification["generated_time"] for attempt in endpoint.attempts}) == 1


@pytest.mark.parametrize("fault", [Fault.HANG, Fault.RESET], ids=["hangs", "resets"])
def test_a_report_that_did_not_arrive_is_sent_again_and_stored(client, endpoint, fault):
    endpoint.fail(fault)
    assert client(timeout=0.3).deliver(report()).uncertain
    assert client().deliver(report(resend=True)).reference


def test_a_second_failure_within_three_minutes_waits_and_is_then_a_new_report(client, endpoint):
    client().deliver(report())
    outcome = client(seconds=60).deliver(report(seconds=40))
    assert isinstance(outcome, Later)
    assert (outcome.after, outcome.renew, outcome.uncertain, outcome.whole) == (161.0, True, False, False)
    assert "sent again if the guest has still failed then" in outcome.reason
    assert client(seconds=221).deliver(report(seconds=221)).reference


def test_duplicate_proves_nothing_if_the_guest_was_reported_shortly_before(client, endpoint):
    client().deliver(report())
    lost = report(seconds=100, resend=True, previous=OPENED.isoformat())
    outcome = client(seconds=101).deliver(lost)
    assert outcome.renew
    assert outcome.after == 180.0


def test_duplicate_proves_delivery_if_the_guest_was_reported_long_before(client, endpoint):
    client().deliver(report())
    again = report(seconds=200, previous=OPENED.isoformat())
    endpoint.fail(Fault.RESET_AFTER_STORING)
    assert client(seconds=200).deliver(again).uncertain
    again = report(seconds=200, previous=OPENED.isoformat(), resend=True)
    assert client(seconds=201).deliver(again) == Delivered("")
    assert len(endpoint.notifications) == 2


def test_a_clock_that_was_wrong_does_not_make_it_wait_for_hours(client, endpoint):
    client().deliver(report())
    assert client(seconds=-90000).deliver(report()).after == 181
    assert client(seconds=+90000).deliver(report()).after == 1


def test_a_host_under_maintenance_is_told_apart_from_a_duplicate(client, endpoint):
    endpoint.masakari.maintenance.add("compute1")
    outcome = client().deliver(report(resend=True))
    assert (outcome.after, outcome.renew, outcome.uncertain, outcome.whole) == (60.0, False, False, True)
    assert "when host compute1 is repaired, set its on_maintenance to False" in outcome.reason


def test_an_unregistered_host_is_named_with_the_remedy(client, endpoint):
    outcome = client().deliver(report(hostname="compute1.example"))
    assert (outcome.after, outcome.uncertain, outcome.whole) == (60.0, False, True)
    assert "; register host compute1.example in a segment of Masakari, or correct report.host" in outcome.reason


def test_a_report_that_masakari_finds_invalid_does_not_hold_up_the_others(client, endpoint):
    outcome = client().deliver(report(uuid="none"))
    assert (outcome.after, outcome.uncertain, outcome.whole) == (60.0, False, False)
    assert "Invalid input" in outcome.reason


def test_a_user_without_the_role_admin_is_told_so(client, endpoint):
    endpoint.role = "member"
    outcome = client().deliver(report())
    assert (outcome.after, outcome.uncertain, outcome.whole) == (60.0, False, True)
    assert outcome.reason.endswith("give masakari.username the role admin on masakari.project_name")


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_an_error_of_the_server_may_have_come_after_it_stored_the_report(client, endpoint, status):
    endpoint.fail(status)
    outcome = client().deliver(report())
    assert outcome == Later(f"Masakari answers {status}", None, uncertain=True, whole=True)


@pytest.mark.parametrize(("status", "whole"), [
    (404, True), (405, True), (401, True), (406, False), (413, False), (418, False),
])  # fmt: skip
def test_an_error_of_ours_is_looked_at_again_each_minute(client, endpoint, status, whole):
    endpoint.fail(status, times=2)
    outcome = client().deliver(report())
    assert (outcome.after, outcome.uncertain, outcome.whole) == (60.0, False, whole)
    assert outcome.reason.startswith(f"Masakari answers {status}")


def test_a_login_page_is_no_acceptance(client, endpoint):
    endpoint.fail(Fault.HTML)
    outcome = client().deliver(report())
    assert outcome.whole
    assert "200 where 202 is due" in outcome.reason


def test_wrong_credentials_are_not_tried_until_keystone_locks_the_user(client, endpoint):
    outcome = client(auth={"password": "wrong"}).prepare()
    assert (outcome.after, outcome.uncertain, outcome.whole) == (300.0, False, True)
    assert outcome.reason == (
        "Keystone refuses the credentials; check masakari.username, masakari.password and masakari.project_name"
    )


def test_options_of_masakarimonitors_conf_are_named_as_they_stand_there(client, endpoint):
    names = {"password": "password of [api] in /etc/m.conf"}
    outcome = client(auth={"password": "wrong"}, names=names).deliver(report())
    assert "password of [api] in /etc/m.conf" in outcome.reason
    assert endpoint.attempts == []


@pytest.mark.parametrize(
    ("auth", "said"),
    [({"auth_url": ""}, "auth[-_]url"), ({"auth_type": "nonsense"}, "nonsense")],
)  # fmt: skip
def test_credentials_that_are_not_complete_are_named(client, endpoint, auth, said):
    outcome = client(auth=auth).prepare()
    assert outcome.whole
    assert outcome.reason.startswith("credentials are not complete: ")
    assert re.search(said, outcome.reason)


def test_other_kinds_of_credentials_work_as_masakarimonitors_conf_has_them(client, endpoint):
    auth = {"auth_type": "v3password", "username": "", "user-name": "", "user_name": "masakari", "api_interface": "x"}
    assert isinstance(client(auth=auth).deliver(report()), Delivered)


def test_keystone_in_trouble_is_no_reports_trouble(client, endpoint):
    endpoint.fail(503, on="tokens")
    outcome = client().deliver(report())
    assert outcome == Later("Keystone answers 503; check masakari.auth_url", whole=True)
    assert endpoint.attempts == []


def test_keystone_that_hangs_is_no_reports_trouble(client, endpoint):
    endpoint.fail(Fault.HANG, on="tokens")
    outcome = client(timeout=0.3).deliver(report())
    assert outcome == Later("Keystone: no answer in time; check masakari.auth_url", whole=True)


def test_keystone_away_is_said_in_the_systems_words(client, endpoint):
    endpoint.refuse()
    assert client().prepare() == Later("Keystone: connection refused; check masakari.auth_url", whole=True)


def test_masakari_away_is_surely_not_delivered(client, endpoint):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        outcome = client(endpoint=f"http://127.0.0.1:{nobody.getsockname()[1]}/v1").deliver(report())
    assert (outcome.uncertain, outcome.whole) == (False, True)
    assert outcome.reason.startswith("Masakari cannot be reached: connection refused; check masakari.endpoint")


def test_a_name_that_does_not_resolve_is_surely_not_delivered(client, endpoint):
    outcome = client(endpoint="http://nowhere.invalid/v1").deliver(report())
    assert (outcome.uncertain, outcome.whole) == (False, True)


def test_a_catalogue_without_masakari_is_named_with_region_and_interface(client, endpoint):
    outcome = client(region="Elsewhere").prepare()
    assert outcome.reason == (
        "Keystone's catalogue has no instance-ha endpoint with interface public, region 'Elsewhere'; check these, or"
        " set masakari.endpoint"
    )


def test_the_region_that_is_configured_is_used(client, endpoint):
    assert isinstance(client(region="RegionOne").deliver(report()), Delivered)


def test_a_set_endpoint_is_used_instead_of_the_catalogues(client, endpoint):
    url = f"{endpoint.url}/instance-ha/v1/"
    assert isinstance(client(region="Elsewhere", endpoint=url).deliver(report()), Delivered)


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        (None, None), ("", None), ("soon", None), ("-5", None), ("30", 30.0), ("0", 1.0), ("86400", 600.0),
        ("Fri, 20 Nov 2026 05:00:40 GMT", 40.0), ("Fri, 20 Nov 2025 05:00:40 GMT", 1.0),
    ],
)  # fmt: skip
def test_the_time_that_a_server_asks_for_is_granted_within_bounds(header, wait):
    assert seconds(header, OPENED.replace(microsecond=0)) == wait


class Crooked(BaseHTTPRequestHandler):
    """A server of our own making: `answer` is a status, and what follows the headers."""

    answer = (202, b"{}")
    elsewhere = ""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        status, content = self.answer
        self.send_response(status)
        self.send_header("Retry-After", "77")
        self.send_header("Location", self.elsewhere)
        self.end_headers()
        with contextlib.suppress(OSError):
            for part in iter(content, None) if callable(content) else [content]:
                self.wfile.write(part)

    def log_message(self, *_) -> None:
        pass


@contextlib.contextmanager
def serving(answer=(202, b"{}"), certificate=None, elsewhere=""):
    server = HTTPServer(("127.0.0.1", 0), type("Handler", (Crooked,), {"answer": answer, "elsewhere": elsewhere}))
    server.handle_error = lambda *_: None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_answer_without_end_is_read_only_so_far(client):
    with serving((418, lambda: b"x" * 65536)) as url:
        assert client(endpoint=url).deliver(report()) == Later("Masakari answers 418", 77.0)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"notification": {"notification_uuid": "x"}}', b"<html>", b"\xff"]
)
def test_what_masakari_says_beside_202_is_not_needed(client, content):
    with serving((202, content)) as url:
        assert client(endpoint=url).deliver(report()) == Delivered("")


def test_what_a_server_says_reaches_no_log_or_terminal_raw(client):
    with serving((400, b'{"x": {"message": "\\u001b[31m\\nfine' + b"y" * 999 + b'"}}')) as url:
        reason = client(endpoint=url).deliver(report()).reason
    assert reason.startswith(r"Masakari answers 400 '\x1b[31m\nfineyyy")
    assert len(reason) < 200


def test_a_redirection_is_not_followed_with_our_token(client, endpoint):
    with serving((307, b""), elsewhere=f"{endpoint.url}/instance-ha/v1/notifications") as url:
        outcome = client(endpoint=url).deliver(report())
    assert endpoint.attempts == []
    assert "check masakari.endpoint or the catalogue" in outcome.reason


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> str:
    path = str(tmp_path_factory.mktemp("tls") / "both.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", path, "-out", path + ".crt"]
    command += ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(path + ".crt") as public, open(path, "a") as both:
        both.write(public.read())
    return path


def test_an_unknown_certificate_is_refused_and_the_option_named(client, certificate):
    with serving(certificate=certificate) as url:
        outcome = client(endpoint=url).deliver(report())
    assert (outcome.uncertain, outcome.whole) == (False, True)
    assert re.match("Masakari: its certificate is not accepted .*; check masakari.cafile$", outcome.reason)


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
@pytest.mark.parametrize("option", ["cafile", "insecure"])
def test_a_certificate_is_accepted_if_the_configuration_says_so(client, certificate, option):
    with serving(certificate=certificate) as url:
        assert client(endpoint=url, **{option: certificate}).deliver(report()) == Delivered("")
