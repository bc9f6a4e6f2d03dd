"""How agents are asked. The connection is a stand-in that counts calls; tests/live asks real ones."""

from __future__ import annotations

import json
from types import SimpleNamespace

import libvirt
import libvirt_qemu
import pytest

from heartbeat.hypervisor.calls import Questions, _Question
from heartbeat.hypervisor.link import Asker
from heartbeat.probe import NO_DOMAIN, UNRESPONSIVE, Answer
from tests.harness.observations import OTHER, UUID


class Connection:
    """calls: in their order, each with a guest's uuid. fails: libvirt's error numbers that the next questions meet."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.fails: list[int] = []

    def lookupByUUIDString(self, uuid: str) -> str:  # noqa: N802
        self.calls.append(("lookup", uuid))
        return uuid

    def isAlive(self) -> bool:  # noqa: N802
        return True

    def command(self, domain: str, text: str, *_: object) -> str:
        self.calls.append(("command", domain))
        if self.fails:
            error = libvirt.libvirtError("made up")
            error.err = (self.fails.pop(0), 10, "made up", 2, None, None, None, 0, 0)
            raise error
        return json.dumps({"return": json.loads(text)["arguments"]["id"]})

    def taken(self) -> list[str]:
        names = [name for name, _ in self.calls]
        self.calls.clear()
        return names


@pytest.fixture
def connection(monkeypatch):
    connection = Connection()
    monkeypatch.setattr(libvirt_qemu, "qemuAgentCommand", connection.command)
    return connection


@pytest.fixture
def link(connection):
    return SimpleNamespace(askers=[Asker(connection)], lost=lambda _: pytest.fail("it is alive"))


@pytest.fixture
def ask(link):
    posted = []
    questions = Questions(link, 1, posted.append)

    def ask(uuid: str = UUID) -> Answer:
        questions._ask(0, _Question(uuid, 0.0, 5))
        return posted.pop().observation.answer

    return ask


def test_a_question_is_one_call_to_libvirt_and_the_domain_is_looked_up_once(connection, ask):
    assert [ask() for _ in range(3)] == [Answer.ALIVE] * 3
    assert connection.taken() == ["lookup", "command", "command", "command"]


@pytest.mark.parametrize(("code", "answer"), [(NO_DOMAIN, Answer.GONE), (UNRESPONSIVE, Answer.NOT_CONNECTED)])
def test_a_domain_whose_question_failed_is_looked_up_anew(connection, ask, code, answer):
    ask()
    connection.fails.append(code)
    assert [ask(), ask()] == [answer, Answer.ALIVE]
    assert connection.taken() == ["lookup", "command", "command", "lookup", "command"]


def test_a_new_connection_has_domains_of_its_own(connection, link, ask):
    ask()
    link.askers = [Asker(connection)]
    ask()
    assert connection.taken() == ["lookup", "command"] * 2


def test_a_guest_that_is_in_libvirts_list_no_more_is_not_kept(connection, link, ask):
    ask(), ask(OTHER)
    link.askers[0].forget_all_but({UUID: None})
    ask(), ask(OTHER)
    assert connection.taken()[4:] == ["command", "lookup", "command"]


def test_without_a_connection_nobody_is_asked_and_the_link_is_to_blame(connection, link, ask):
    link.askers = []
    assert ask() is Answer.LINK
    assert connection.calls == []
