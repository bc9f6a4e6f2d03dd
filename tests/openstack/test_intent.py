"""A round with Nova by the real Keystone: its catalogue, its token from one round to the next, and who may ask."""
from __future__ import annotations

import uuid

import pytest

from heartbeat.expectation import DELETED, Question
from heartbeat.message import Heard, Unheard
from heartbeat.nova import Nova, Wanted
from tests.harness.nova import DETAIL

HOST = "intent-1"


@pytest.fixture
def rounds(cloud):
    """What rounds bring, one after the other, with one client."""
    posted: list = []
    client = Nova(None, lambda: Question("", ()), posted.append)

    def rounds(question: Question, **options: object):
        client._question = lambda: question
        client.round(Wanted({**cloud.sender_options(), **options}, HOST, "HA_Enabled", 60.0))
        return posted[-1]
    return rounds


def test_nova_is_found_in_the_catalogue_and_a_token_serves_many_rounds(cloud, rounds):
    mine, other, nobody = cloud.nova.server(host=HOST), cloud.nova.server(host="intent-2"), str(uuid.uuid4())
    asked = len(cloud.nova.requests)
    first = rounds(Question("", (other.uuid, nobody)))
    assert isinstance(first, Heard), first
    assert [it.uuid for it in first.answer.servers] == [mine.uuid]
    assert [(it.uuid, it.host, it.vm_state) for it in first.answer.singles] == [
        (other.uuid, "intent-2", "active"), (nobody, "", DELETED)]
    # With a password that is wrong by now a round can only live on the token of the last.
    auth = {**cloud.sender_options()["auth"], "password": "changed"}
    second = rounds(Question(first.answer.date, ()), auth=auth)
    assert isinstance(second, Heard), second
    assert not second.answer.whole
    assert {it.microversion for it in cloud.nova.requests[asked:] if it.what == DETAIL} == {"2.53"}


def test_credentials_that_keystone_refuses_are_no_opinion(cloud, rounds):
    message = rounds(Question("", ()), auth={**cloud.sender_options()["auth"], "password": "wrong"})
    assert isinstance(message, Unheard)
    assert "Keystone refuses the credentials; check masakari.username" in message.why


def test_a_region_that_has_no_nova_is_named_with_its_remedy(rounds):
    message = rounds(Question("", ()), region="elsewhere")
    assert "Keystone's catalogue has no compute endpoint with interface public, region 'elsewhere'" in message.why
