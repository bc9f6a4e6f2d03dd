"""The test endpoint holds to the contract of Keystone and masakari-api, and fails as asked."""
from __future__ import annotations

import json
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone

import pytest

from tests.harness.endpoint import Endpoint, Fault
from tests.harness.masakari import Masakari
from tests.harness.schema import moment

GUEST = "5e3ba1b0-8f5b-4c0e-9b52-6a9d2f1c0001"
MORNING = datetime(2026, 3, 1, 6, 0, tzinfo=timezone.utc)


def notification(**changes: object) -> dict:
    changed = {"type": "VM", "hostname": "one", "generated_time": MORNING.isoformat(),
               "payload": {"event": "QEMU_GUEST_AGENT_ERROR", "instance_uuid": GUEST,
                           "vir_domain_event": "STOPPED_FAILED"}, **changes}
    return {"notification": {key: value for key, value in changed.items() if value is not ...}}


def payload(**changes: object) -> dict:
    merged = {**notification()["notification"]["payload"], **changes}
    return notification(payload={key: value for key, value in merged.items() if value is not ...})


def post(masakari: Masakari, document: object) -> tuple[int, str]:
    status, answer = masakari.post(json.dumps(document).encode())
    (content,) = answer.values()
    return status, content.get("message") or content.get("status")


@pytest.fixture
def masakari() -> Masakari:
    return Masakari(("one", "two"))


@pytest.fixture
def cloud():
    with Endpoint() as endpoint:
        yield endpoint


class TestContract:
    def test_a_valid_notification_is_new(self, masakari):
        assert post(masakari, notification()) == (202, "new")
        assert masakari.stored[0]["source_host_uuid"] == masakari.hosts["one"]

    @pytest.mark.parametrize(("document", "message"), [
        (notification(type="vm"), "field/attribute type. Value: vm"),
        (notification(type=...), "field/attribute notification. "),
        (notification(payload=...), "field/attribute notification. "),
        (notification(extra="x"), "field/attribute notification. "),
        (notification(generated_time=1772344800), "field/attribute generated_time. "),
        (notification(generated_time="yesterday"), "field/attribute generated_time. "),
        (notification(generated_time=None), "field/attribute generated_time. "),
        (notification(hostname="a b"), "field/attribute hostname. "),
        (notification(hostname="h" * 256), "field/attribute hostname. "),
        (notification(payload=[]), "field/attribute payload. "),
        (payload(event=5), "field/attribute event. "),
        (payload(event=""), "field/attribute event. "),
        (payload(vir_domain_event="v" * 256), "field/attribute vir_domain_event. "),
        (payload(instance_uuid="not-a-uuid"), "field/attribute instance_uuid. "),
        (notification(payload={}), "'instance_uuid' is a required property"),
        (payload(event=...), "'event' is a required property"),
        (payload(reason="hung"), "Additional properties are not allowed ('reason' was unexpected)"),
        ({**notification(), "more": 1}, "Additional properties are not allowed ('more' was unexpected)"),
        ([], "[] is not of type 'object'"),
        (notification(hostname="One"), "Host with name One could not be found."),
    ])
    def test_what_does_not_fit_is_refused_by_name(self, masakari, document, message):
        status, said = post(masakari, document)
        assert status == 400
        assert message in said
        assert not masakari.stored

    def test_a_body_that_is_no_json_is_refused(self, masakari):
        assert masakari.post(b"{").document["badRequest"]["message"] == "Malformed request body"
        assert masakari.post(b"").document["badRequest"]["message"] == "None is not of type 'object'"

    @pytest.mark.parametrize(("text", "expected"), [
        ("2026-03-01T06:00:00Z", MORNING), ("2026-03-01T15:00:00+09:00", MORNING), ("2026-03-01 06:00:00", MORNING),
        ("2026-03-01T06:00:00.000000000", MORNING), ("2026-03-01", MORNING - timedelta(hours=6)),
    ])
    def test_a_time_may_have_any_zone_and_none_is_utc(self, text, expected):
        assert moment(text) == expected

    @pytest.mark.parametrize(("seconds", "status"), [(0, 409), (179, 409), (180, 409), (181, 202), (-1000, 409)])
    def test_the_same_failure_is_a_duplicate_within_180_seconds_or_before(self, masakari, seconds, status):
        post(masakari, notification())
        later = (MORNING + timedelta(seconds=seconds)).isoformat()
        status_then, message = post(masakari, notification(generated_time=later))
        assert status_then == status
        assert status == 202 or message == "Notification received from host one of type VM is duplicate."

    def test_another_payload_or_host_is_no_duplicate(self, masakari):
        post(masakari, notification())
        assert post(masakari, payload(instance_uuid=GUEST.upper()))[0] == 202
        assert post(masakari, payload(vir_domain_event="OTHER"))[0] == 202
        assert post(masakari, notification(hostname="two"))[0] == 202

    def test_a_host_on_maintenance_is_refused_with_its_own_text(self, masakari):
        masakari.maintenance.add("one")
        status, message = post(masakari, notification())
        assert status == 409
        assert message == ("Notification received from host one of type 'VM' is ignored as the host is already under "
                           "maintenance.")

    def test_what_the_engine_has_done_is_shown_with_details_from_version_1_1_on(self, masakari):
        post(masakari, notification())
        number = masakari.stored[0]["notification_uuid"]
        task = {"name": "ConfirmInstanceActiveTask", "state": "SUCCESS", "progress": 1.0, "progress_details": []}
        masakari.settle(number, "finished", task)
        shown = masakari.get(f"/notifications/{number}", {}, (1, 1)).document["notification"]
        assert (shown["status"], shown["recovery_workflow_details"]) == ("finished", [task])
        shown = masakari.get(f"/notifications/{number}", {}, (1, 0)).document["notification"]
        assert shown["status"] == "finished"
        assert "recovery_workflow_details" not in shown
        assert masakari.get("/notifications", {"status": "new"}, (1, 1)).document == {"notifications": []}


