"""The process that speaks HTTP: it exists only while there is something to say, and its end is no surprise.

With the real child, the real keystoneauth1 and an endpoint that keeps to Masakari's contract; and, at the end of this
file, killed helpers: a real ledger, courier and sender in a process that ends by SIGKILL at the worst moments.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from heartbeat import configuration, connections, sender
from heartbeat.backends import Delivered, Later, Report
from heartbeat.incident import HUNG, RECOVER, Open
from heartbeat.ledger import Ledger
from heartbeat.sender import Sender
from tests.harness.credentials import sender_options
from tests.harness.endpoint import Endpoint, Fault
from tests.harness.wait import until

ROOT = Path(__file__).resolve().parents[2]
GUEST = "25efc0bf-1659-4c83-b4e6-4e0e6d0f0b01"
OPENED = "2026-11-20T05:00:00+00:00"
REPORT = Report(1, GUEST, HUNG, OPENED, "compute1", False)
COMMAND = [sys.executable, "-I", str(ROOT / "heartbeat" / "sender.py"), "masakari"]


@pytest.fixture
def endpoint():
    with Endpoint(hosts=("compute1",)) as endpoint:
        yield endpoint


@pytest.fixture
def options(endpoint):
    return sender_options(endpoint.auth_url, 6)


@pytest.fixture
def masakari(options):
    masakari = Sender(options)
    yield masakari
    masakari.close()


def children() -> list[int]:
    return [int(word) for word in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def test_it_is_started_with_exactly_this_command_when_first_needed(masakari, endpoint, fp):
    fp.pass_command(COMMAND)
    assert list(fp.calls) == []
    assert isinstance(masakari.deliver(REPORT), Delivered)
    assert [list(call) for call in fp.calls] == [COMMAND]
    assert len(endpoint.notifications) == 1


def test_one_process_and_one_login_serve_many_reports(masakari, endpoint):
    assert masakari.prepare() is None
    process = masakari._process
    for number in range(3):
        report = REPORT.__class__(1, GUEST[:-1] + str(number), HUNG, OPENED, "compute1", False)
        assert isinstance(masakari.deliver(report), Delivered)
    assert masakari._process is process
    assert endpoint.logins == 1


def test_begun_it_loads_and_waits_and_has_not_logged_in(masakari, endpoint):
    masakari.begin()
    process = masakari._process
    assert masakari.prepare() is None
    assert (masakari._process, endpoint.logins) == (process, 1)
    masakari.close()
    masakari.begin()
    loaded = Path(f"/proc/{masakari._process.pid}/maps")
    until(lambda: "libssl" in loaded.read_text(), "the child to load", 60)
    assert endpoint.logins == 1


def test_no_secret_is_in_its_command_line_or_its_environment(masakari):
    masakari.prepare()
    process = Path(f"/proc/{masakari._process.pid}")
    assert b"secret" not in (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
    assert sorted((process / "environ").read_text().split("\0")) == [
        "", "LANG=C.UTF-8", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
    ]  # fmt: skip


def test_the_helper_itself_never_loads_keystoneauth1():
    code = "import sys, heartbeat.sender, heartbeat.delivery, heartbeat.backends.attributes; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    assert not {"requests", "keystoneauth1", "urllib3", "http.client"} & set(ran.stdout.decode().split())


def test_closed_it_is_gone_and_can_be_used_again(masakari):
    masakari.prepare()
    pid = masakari._process.pid
    masakari.close()
    assert not Path(f"/proc/{pid}").exists()
    assert isinstance(masakari.deliver(REPORT), Delivered)


def test_what_it_says_of_trouble_arrives_whole(masakari, endpoint):
    endpoint.masakari.maintenance.add("compute1")
    outcome = masakari.deliver(REPORT)
    assert (outcome.after, outcome.uncertain, outcome.renew, outcome.whole) == (60.0, False, False, True)
    assert "on_maintenance" in outcome.reason


def test_killed_while_idle_it_is_simply_started_again(masakari, endpoint):
    masakari.prepare()
    masakari._process.kill()
    masakari._process.wait()
    assert isinstance(masakari.deliver(REPORT), Delivered)


def test_killed_while_sending_the_report_may_have_arrived(masakari, endpoint, monkeypatch):
    endpoint.fail(Fault.HANG_AFTER_STORING)
    write = masakari._write

    def write_and_kill(document):
        write(document)
        if "report" in document:
            endpoint.wait(1)
            masakari.interrupt()

    monkeypatch.setattr(masakari, "_write", write_and_kill)
    outcome = masakari.deliver(REPORT)
    assert (outcome.uncertain, outcome.whole) == (True, True)
    assert outcome.reason == "the sender ended with status -15; check the memory of this node"


def test_a_child_that_does_not_answer_is_killed_in_time(masakari, monkeypatch):
    masakari.prepare()
    masakari._process.send_signal(signal.SIGSTOP)
    pid = masakari._process.pid
    monkeypatch.setattr(sender, "START_SECONDS", -11.9)
    outcome = masakari.deliver(REPORT)
    assert (outcome.uncertain, outcome.whole) == (True, True)
    assert outcome.reason.startswith("no answer within 0.1 s; check that Keystone and Masakari answer, or raise ")
    assert not Path(f"/proc/{pid}").exists()
    assert masakari.prepare().uncertain is False, "nothing is sent by preparing"


def test_what_cannot_be_started_is_said(masakari, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python3")
    assert masakari.deliver(REPORT) == Later("the sender cannot be started: No such file or directory", whole=True)


def test_new_settings_need_no_restart_of_ours(masakari, options, endpoint):
    options["auth"]["password"] = "wrong"
    assert masakari.prepare().after == 300.0
    masakari.configure({**options, "auth": {**options["auth"], "password": "secret"}})
    assert masakari.prepare() is None


def test_an_address_of_another_service_is_not_taken_for_keystones_nor_waited_for(masakari, options, endpoint):
    options["auth"]["auth_url"] = endpoint.url + "/instance-ha/v1/segments"
    assert masakari.prepare().reason == "Keystone: no versions of its API found; check masakari.auth_url"


def test_without_keystoneauth1_the_package_is_named(masakari, tmp_path, monkeypatch):
    heartbeat = tmp_path / "heartbeat"
    heartbeat.symlink_to(ROOT / "heartbeat")
    (tmp_path / "keystoneauth1.py").write_text("raise ImportError('gone', name='keystoneauth1')")
    monkeypatch.setattr(sender, "__file__", str(heartbeat / "sender.py"))
    for _ in range(2):
        assert masakari.prepare() == Later(
            "'keystoneauth1' cannot be imported; install python3-keystoneauth1", 60.0, whole=True
        )


@pytest.mark.parametrize(
    "line",
    [
        b"", b"null", b"[]", b"Traceback", b'{"later": null}', b'{"later": {"reason": 5}}', b'{"delivered": 5}',
        b'{"later": {"reason": "x", "after": 1e9}}', b'{"later": {"reason": "x", "after": NaN}}', b"\xff", b"x" * 20000,
    ],
)  # fmt: skip
def test_an_answer_that_makes_no_sense_is_no_success(masakari, line, tmp_path, monkeypatch):
    answers = tmp_path / "answers"
    answers.write_bytes(line + b"\n")
    monkeypatch.setattr(sender, "__file__", str(tmp_path / "sender.py"))
    (tmp_path / "sender.py").write_text(
        "import sys\nsys.stdin.readline()\nsys.stdin.readline()\n"
        f"sys.stdout.buffer.write(open({str(answers)!r}, 'rb').read())\nsys.stdout.flush()\nsys.stdin.readline()\n"
    )
    outcome = masakari.deliver(REPORT)
    assert outcome.uncertain
    assert "we do not understand" in outcome.reason
    assert masakari._process is None


def test_it_ends_with_the_helper_even_in_the_midst_of_a_report(endpoint, options):
    endpoint.fail(Fault.HANG)
    options["timeout"] = 3600
    code = f"from heartbeat.sender import *; Sender({options!r}).deliver({REPORT!r})"
    helper = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    listing = Path(f"/proc/{helper.pid}/task/{helper.pid}/children")
    until(lambda: listing.read_text().split(), "the child", 60)
    child = int(listing.read_text().split()[0])
    until(lambda: endpoint.logins, "the login", 60)
    helper.kill()
    helper.wait()
    until(lambda: not Path(f"/proc/{child}").exists(), "the end of the child", 60)


OURS = """[masakari]
auth_url = http://k:5000/v3
username = u
password = p
region = R
cafile = /ca
credentials = {}
"""
THEIRS = """[api]
auth_type = v3password
auth_url = http://other:5000
username = masakari
password = theirs
project_name = service
user_domain_id = default
region = Theirs
api_interface = internal
insecure = True
cafile = /their/ca
"""


def test_our_own_credentials_are_the_ones_used(tmp_path):
    (tmp_path / "qga.conf").write_text(OURS.format(tmp_path / "monitors.conf"))
    (tmp_path / "monitors.conf").write_text(THEIRS)
    options = connections.connection(configuration.load(str(tmp_path / "qga.conf")))
    assert options == {
        "auth": {
            "auth_url": "http://k:5000/v3", "username": "u", "password": "p", "project_name": "service",
            "user_domain_name": "Default", "project_domain_name": "Default",
        },
        "region": "R", "interface": "public", "endpoint": "", "cafile": "/ca", "insecure": False, "certfile": "",
        "keyfile": "", "timeout": 15, "names": {},
    }  # fmt: skip


def test_without_our_own_the_credentials_of_masakarimonitors_conf_are_used(tmp_path):
    (tmp_path / "qga.conf").write_text(f"[masakari]\ncredentials = {tmp_path}/monitors.conf\ncafile = /ca\n")
    (tmp_path / "monitors.conf").write_text(THEIRS)
    options = connections.connection(configuration.load(str(tmp_path / "qga.conf")))
    assert options["auth"]["auth_type"] == "v3password"
    assert options["auth"]["password"] == "theirs"
    got = [options[name] for name in ("region", "interface", "cafile", "insecure")]
    assert got == ["Theirs", "internal", "/ca", True]
    assert options["names"]["password"] == f"password of [api] in {tmp_path}/monitors.conf"


# A helper that is killed.

HELPER = """
import sys, threading
from datetime import datetime, timezone
from heartbeat.delivery import Courier
from heartbeat.ledger import Ledger
from heartbeat.sender import Sender
def wall(): return datetime.now(timezone.utc).isoformat()
def confirm(incident):
    print(incident, flush=True)
    if {hesitant}: threading.Event().wait()
    return "stands"
