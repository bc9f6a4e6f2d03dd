"""Several backends at once, with the real senders and a server: each has its own way, and none waits for another."""

from __future__ import annotations

import json

import pytest

from heartbeat import configuration
from heartbeat.hostname import Hostname
from heartbeat.incident import AGENT_SILENT, HUNG, OBSERVED, RECORD, RECOVER, SUSPENDED, Close, Open
from heartbeat.ledger import Ledger
from heartbeat.reporting import Reporting
from tests.harness.endpoint import Endpoint, Fault
from tests.harness.receivers import KEY
from tests.harness.wait import until

GUEST = "25efc0bf-1659-4c83-b4e6-4e0e6d0f0b01"
OTHER = "25efc0bf-1659-4c83-b4e6-4e0e6d0f0b02"
OPENED = "2026-11-20T05:00:00.000000+00:00"
ALL = ("masakari", "vitrage", "mistral", "webhook", "command")


class Node:
    """What reports, with no guests: incidents are opened by hand."""

    def __init__(self, directory, endpoint: Endpoint) -> None:
        self.directory, self.endpoint = directory, endpoint
        directory.chmod(0o700)
        (directory / "alert").write_text(f'#!/bin/sh\necho "$QGA_EVENT $QGA_VERDICT $QGA_ID" >> {directory}/ran\n')
        (directory / "alert").chmod(0o700)
        self.ledger = Ledger(str(directory / "state"))
        self.asked: list[tuple[int, bool]] = []
        self.answers = {True: "stands", False: "stands"}
        self.reporting = Reporting(self.config(), "node", Hostname("compute1", ""), self.ledger, lambda: OPENED)
        self.reporting.start(self.confirm, lambda uuids: {}, lambda *_: None)

    def confirm(self, incident: int, acts: bool) -> str:
        self.asked.append((incident, acts))
        return self.answers[acts]

    def config(self, *backends: str, masakari: str = ""):
        path = self.directory / "ours.conf"
        path.write_text(f"""[report]
backends = {", ".join(backends or ALL)}
[masakari]
auth_url = {self.endpoint.auth_url}
username = masakari
password = secret
{masakari}
[webhook]
url = {self.endpoint.url}/hook
key = {KEY}
[command]
path = {self.directory}/alert
""")
        path.chmod(0o640)
        return configuration.load(str(path))

    def reload(self, *backends: str, masakari: str = "") -> None:
        self.reporting.reload(self.config(*backends, masakari=masakari), "node", Hostname("compute1", ""))

    def fail(self, uuid: str = GUEST, verdict: str = HUNG, action: str = RECOVER) -> int:
        change = Open(uuid, "vm", "i1", verdict, action, "{}")
        number = self.ledger.apply([change], OPENED, self.reporting.recipients())[0].id
        self.reporting.wake()
        return number

    def close(self, incident: int) -> None:
        self.ledger.apply([Close(incident, "answers again")], OPENED, {})
        self.reporting.wake()

    def owes_nothing(self) -> None:
        until(lambda: not any(self.ledger.pending(name) for name in ALL), "all to be delivered", 60)

    def told(self, name: str) -> list[str]:
        """What a receiver has been told, in a word each."""
        if name == "masakari":
            return [it.notification["payload"]["vir_domain_event"] for it in self.endpoint.notifications]
        if name == "command":
            path = self.directory / "ran"
            return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []
        found = [json.loads(attempt.body) for attempt in self.endpoint.received[name]]
        if name == "vitrage":
            return [document["details"]["status"] for document in found]
        return [document["input"]["action"] if name == "mistral" else document["event"] for document in found]


@pytest.fixture
def node(tmp_path):
    with Endpoint(hosts=("compute1",)) as endpoint:
        node = Node(tmp_path, endpoint)
        yield node
        node.reporting.stop()
        node.ledger.close()


def test_every_backend_is_told_of_a_failure_and_those_that_know_it_of_its_end(node):
    number = node.fail()
    node.owes_nothing()
    node.close(number)
    node.owes_nothing()
    assert {name: node.told(name) for name in ALL} == {
        "masakari": ["STOPPED_FAILED"], "mistral": ["recover"], "vitrage": ["firing", "resolved"],
        "webhook": ["failed", "cleared"], "command": ["failed", "cleared"],
    }  # fmt: skip
    assert [it["name"] for it in node.reporting.status()] == list(ALL)
    assert all((it["pending"], it["error"]) == (0, None) for it in node.reporting.status())


