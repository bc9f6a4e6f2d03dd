"""What a check says of Keystone, Masakari and the other backends: each failure with its own line and remedy, over real
sockets and with the real children; and no password in any of it."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from heartbeat import configuration
from heartbeat.inspection import cloud
from heartbeat.inspection.finding import Finding
from tests.harness.endpoint import Endpoint, Fault
from tests.harness.endpoint_http import LOGIN_PAGE, Handler

PASSWORD = "Pa55-word-of-ours"


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint(hosts=("compute1",), password=PASSWORD) as endpoint:
        yield endpoint


@pytest.fixture
def found(tmp_path, endpoint):
    """What is found with these options of [masakari] beside the right ones; of one step, if one is named."""

    def look(step: str = "", send: bool = False, backends: str = "masakari", **options: object) -> list[Finding]:
        known = {"auth_url": endpoint.auth_url, "username": "masakari", "password": PASSWORD, "timeout": 6,
                 "credentials": tmp_path / "none", **options}  # fmt: skip
        path = tmp_path / "conf"
        path.write_text(f"[report]\nbackends = {backends}\n[masakari]\n"
                        + "".join(f"{name} = {value}\n" for name, value in known.items()))  # fmt: skip
        config = configuration.load(str(path))
        everything = [it for one in cloud.steps(config, "compute1", send) for it in one.look()]
        assert PASSWORD not in repr(everything)
        assert repr(everything).isascii()
        return [it for it in everything if step in ("", it.step)]

    return look


def only(findings: list[Finding]) -> Finding:
    (finding,) = findings
    return finding


def test_where_all_is_well_each_part_says_so(found, endpoint):
    findings = found()
    assert [(it.level, it.step) for it in findings] == [
        ("ok", "token"), ("ok", "endpoint"), ("ok", "segment"), ("ok", "clock"), ("ok", "clock"),
    ]  # fmt: skip
    assert findings[0].text == "Keystone gives user masakari a token for project service; roles: admin"
    place = f"{endpoint.url}/instance-ha/v1 (from the catalogue's endpoint)"
    assert findings[1].text == f"Masakari at {place}, API 1.0 to 1.3"
    assert findings[2].text == "Masakari knows host compute1, in segment 'all'"
    assert endpoint.attempts == [], "nothing is sent unasked"


def test_without_credentials_nobody_is_asked(found, endpoint):
    finding = only(found(auth_url=""))
    assert (finding.level, finding.text) == ("failed", "there are no credentials for Keystone")
    assert "set masakari.auth_url, username and password" in finding.remedy


@pytest.mark.parametrize(("url", "text", "remedy"), [
    ("http://keystone.invalid:5000/v3", "Keystone: DNS: the name 'keystone.invalid' cannot be resolved", "resolv.conf"),
    ("http://127.0.0.1:1/v3", "Keystone: TCP: no connection to 127.0.0.1 port 1: connection refused", "firewalls"),
    ("127.0.0.1/v3", "Keystone: '127.0.0.1/v3' is no address", "begins with https:// or http://"),
    ("http://[::1/v3", "Keystone: 'http://[::1/v3' is no address", "correct masakari.auth_url"),
])  # fmt: skip
def test_a_keystone_that_is_not_reached_says_which_part_of_the_way_fails(found, url, text, remedy):
    finding = only(found(auth_url=url))
    assert (finding.level, finding.step) == ("failed", "token")
    assert finding.text.startswith(text)
    assert remedy in finding.remedy


def test_an_address_that_is_not_keystones_is_to_be_corrected(found, endpoint):
    finding = only(found("token", auth_url=endpoint.url + "/nothing/v3"))
    assert finding.text == f"no Keystone at {endpoint.url}/nothing/v3: it answers 401"
    assert finding.remedy == "correct masakari.auth_url: it ends in /v3"


def test_a_page_for_people_is_no_keystone(found, endpoint, monkeypatch):
    monkeypatch.setattr(Handler, "do_GET", lambda self: self._reply(200, LOGIN_PAGE))
    assert only(found("token")).text.endswith("it answers 200 without any version of an API")


def test_a_keystone_that_fails_is_told_by_its_number(found, endpoint):
    endpoint.fail(503, times=0, on="tokens")
    assert only(found("token")).text == f"Keystone at {endpoint.auth_url} answers 503"


def test_a_wrong_password_is_401_and_one_more_question_tells_it_from_a_missing_role(found, endpoint):
    finding = only(found("token", password="wrong"))
    assert finding.text == "401: Keystone refuses user masakari: wrong name, password or domain, or disabled, or locked"
    assert finding.remedy == "correct masakari.username, masakari.password and masakari.user_domain_name"


def test_a_project_without_a_role_is_said_to_be_that(found, endpoint, monkeypatch):
    login = endpoint.login
    monkeypatch.setattr(endpoint, "login", lambda request: None if "scope" in request["auth"] else login(request))
    finding = only(found("token", project_name="servcie"))
    assert finding.text.startswith("401: Keystone takes the password of user masakari, but not project servcie: it")
    assert finding.remedy.startswith("openstack role add --user masakari --project servcie admin, or correct masakari.")


def test_an_interface_that_the_catalogue_lacks_is_named_with_what_it_has(found, endpoint):
    finding = only(found("endpoint", region="RegionTwo"))
    assert "no instance-ha endpoint with interface public, region 'RegionTwo'; it has admin in Reg" in finding.text
    assert "masakari.region and masakari.interface, or set masakari.endpoint" in finding.remedy


def test_a_masakari_that_is_not_reached_is_a_line_of_its_own(found):
    finding = only(found("endpoint", endpoint="http://127.0.0.1:1/v1"))
    assert finding.text == "Masakari: TCP: no connection to 127.0.0.1 port 1: connection refused"
    assert finding.remedy.startswith("check masakari.endpoint, ")
    assert found("segment", endpoint="http://127.0.0.1:1/v1") == []


def test_a_role_that_does_not_suffice_is_named(found, endpoint):
    endpoint.role = "member"
    finding = only(found("segment"))
    assert finding.text == "Masakari answers 403 to GET /segments"
    assert "role admin, and the token has: member; give masakari.username that role" in finding.remedy


def test_an_address_below_masakaris_is_to_be_corrected(found, endpoint):
    finding = only(found("segment", endpoint=endpoint.url + "/instance-ha/v1/other"))
    assert finding.text == "Masakari answers 404 to GET /segments"
    assert "/v1 or /v1/PROJECT_ID" in finding.remedy


def test_a_host_that_masakari_does_not_know_is_told_with_its_near_match(found, endpoint):
    endpoint.hosts.clear()
    endpoint.hosts["compute1.example.com"] = "x"
    finding = only(found("segment"))
    assert (finding.level, finding.text) == (
        "failed", "none of Masakari's 1 hosts is called compute1; one is called 'compute1.example.com'",
    )  # fmt: skip


def test_a_host_under_maintenance_is_a_failure(found, endpoint):
    endpoint.masakari.maintenance.add("compute1")
    assert "is on_maintenance" in only(found("segment")).text


def test_an_older_masakari_is_asked_without_the_newer_version(found, endpoint, monkeypatch):
    answer = endpoint.answer
    old = (406, {"itemNotFound": {"code": 406, "message": "Version 1.2 is not supported by the API."}})
    monkeypatch.setattr(endpoint, "answer", lambda asked: old if asked.version.endswith("1.2") else answer(asked))
    assert only(found("segment")).level == "ok"


def test_a_test_notification_is_sent_only_when_asked_for_and_announced_before(found, endpoint):
    settled = threading.Thread(target=lambda: endpoint.masakari.settle(
        endpoint.wait(1) and endpoint.masakari.stored[0]["notification_uuid"], "ignored"))  # fmt: skip
    settled.start()
    findings = found("send", send=True)
    settled.join()
    sent = endpoint.notifications[0].notification
    payload = sent["payload"]
    assert (payload["event"], payload["vir_domain_event"]) == ("QGA_RECORD", "INSTALLATION_CHECK")
    assert (sent["type"], sent["hostname"]) == ("VM", "compute1")
    assert [it.level for it in findings] == ["note", "ok", "ok"]
    assert findings[0].text.startswith("sending a notification of type VM from host compute1, event QGA_RECORD / INST")
    assert payload["instance_uuid"] in findings[0].text
    assert findings[2].text.endswith("and ignored it, as it should")


def test_an_engine_that_does_not_come_to_it_is_told(found, endpoint, monkeypatch):
    monkeypatch.setattr(cloud, "FOLLOWING", 3.0)
    findings = found("send", send=True)
    assert [it.level for it in findings] == ["note", "ok", "failed"]
    assert "while notification" in findings[2].text


def test_a_notification_that_is_refused_says_why_and_what_to_do(found, endpoint):
    endpoint.fail(500, times=0)
    findings = found("send", send=True)
    assert [it.level for it in findings] == ["note", "failed"]
    assert findings[1].text == "not accepted: Masakari answers 500"


def test_nothing_is_sent_where_something_failed(found, endpoint):
    endpoint.masakari.maintenance.add("compute1")
    assert only(found("send", send=True)).text == "no test notification was sent: see above"
    assert endpoint.attempts == []


def test_a_keystone_that_hangs_is_given_up_and_what_it_was_at_is_said(found, endpoint, monkeypatch):
    endpoint.fail(Fault.HANG, times=0, on="tokens")
    monkeypatch.setattr(cloud, "ASKING", 2.0)
    finding = only(found())
    assert (finding.level, finding.step) == ("failed", "token")
    assert finding.text == f"no answer after 2 s, while Keystone at {endpoint.auth_url} was being asked for a token"


def test_a_clock_that_is_off_is_a_warning(found, endpoint, monkeypatch):
    import email.utils
    from http.server import BaseHTTPRequestHandler

    monkeypatch.setattr(BaseHTTPRequestHandler, "date_time_string", lambda *_: email.utils.formatdate(1e9, usegmt=True))
    findings = found("clock")
    assert [it.level for it in findings] == ["warning", "warning"]
    assert findings[0].text.endswith("s ahead of Keystone's")
    assert "tokens" in findings[0].remedy


def test_without_masakari_nobody_is_asked_and_that_is_no_failure(found, endpoint):
    finding = only(found(backends="attributes"))
    assert finding.level == "note"
    assert endpoint.logins == 0


def test_other_backends_are_asked_whether_they_are_ready(found):
    webhook, = found("webhook", backends="webhook")
    assert (webhook.level, webhook.text) == (
        "failed", "backend webhook is not ready: set webhook.url to an address with https://",
    )  # fmt: skip


def test_credentials_of_masakarimonitors_are_called_by_their_names_there(found, tmp_path, endpoint):
    path = tmp_path / "masakarimonitors.conf"
    path.write_text(f"[api]\nauth_url = {endpoint.auth_url}\nusername = masakari\npassword = wrong\n"
                    "project_name = service\nuser_domain_name = Default\nproject_domain_name = Default\n")  # fmt: skip
    finding = only(found("token", auth_url="", credentials=path))
    assert finding.remedy.startswith(f"correct username of [api] in {path}, password of [api] in {path}")


def test_a_child_that_cannot_begin_is_told(found, monkeypatch, tmp_path):
    broken = tmp_path / "enquiry.py"
    broken.write_text("raise SystemExit('no module named keystoneauth1')\n")
    monkeypatch.setattr(cloud, "ENQUIRY", str(broken))
    finding = only(found())
    assert finding.text.endswith("ended with status 1, while it was being begun: no module named keystoneauth1")
    assert finding.code == 5


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    """Key and certificate of localhost, signed by itself."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", path, "-out",
         path.with_suffix(".crt")],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_text(path.read_text() + path.with_suffix(".crt").read_text())
    return path


