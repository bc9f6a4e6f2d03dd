"""A part of the cloud is away for a while: what is shown meanwhile, and what becomes of a report of ours after."""
from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
import requests

from heartbeat.backends import Delivered, Later, Report
from heartbeat.incident import HUNG
from heartbeat.sender import Sender
from tests.harness.wait import until

HOST = "absent"


@pytest.fixture(scope="module")
def away(cloud):
    """The cloud, with a host for these tests; all parts run again after each."""
    cloud.segment(HOST)
    return cloud


@pytest.fixture
def sender(away):
    sender = Sender(away.sender_options())
    yield sender
    sender.close()


def report(guest: str, age: float = 0.0) -> Report:
    """About a guest that was found so many seconds ago."""
    found = datetime.now(timezone.utc) - timedelta(seconds=age)
    return Report(1, guest, HUNG, found.isoformat(timespec="microseconds"), HOST, False)


def delivered(sender: Sender, about: Report) -> str:
    outcome = sender.deliver(about)
    assert isinstance(outcome, Delivered), outcome
    return outcome.reference


@pytest.fixture
def without_engine(away):
    away.services.stop("masakari")
    away.services.start("masakari without engine")
    yield away
    away.services.stop("masakari")
    away.services.start("masakari")


class TestWithoutEngine:
    # Older than the minute after which the engine takes up what nobody has told it of.
    AGE = 61.0

    def test_a_report_is_accepted_stays_new_and_is_taken_up_when_the_engine_is_back(self, without_engine, sender):
        cloud = without_engine
        guest = cloud.nova.server(host=HOST).uuid
        number = delivered(sender, report(guest, self.AGE))
        assert cloud.notification(number, "1.0")["status"] == "new"
        cloud.services.stop("masakari")
        cloud.services.start("masakari")
        assert cloud.outcome(number)["status"] == "finished"
        assert cloud.nova.actions(guest) == ["os-stop", "os-start"]

    def test_details_cannot_be_had_but_the_status_can(self, without_engine, sender):
        cloud = without_engine
        number = delivered(sender, report(cloud.nova.server(host=HOST).uuid))
        with pytest.raises(requests.HTTPError) as refused:
            cloud.notification(number, "1.1")
        assert refused.value.response.status_code == 500
        assert "MessagingTimeout" in refused.value.response.json()["masakariFault"]["message"]
        assert cloud.notification(number, "1.0")["status"] == "new"


def test_what_an_engine_that_died_was_doing_stays_running(away, sender):
    server = away.nova.server(host=HOST, stuck={"os-stop"})
    number = delivered(sender, report(server.uuid))
    until(lambda: away.nova.actions(server.uuid), "the engine to stop the guest")
    away.services.stop("masakari")
    away.services.start("masakari")
    # The next engine looks for what is not done yet once this has failed for good, and passes it over.
    marker = delivered(sender, report("5e3ba1b0-8f5b-4c0e-9b52-6a9d2f1c0001"))
    assert away.outcome(marker)["status"] == "failed"
    assert away.notification(number)["status"] == "running"
    assert away.nova.actions(server.uuid) == ["os-stop"]


def test_a_report_that_meets_no_keystone_is_kept_and_arrives_once(away, sender):
    server = away.nova.server(host=HOST)
    about = report(server.uuid)
    assert sender.prepare() is None     # our token is good; it is Masakari that can ask nobody
    away.services.stop("keystone")
    try:
        outcome = sender.deliver(about)
    finally:
        away.services.start("keystone")
    assert isinstance(outcome, Later)
    assert (outcome.reason, outcome.uncertain, outcome.whole) == ("Masakari answers 503", True, True)
    number = delivered(sender, about)
    assert away.outcome(number)["status"] == "finished"
    assert away.nova.actions(server.uuid) == ["os-stop", "os-start"]


def test_a_report_sent_again_is_known_to_have_arrived_and_a_second_failure_has_to_wait(away, sender):
    about = report(away.nova.server(host=HOST).uuid)
    number = delivered(sender, about)
    assert sender.deliver(Report(1, about.uuid, HUNG, about.generated_time, HOST, True)) == Delivered("")
    second = sender.deliver(report(about.uuid))
    assert isinstance(second, Later)
    assert second.renew
    assert away.outcome(number)["status"] == "finished"