def test_one_that_is_away_holds_up_no_other_and_is_named(node):
    node.endpoint.fail(503, times=0, on="vitrage")
    node.fail()
    until(lambda: all(node.told(name) for name in ALL), "all to be told", 60)
    until(lambda: node.ledger.deliveries([1])[1] == {**dict.fromkeys(ALL, "delivered"), "vitrage": "pending"},
          "all but Vitrage to have taken it", 60)  # fmt: skip
    until(lambda: [it["name"] for it in node.reporting.status() if it["error"]] == ["vitrage"], "it to be named", 60)
    node.endpoint.heal()
    node.reload()
    node.owes_nothing()
    assert set(node.ledger.deliveries([1])[1].values()) == {"delivered"}


def test_a_question_about_an_old_report_that_hangs_keeps_no_new_one_waiting(node):
    node.reload("masakari", masakari="timeout = 120")
    node.endpoint.fail(Fault.HANG, times=0, on="reads")
    node.fail()
    until(lambda: node.endpoint.reads, "Masakari to be asked what became of it", 60)
    node.fail(OTHER)
    until(lambda: len(node.endpoint.notifications) == 2, "the other guest's report", 60)
    assert len(node.endpoint.reads) == 1, "which still hangs"
    node.endpoint.heal()
    node.endpoint.masakari.settle(node.endpoint.masakari.stored[0]["notification_uuid"], "ignored")
    until(lambda: (it := node.ledger.fruit(1)) and it.outcome == "ignored", "the outcome", 60)


def test_what_is_only_recorded_reaches_those_that_want_it(node):
    for number, action in enumerate((RECORD, OBSERVED, SUSPENDED)):
        node.fail(GUEST[:-1] + str(number), AGENT_SILENT if action == RECORD else HUNG, action)
    node.owes_nothing()
    assert {name: len(node.told(name)) for name in ALL} == {
        "masakari": 0, "mistral": 0, "vitrage": 3, "webhook": 3, "command": 0,
    }  # fmt: skip
    actions = {json.loads(attempt.body)["action"] for attempt in node.endpoint.received["webhook"]}
    assert actions == {"record", "observed", "suspended"}


def test_masakari_is_given_records_only_if_asked_for_and_as_what_its_engine_ignores(node):
    node.reload("masakari", masakari="records = yes")
    node.fail(verdict=AGENT_SILENT, action=RECORD)
    node.fail(OTHER, HUNG, OBSERVED)
    node.owes_nothing()
    payloads = [attempt.notification["payload"] for attempt in node.endpoint.notifications]
    assert [(it["event"], it["vir_domain_event"]) for it in payloads] == [
        ("QGA_RECORD", "AGENT_SILENT"), ("QGA_RECORD", "HUNG"),
    ]  # fmt: skip


def test_a_backend_that_is_taken_away_and_comes_back_still_brings_what_it_owes(node):
    node.answers[False] = "not-now"
    node.fail()
    until(lambda: (1, False) in node.asked, "Vitrage's courier to ask", 60)
    node.reload("masakari")
    assert [it["name"] for it in node.reporting.status()] == ["masakari"]
    node.answers[False] = "stands"
    node.fail(OTHER)
    node.reload()
    node.owes_nothing()
    assert node.told("vitrage") == ["firing"], "nobody was to tell it of the second"
    assert len(node.told("masakari")) == 2


def test_who_may_recover_is_asked_as_such_and_who_informs_is_not_kept_back(node):
    node.answers[True] = "not-now"
    node.fail()
    until(lambda: node.told("vitrage") and node.told("webhook"), "those who inform", 60)
    assert {acts for _, acts in node.asked} == {True, False}
    assert [node.told(name) for name in ("masakari", "mistral", "command")] == [[], [], []]
    node.answers[True] = "stands"
    node.owes_nothing()
    assert all(node.told(name) for name in ALL)