@pytest.fixture
def secure(certificate) -> Iterator[int]:
    """The port of something that speaks TLS, and then says nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                try:
                    context.wrap_socket(connection, server_side=True).close()
                except OSError:
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def test_a_certificate_that_nobody_vouches_for_is_told_with_the_option_for_its_ca(found, secure):
    finding = only(found("token", auth_url=f"https://localhost:{secure}/v3"))
    assert finding.text.startswith("Keystone: TLS: the certificate of 'localhost' is not accepted ('self")
    assert finding.remedy.startswith("set masakari.cafile to the CA that signed it")
    assert "clock" in finding.remedy


def test_a_certificate_for_another_name_is_told(found, secure, certificate):
    finding = only(found("token", auth_url=f"https://127.0.0.1:{secure}/v3", cafile=certificate))
    assert "not accepted (\"IP address mismatch" in finding.text


def test_with_its_ca_the_way_is_free_and_what_follows_is_the_trouble(found, secure, certificate):
    finding = only(found("token", auth_url=f"https://localhost:{secure}/v3", cafile=certificate))
    assert "TLS" not in finding.text
    assert "gives no token" in finding.text


def test_a_ca_file_that_is_missing_or_is_none_is_told(found, secure, tmp_path):
    finding = only(found("token", auth_url=f"https://localhost:{secure}/v3", cafile=tmp_path / "missing.pem"))
    assert finding.text.endswith("missing.pem' cannot be read")
    (tmp_path / "none.pem").write_text("no certificate")
    finding = only(found("token", auth_url=f"https://localhost:{secure}/v3", cafile=tmp_path / "none.pem"))
    assert "is no file of certificates" in finding.text
    assert finding.remedy == "correct masakari.cafile"


def test_https_where_only_http_is_spoken_is_told(found, endpoint):
    finding = only(found("token", auth_url=endpoint.auth_url.replace("http:", "https:")))
    assert finding.text.startswith("Keystone: TLS: '127.0.0.1' does not begin it")
    assert "http:// in masakari.auth_url" in finding.remedy


def test_no_secret_is_in_a_childs_command_line_or_environment(found, monkeypatch):
    begun, popen = [], subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda *words, **more: begun.append((words, more)) or popen(*words, **more)
    )  # fmt: skip
    found(send=True)
    assert len(begun) == 3
    assert all(set(more["env"]) == {"PATH", "LANG"} for _, more in begun)
    assert PASSWORD not in repr(begun)