Courier(Sender({options!r}), Ledger({directory!r}), lambda: "compute1", confirm, wall).start()
sys.stdin.read()
"""


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(str(tmp_path / "state"))
    ledger.apply([Open(GUEST, "vm", "i1", HUNG, RECOVER, "{}")], OPENED, {RECOVER: ["masakari"]})
    yield ledger
    ledger.close()


@pytest.fixture
def helper(options, tmp_path, ledger):
    """Starts helpers, which are all of one node: each is killed before the next one starts."""
    running = []

    def start(hesitant: bool = False) -> subprocess.Popen:
        kill()
        code = HELPER.format(options=options, directory=str(tmp_path / "state"), hesitant=hesitant)
        command = [sys.executable, "-c", code]
        running.append(subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        return running[-1]

    def kill() -> None:
        while running:
            process = running.pop()
            process.kill()
            process.communicate()

    start.kill = kill
    yield start
    kill()


def status(ledger) -> str:
    return ledger.deliveries([1])[1]["masakari"]


def test_killed_before_the_report_was_sent_it_is_sent_by_the_next_helper(helper, endpoint, ledger):
    assert helper(hesitant=True).stdout.readline() == b"1\n"
    helper.kill()
    assert endpoint.attempts == []
    helper()
    until(lambda: status(ledger) == "delivered", "the record", 60)
    assert [attempt.status for attempt in endpoint.attempts] == [202]


def test_killed_between_the_attempts_record_and_its_arrival_it_is_sent_by_the_next_helper(helper, endpoint, ledger):
    endpoint.fail(Fault.HANG)
    helper()
    until(lambda: ledger._rows("SELECT 1 FROM delivery WHERE sending"), "the record of the attempt", 60)
    helper.kill()
    endpoint.heal()
    helper()
    until(lambda: status(ledger) == "delivered", "the record", 60)
    assert len(endpoint.notifications) == 1
    assert {attempt.notification["generated_time"] for attempt in endpoint.attempts} == {OPENED}


def test_killed_after_it_arrived_and_before_that_is_recorded_it_is_repeated_unchanged(helper, endpoint, ledger):
    endpoint.fail(Fault.HANG_AFTER_STORING)
    helper()
    endpoint.wait(1)
    assert status(ledger) == "pending"
    helper.kill()
    endpoint.heal()
    helper()
    until(lambda: status(ledger) == "delivered", "the record", 60)
    assert [attempt.body for attempt in endpoint.attempts] == [endpoint.attempts[0].body] * 2
    assert endpoint.attempts[1].status == 409
    assert len(endpoint.notifications) == 1


def test_killed_again_and_again_every_guest_is_reported_exactly_once(helper, endpoint, ledger):
    guests = [f"{GUEST[:-2]}{number:02}" for number in range(10, 30)]
    changes = [Open(guest, "vm", "i1", HUNG, RECOVER, "{}") for guest in guests]
    ledger.apply(changes, OPENED, {RECOVER: ["masakari"]})
    for count in (1, 5, 9, 13, 17):
        helper()
        endpoint.wait(count)
        helper.kill()
    helper()
    until(lambda: ledger.counts("masakari") == {"delivered": 21}, "the records", 60)
    reported = [attempt.notification["payload"]["instance_uuid"] for attempt in endpoint.notifications]
    assert sorted(reported) == sorted([GUEST, *guests])
