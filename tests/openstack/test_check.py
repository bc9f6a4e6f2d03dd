"""What a check says of the real Keystone and Masakari, with every way in which they refuse us."""
from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest

from heartbeat import configuration
from heartbeat.inspection import cloud as inspected
from heartbeat.inspection.finding import Finding
from tests.harness.helper import ini


@pytest.fixture
def host(cloud) -> str:
    """A compute node that Masakari knows, in a segment of its own."""
    name = f"node-{uuid.uuid4().hex[:8]}"
    cloud.segment(name)
    return name


@pytest.fixture
def found(cloud, tmp_path, host) -> Callable[..., dict[str, Finding]]:
    """By step, the last finding; with these options of [masakari] beside the right ones."""
    def look(hostname: str = host, send: bool = False, **options: object) -> dict[str, Finding]:
        path = tmp_path / "conf"
        section = {**cloud.section(), "credentials": tmp_path / "none", **options}
        path.write_text(ini({"report": {"backends": "masakari"}, "masakari": section}))
        steps = inspected.steps(configuration.load(str(path)), hostname, send)
        findings = [it for step in steps for it in step.look()]
        assert section["password"] not in repr(findings)
        return {it.step: it for it in findings}
    return look


def test_all_is_well_with_a_registered_host(found, cloud, host):
    steps = found()
    names = ("token", "endpoint", "segment", "clock")
    assert {name: it.level for name, it in steps.items()} == dict.fromkeys(names, "ok")
    assert steps["token"].text.startswith("Keystone gives user qga a token for project service; roles: ")
    assert "admin" in steps["token"].text.partition("roles: ")[2].split(", ")
    assert steps["endpoint"].text == f"Masakari at {cloud.url} (from the catalogue's endpoint), API 1.0 to 1.3"
    assert steps["segment"].text.startswith(f"Masakari knows host {host}, in segment ")


def test_a_wrong_password_is_told_from_a_wrong_project(found):
    assert "wrong name, password or domain" in found(password="n0t-it")["token"].text
    wrong = found(project_name="servcie")["token"]
    assert wrong.text == ("401: Keystone takes the password of user qga, but not project servcie: it does not exist, "
                          "or the user has no role on it; it has one on service")
    assert "segment" not in found(username="nobody")


@pytest.mark.parametrize("user", ["member", "reader", "service"])
def test_another_role_than_admin_is_named_and_not_enough(found, user):
    refused = found(username=user)["segment"]
    assert (refused.level, refused.text) == ("failed", "Masakari answers 403 to GET /segments")
    assert f"the token has: {user}" in refused.remedy


def test_an_unknown_host_is_told_with_the_name_that_may_be_meant(found, host):
    near = found(hostname=f"{host}.example.com")["segment"]
    assert near.level == "failed"
    assert near.text.endswith(f"hosts is called {host}.example.com; one is called '{host}'")
    assert "one is called" not in found(hostname="quite-another")["segment"].text


def test_a_host_under_maintenance_or_in_a_segment_that_is_not_enabled_is_told(found, cloud):
    name = f"node-{uuid.uuid4().hex[:8]}"
    segment = cloud.segment(name, enabled=False)
    assert "is not enabled" in found(hostname=name)["segment"].text
    cloud.call("PUT", f"/segments/{segment}", {"segment": {"enabled": True}})
    cloud.maintenance(segment, name, True)
    refused = found(hostname=name)["segment"]
    assert "is on_maintenance" in refused.text
    assert f"openstack segment host update {segment} " in refused.remedy


def test_a_region_without_masakari_is_told_with_what_there_is(found):
    assert found(region="RegionTwo")["endpoint"].text.endswith(
        "region 'RegionTwo'; it has admin in RegionOne, internal in RegionOne, public in RegionOne")


def test_a_test_notification_is_stored_and_ignored_by_the_engine(found, cloud, host):
    steps = found(send=True)
    assert steps["send"].level == "ok", steps["send"]
    number = steps["send"].text.split()[5]
    shown = cloud.notification(number)
    assert (shown["status"], shown["payload"]["event"]) == ("ignored", "QGA_RECORD")
    guest = shown["payload"]["instance_uuid"]
    assert not [asked for asked in cloud.nova.requests if asked.server == guest], "nobody looked for that guest"
