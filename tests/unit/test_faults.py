"""What a network can do to a report, with the real sender, its child and sockets; and an outage of an hour."""

from __future__ import annotations

import os
import resource
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from heartbeat import sender as sender_module
from heartbeat.backends import Delivered, Report
from heartbeat.delivery import STANDS, Courier
from heartbeat.incident import HUNG, RECOVER, Open
from heartbeat.ledger import Ledger, Recipient
from heartbeat.sender import Sender
from tests.harness.credentials import sender_options
from tests.harness.endpoint import Endpoint, Fault
from tests.harness.receivers import KEY

GUEST = "25efc0bf-1659-4c83-b4e6-4e0e6d0f0b01"
OPENED = "2026-11-20T05:00:00+00:00"
REPORT = Report(1, GUEST, HUNG, OPENED, "compute1", False, opened=OPENED, evidence="{}")
DEAF = "127.77.0.53"  # a resolver that nobody else uses
QUEUES = {"masakari": "notifications", "vitrage": "vitrage", "mistral": "mistral", "webhook": "webhook"}
# Vitrage and Mistral are reached by the code that reaches Masakari, so what happens before a request is the same.
TWO_WAYS = pytest.mark.parametrize("name", ["masakari", "webhook"])
every = pytest.mark.parametrize("name", QUEUES)


@pytest.fixture
def endpoint():
    with Endpoint(hosts=("compute1",)) as endpoint:
        yield endpoint


@pytest.fixture
def options(endpoint):
    return sender_options(endpoint.auth_url, 6, workflow="masakari_qga", url=endpoint.url + "/hook", key=KEY)


@pytest.fixture
def make(options):
    made = []

    def sender(name, **changes) -> Sender:
        made.append(Sender({**options, **changes}, name))
        return made[-1]

    yield sender
    for it in made:
        it.close()


def stored(endpoint, name: str) -> int:
    """How often the receiver has acted."""
    counts = {"masakari": lambda: len(endpoint.masakari.stored),
              "vitrage": lambda: len(endpoint.receiver("vitrage").history),
              "mistral": lambda: len(endpoint.receiver("mistral").executions),
              "webhook": lambda: len(endpoint.receiver("webhook").acted)}  # fmt: skip
    return counts[name]()


@every
def test_an_answer_that_drips_for_ever_is_cut_off_and_the_repetition_acts_once(make, endpoint, name, monkeypatch):
    """Each byte comes in time, so no timeout of a read ever ends it."""
    backend = make(name, timeout=1)
    assert backend.prepare() is None
    monkeypatch.setattr(sender_module, "START_SECONDS", 1.0)
    endpoint.fail(Fault.DRIP, on=QUEUES[name])
    outcome = backend.deliver(REPORT)
    assert (outcome.uncertain, outcome.whole) == (True, True)
    assert outcome.reason.startswith("no answer within 3 s; check that ")
    assert outcome.reason.endswith(f"or raise {name}.timeout")
    monkeypatch.undo()
    assert isinstance(make(name).deliver(REPORT._replace(resend=True)), Delivered)
    assert stored(endpoint, name) == 1


@every
@pytest.mark.parametrize("fault", [Fault.HANG_AFTER_STORING, Fault.HALF_CLOSED])
def test_what_was_stored_without_an_answer_is_acted_on_once_when_it_is_repeated(make, endpoint, name, fault):
    endpoint.fail(fault, on=QUEUES[name])
    assert make(name, timeout=1).deliver(REPORT).uncertain
    assert isinstance(make(name).deliver(REPORT._replace(resend=True)), Delivered)
    assert stored(endpoint, name) == 1


@every
def test_a_server_that_refuses_the_connection_is_surely_not_told(make, endpoint, name):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/"
        outcome = make(name, url=url, endpoint=url).deliver(REPORT)
    assert (outcome.uncertain, outcome.whole) == (False, True)
    assert "cannot be reached: connection refused" in outcome.reason


