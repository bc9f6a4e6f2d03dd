"""What an agent's answer means. Numbers as measured with libvirt 9.0 and read in 7.0 to 11.3."""

from __future__ import annotations

import json

import pytest

from heartbeat.probe import LIFE, Answer, Failure, question, read_failure, read_reply

NUMBER = 1234567


@pytest.mark.parametrize("reply", [
    '{"return": 1234567}', '{"return":1234567,"more":[1]}', ' {"return":1234567}\r\n',
])  # fmt: skip
def test_our_number_is_a_proper_answer(reply):
    assert read_reply(reply, NUMBER) is Answer.ALIVE


@pytest.mark.parametrize("reply", [
    '{"return": 1234568}', '{"return": "1234567"}', '{"return": null}', '{"return": {}}', '{"return": [1234567]}',
    '{"return": NaN}', '{"return": Infinity}', '{"return": -1234567}', '{"return": 1e400}',
    '{"Return": 1234567}', '{}', '{"error": {"class": "GenericError", "desc": "no"}}', "[1,2,3]", "[1234567]",
    "1234567", '"x"', "null", "true", "", " ", "{", '{"return":', "\x00", "\ufffd", "{'return': 1234567}",
    "[" * 4000, '{"a":' * 800, '{"return": ' + "1" * 4000 + "}", '{"return": 1234567, "x": "' + "B" * 5000 + '"}',
    "B" * (1 << 20), None, 1234567, b'{"return": 1234567}', {"return": 1234567}, ["return"], object(),
], ids=lambda reply: repr(reply)[:40])  # fmt: skip
def test_any_other_reply_is_life_but_no_proper_answer(reply):
    assert read_reply(reply, NUMBER) is Answer.GARBLED


@pytest.mark.parametrize(("reply", "number"), [('{"return": true}', 1), ('{"return": false}', 0)])
def test_a_boolean_is_not_a_number(reply, number):
    assert read_reply(reply, number) is Answer.GARBLED


def test_an_answer_to_an_earlier_question_is_not_ours():
    first = json.loads(question(41))["arguments"]["id"]
    assert read_reply(json.dumps({"return": first}), 42) is Answer.GARBLED


def test_the_question_is_one_that_leaves_no_line_in_the_guests_log():
    assert json.loads(question(NUMBER)) == {"execute": "guest-sync", "arguments": {"id": NUMBER}}


# code, domain, seconds, our timeout -> what it means. 86 before 11.2, 112 and 113 from then on.
FAILURES = [
    ("an error object, up to 11.1", 1, 10, 0.003, 5, Answer.GARBLED),
    ("an error object after a slow while", 1, 10, 4.9, 5, Answer.GARBLED),
    ("QEMU dies and its end of the agent's socket closes", 1, 10, 2.0, 5, Answer.GARBLED),
    ("an error object, from 11.2", 113, 10, 0.003, 5, Answer.ALIVE),
    ("a reply that is no JSON or no UTF-8, measured with 11.3", 1, 0, 0.03, 5, Answer.GARBLED),
    ("a reply above 4 MiB", 39, 7, 0.6, 5, Answer.GARBLED),
    ("a reply above 10 MiB", 38, 10, 0.8, 5, Answer.GARBLED),
    ("no channel in the XML", 74, 10, 0.0, 5, Answer.NO_CHANNEL),
    ("paused, crashed or shutting down", 55, 10, 0.0, 5, Answer.NOT_RUNNING),
    ("the domain is gone", 42, 10, 0.0, 5, Answer.GONE),
    ("channel closed by the guest", 86, 10, 0.001, 5, Answer.NOT_CONNECTED),
    ("libvirt gave the channel up", 86, 10, 0.0003, 1, Answer.NOT_CONNECTED),
    ("sync timed out", 86, 10, 5.0, 5, Answer.SILENT),
    ("first silence with a short timeout", 86, 10, 1.0, 1, Answer.SILENT),
    ("later silence with a short timeout", 86, 10, 5.0, 1, Answer.SILENT),
    ("first silence with a long timeout, sync of 5 s", 86, 10, 5.0, 20, Answer.SILENT),
    ("first silence with a long timeout", 86, 10, 20.0, 20, Answer.SILENT),
    ("sync was answered late, then silence", 86, 10, 9.9, 5, Answer.SILENT),
    ("waited for another client's call, then silence", 86, 10, 29.0, 5, Answer.SILENT),
    ("command timed out, from 11.2", 112, 10, 5.0, 5, Answer.SILENT),
    ("reboot: the channel disappeared", 86, 10, 0.5, 5, Answer.CLOSED),
    ("killed agent: disappeared", 86, 10, 1.1, 5, Answer.CLOSED),
    ("channel closed while waiting, from 11.2", 112, 10, 0.5, 5, Answer.CLOSED),
    ("channel closed at once, from 11.2", 112, 10, 0.01, 5, Answer.CLOSED),
    ("another client's call for 30 s", 68, 10, 30.0, 5, Answer.BUSY),
    ("max_queued is reached", 9, 10, 0.0, 5, Answer.BUSY),
    ("libvirtd stops while we wait", 38, 7, 3.0, 5, Answer.LINK),
    ("our connection is closed", 1, 7, 0.0, 5, Answer.LINK),
    ("read-only connection", 29, 0, 0.0, 5, Answer.DENIED),
    ("access control", 88, 0, 0.0, 5, Answer.DENIED),
    ("no libvirt error at all", 0, 0, 0.0, 5, Answer.UNCLEAR),
    ("a number that we do not know", 9999, 10, 5.0, 5, Answer.UNCLEAR),
    ("the argument's fault", 8, 10, 0.0, 5, Answer.UNCLEAR),
]


@pytest.mark.parametrize(("code", "domain", "elapsed", "timeout", "meaning"), [row[1:] for row in FAILURES],
                         ids=[row[0] for row in FAILURES])
def test_each_error_of_libvirts_has_one_meaning(code, domain, elapsed, timeout, meaning):
    assert read_failure(Failure(code, domain), elapsed, timeout) is meaning


@pytest.mark.parametrize("answer", list(Answer))
def test_only_a_reply_is_life(answer):
    assert (answer in LIFE) == (answer in (Answer.ALIVE, Answer.GARBLED))