class TestOverTheWire:
    def send(self, cloud: Endpoint, document: object, token: str | None = None, seconds: float = 10) -> int:
        request = urllib.request.Request(
            cloud.url + "/instance-ha/v1/notifications", json.dumps(document).encode(),
            {"X-Auth-Token": token or self.token(cloud), "Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=seconds) as reply:
                return reply.status
        except urllib.error.HTTPError as error:
            with error:
                return error.status

    @staticmethod
    def token(cloud: Endpoint) -> str:
        user = {"name": "masakari", "password": "secret"}
        return cloud.login({"auth": {"identity": {"password": {"user": user}}}})

    def test_what_arrives_is_recorded_with_its_time_and_headers(self, cloud):
        assert self.send(cloud, notification()) == 202
        (arrived,) = cloud.notifications
        assert arrived.notification == notification()["notification"]
        assert arrived.headers["Content-Type"] == "application/json"
        assert arrived.at > 0

    def test_only_a_token_of_ours_is_let_in_and_only_until_revoked(self, cloud):
        token = self.token(cloud)
        assert self.send(cloud, notification(), "forged") == 401
        cloud.revoke()
        assert self.send(cloud, notification(), token) == 401
        assert [attempt.status for attempt in cloud.attempts] == [401, 401]
        assert not cloud.notifications

    def test_a_user_who_is_not_admin_is_forbidden(self, cloud):
        cloud.role = "member"
        assert self.send(cloud, notification()) == 403

    def test_a_fault_by_number_stores_nothing_and_passes(self, cloud):
        cloud.fail(500, times=2)
        assert [self.send(cloud, notification()) for _ in range(3)] == [500, 500, 202]
        assert len(cloud.attempts) == 3
        assert len(cloud.notifications) == 1

    def test_a_page_for_people_comes_with_status_200(self, cloud):
        cloud.fail(Fault.HTML)
        assert self.send(cloud, notification()) == 200
        assert not cloud.notifications

    @pytest.mark.parametrize(("fault", "stored"), [
        (Fault.HANG, 0), (Fault.HANG_AFTER_STORING, 1), (Fault.RESET, 0), (Fault.RESET_AFTER_STORING, 1)])
    def test_no_answer_leaves_the_client_in_doubt(self, cloud, fault, stored):
        cloud.fail(fault)
        with pytest.raises((TimeoutError, ConnectionError)):
            self.send(cloud, notification(), seconds=0.3)
        assert len(cloud.notifications) == stored
        assert cloud.attempts[0].status is None
        assert self.send(cloud, notification()) == (409 if stored else 202)

    def test_a_fault_without_number_stays_until_healed(self, cloud):
        cloud.fail(503, times=0)
        assert [self.send(cloud, notification()) for _ in range(3)] == [503] * 3
        cloud.heal()
        assert self.send(cloud, notification()) == 202

    def test_refused_connections_come_back_on_the_same_port_with_the_same_memory(self, cloud):
        token = self.token(cloud)
        assert self.send(cloud, notification(), token) == 202
        cloud.refuse()
        with pytest.raises(urllib.error.URLError):
            self.send(cloud, notification(), token)
        cloud.open()
        assert self.send(cloud, notification(), token) == 409

    def test_every_attempt_is_a_line_in_the_log(self, tmp_path):
        with Endpoint(log=tmp_path / "log") as cloud:
            self.send(cloud, notification())
            self.send(cloud, [])
        lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
        assert [(line["status"], line["stored"]) for line in lines] == [(202, True), (400, False)]

    def test_keystoneauth_finds_the_service_posts_and_renews_a_revoked_token(self, cloud):
        loading = pytest.importorskip("keystoneauth1.identity.v3")
        from keystoneauth1.adapter import Adapter
        from keystoneauth1.session import Session
        auth = loading.Password(cloud.auth_url, username="masakari", password="secret", user_domain_name="Default",
                                project_name="service", project_domain_name="Default")
        with_catalog = Adapter(Session(auth), service_type="instance-ha", interface="internal",
                               region_name="RegionOne", default_microversion="1.0")
        assert with_catalog.post("/notifications", json=notification()).status_code == 202
        cloud.revoke()
        reply = with_catalog.post("/notifications", json=notification(), raise_exc=False)
        assert reply.status_code == 409
        assert "is duplicate." in reply.text
        assert cloud.logins == 2
