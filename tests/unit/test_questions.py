"""How agents are asked. The connection is a stand-in that counts calls; tests/live asks real ones."""

from __future__ import annotations

import json
from types import SimpleNamespace

import libvirt
import libvirt_qemu
import pytest

from heartbeat.health.replies import Reply
from heartbeat.hypervisor.calls import MOST_SAID, Questions, _Command, _Question
from heartbeat.hypervisor.link import Asker
from heartbeat.message import Replied
from heartbeat.probe import COMMAND_FAILED, INTERNAL, NO_DOMAIN, UNRESPONSIVE, Answer, request
from tests.harness.observations import OTHER, UUID


class Connection:
    """calls: in their order, each with a guest's uuid. fails: libvirt's error numbers that the next questions meet,
    with this text. replies: what the next ones are answered, instead of what they ask for."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.fails: list[int] = []
        self.text, self.replies = "made up", []

    def lookupByUUIDString(self, uuid: str) -> str:  # noqa: N802
        self.calls.append(("lookup", uuid))
        return uuid

    def isAlive(self) -> bool:  # noqa: N802
        return True

    def command(self, domain: str, text: str, *_: object) -> str:
        self.calls.append(("command", domain))
        if self.fails:
            error = libvirt.libvirtError("made up")
            error.err = (self.fails.pop(0), 10, self.text, 2, None, None, None, 0, 0)
            raise error
        if self.replies:
            return self.replies.pop(0)
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


@pytest.fixture
def give(link):
    """One command, and what comes of it."""
    posted = []
    questions = Questions(link, 1, posted.append)

    def give(execute: str = "guest-exec-status", **arguments: object) -> Reply:
        questions._ask(0, _Command(UUID, 7, request(execute, arguments), 5))
        message = posted.pop()
        assert isinstance(message, Replied)
        assert (message.uuid, message.token, posted) == (UUID, 7, [])
        assert message.reply.took >= 0
        return message.reply._replace(took=0.0)

    return give


def test_a_command_s_reply_comes_back_with_its_token_and_what_was_returned(connection, give):
    connection.replies = ['{"return": {"exited": true, "exitcode": 1}}', '{"return": null}', '{"return": [1.5, -2]}']
    assert give(pid=5) == Reply(Answer.ALIVE, {"exited": True, "exitcode": 1})
    assert give() == Reply(Answer.ALIVE, None)
    assert give() == Reply(Answer.ALIVE, [1.5, -2])
    assert connection.taken() == ["lookup", "command", "command", "command"]


@pytest.mark.parametrize("reply", [
    "", "{", "[]", "5", '{"error": {}}', '{"return": NaN}', '{"return": ' + "9" * 30 + "}", "[" * 100_000,
    '{"return": "' + "x" * (1 << 20) + '"}', None,
], ids=lambda reply: repr(reply)[:30])  # fmt: skip
def test_a_reply_that_nobody_can_use_is_garbled(connection, give, reply):
    connection.replies = [reply]
    assert give() == Reply(Answer.GARBLED)


@pytest.mark.parametrize(("code", "answer"), [
    (INTERNAL, Answer.GARBLED), (COMMAND_FAILED, Answer.ALIVE), (UNRESPONSIVE, Answer.NOT_CONNECTED),
])  # fmt: skip
def test_a_refusal_is_life_and_libvirts_text_of_a_failure_is_kept_and_bounded(connection, give, code, answer):
    connection.fails, connection.text = [code] * 2, "unable to execute QEMU agent command 'guest-exec': disabled"
    assert give("guest-exec") == Reply(answer, None, connection.text)
    connection.text = "x" * 100_000
    assert len(give("guest-exec").error) == MOST_SAID


def test_a_command_without_a_connection_comes_back_as_well(link, give):
    link.askers = []
    assert give() == Reply(Answer.LINK)


def test_a_failure_of_our_own_is_no_word_on_the_guest(link, give):
    link.askers = [None]
    assert give() == Reply(Answer.UNCLEAR)