@pytest.mark.skipif(os.geteuid() != 0, reason="gives the child a file system of its own")
@TWO_WAYS
def test_a_resolver_that_never_answers_is_cut_off_in_time(make, endpoint, name, tmp_path, monkeypatch):
    """The library waits for it inside of a system call, for minutes; the parent does not."""
    (tmp_path / "resolv.conf").write_text(f"nameserver {DEAF}\noptions timeout:30 attempts:5\n")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind((DEAF, 53))
        wrapper = tmp_path / "python"
        mount = f"mount --bind {tmp_path}/resolv.conf /etc/resolv.conf && exec {shlex.quote(sys.executable)} \"$@\""
        wrapper.write_text(f"#!/bin/sh\nexec unshare --mount sh -c '{mount}' - \"$@\"\n")
        wrapper.chmod(0o700)
        monkeypatch.setattr(sys, "executable", str(wrapper))
        monkeypatch.setattr(sender_module, "START_SECONDS", 1.0)
        backend = make(name, timeout=1, url="http://deaf.example/", endpoint="http://deaf.example/")
        outcome = backend.deliver(REPORT)
    assert outcome.whole
    assert outcome.reason.startswith("no answer within 3 s")
    assert backend._process is None


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> str:
    path = str(tmp_path_factory.mktemp("tls") / "both.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", path, "-out", path + ".crt"]
    command += ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(path + ".crt") as public, open(path, "a") as both:
        both.write(public.read())
    return path


@pytest.fixture
def encrypted(endpoint, certificate):
    """The endpoint behind TLS."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    endpoint._server.socket = context.wrap_socket(endpoint._server.socket, server_side=True)
    return endpoint.url.replace("http:", "https:")


@pytest.mark.parametrize("name", ["webhook"])
def test_an_unknown_certificate_is_refused_and_the_option_named(make, encrypted, certificate, name):
    outcome = make(name, url=f"{encrypted}/hook").deliver(REPORT)
    assert (outcome.uncertain, outcome.whole, outcome.after) == (False, True, 60.0)
    assert "certificate is not accepted" in outcome.reason
    assert outcome.reason.endswith("check webhook.cafile")
    assert isinstance(make(name, url=f"{encrypted}/hook", cafile=certificate).deliver(REPORT), Delivered)


@every
def test_a_time_that_the_server_asks_for_is_granted(make, name, endpoint, monkeypatch):
    monkeypatch.setattr("tests.harness.endpoint_http.RETRY_AFTER", "77")
    endpoint.fail(503, on=QUEUES[name])
    assert make(name).deliver(REPORT).after == 77


# An outage, in logical time.


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def memory() -> int:
    """kB that this process holds now."""
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * resource.getpagesize() // 1024


@TWO_WAYS
def test_an_hours_outage_with_two_hundred_incidents_is_made_up_for_and_nobody_is_told_twice(
    make, endpoint, tmp_path, name
):
    clock, ledger = Clock(), Ledger(str(tmp_path))
    guests = [f"25efc0bf-1659-4c83-b4e6-{number:012}" for number in range(200)]
    courier = Courier(
        make(name), ledger, lambda: "compute1", lambda _: STANDS, lambda: OPENED, clock, lambda: 0.5
    )

    def run(seconds: float) -> None:
        end = clock.now + seconds
        while True:
            wait = courier.step()
            if clock.now + wait > end:
                clock.now = end
                return
            clock.now += wait

    endpoint.refuse()
    for number, guest in enumerate(guests):
        change = Open(guest, "vm", "i1", HUNG, RECOVER, "{}")
        ledger.apply([change], OPENED, {RECOVER: [Recipient(name)]})
        run(18)
        if number == 40:
            before = memory()
    assert memory() - before < 4096
    assert ledger.counts(name) == {"pending": 200}
    assert "refused" in courier.trouble
    endpoint.open()
    run(120)
    assert ledger.counts(name) == {"delivered": 200}
    assert stored(endpoint, name) == 200
    requests = endpoint.attempts if name == "masakari" else endpoint.received[name]
    assert len(requests) == 200, "nothing was repeated"
    assert courier.trouble is None
    ledger.close()
