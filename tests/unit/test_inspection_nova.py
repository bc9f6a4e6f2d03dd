"""What a check says of Nova, where it is to be asked: one whole round of the helper's, over real sockets."""

from __future__ import annotations

import pytest

from heartbeat import configuration
from heartbeat.inspection import compute
from heartbeat.inspection.finding import Finding
from tests.harness.endpoint import Endpoint
from tests.harness.nova import DETAIL, Nova


@pytest.fixture
def nova():
    with Nova(("compute1",), port=0) as nova:
        yield nova


@pytest.fixture
def found(tmp_path, nova):
    def look(password: str = "secret", enabled: str = "yes") -> list[Finding]:
        with Endpoint() as endpoint:
            (tmp_path / "conf").write_text(
                f"[masakari]\nauth_url = {endpoint.auth_url}\nusername = masakari\npassword = {password}\n"
                f"[nova]\nenabled = {enabled}\nendpoint = {nova.url}\n"
            )
            return list(compute.look(configuration.load(str(tmp_path / "conf")), "compute1"))

    return look


def test_nova_is_not_asked_unless_that_is_set(found, nova):
    assert found(enabled="no") == []
    assert nova.requests == []


def test_its_servers_on_this_host_are_counted(found, nova):
    for _ in range(2):
        nova.server(host="compute1")
    (finding,) = found()
    assert (finding.level, finding.text) == ("ok", "Nova has 2 servers on compute1")


def test_none_at_all_is_worth_a_word_about_the_name(found):
    (finding,) = found()
    assert (finding.level, finding.text) == ("note", "Nova has no server on compute1")
    assert "openstack compute service list" in finding.remedy


def test_a_nova_that_refuses_is_told_with_what_to_do(found, nova):
    nova.fail(DETAIL, 403)
    (finding,) = found()
    assert finding.level == "failed"
    assert finding.text.startswith("Nova gives no answer that can be used: Nova answers 403")
    assert "role admin" in finding.remedy


def test_a_wrong_password_is_told_of_nova_too(found):
    (finding,) = found(password="n0t-it")
    assert finding.text == "Nova gives no answer that can be used: Keystone refuses the credentials"
    assert "masakari.password" in finding.remedy
    assert "n0t-it" not in repr(finding)
