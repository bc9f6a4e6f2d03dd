"""What Masakari's engine makes of a report of ours, and what it shows of that: docs/masakari-outcomes.rst."""
from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import NamedTuple

import pytest

from heartbeat.backends import Delivered, Report
from heartbeat.incident import HUNG, QEMU_DIED
from heartbeat.sender import Sender
from tests.harness.cloud import Cloud
from tests.harness.nova import Server
from tests.harness.wait import until
from tests.openstack.outcomes_page import PAGE, page

STOP, START = "os-stop", "os-start"
BOTH = (STOP, START)


class Situation(NamedTuple):
    """status: at the end. asked: the actions that Nova was asked for. server: what Nova knows of the guest; None:
    nothing. prepare: what else there is to do, with the cloud and the guest. event: other than one of ours."""

    name: str
    status: str
    asked: tuple[str, ...] = ()
    server: Mapping[str, object] | None = {}
    prepare: Callable[[Cloud, str], object] = lambda cloud, guest: None
    event: tuple[str, str] | None = None
    verdict: str = HUNG


def failing(what: str, status: int, times: int = -1) -> Callable[[Cloud, str], object]:
    return lambda cloud, guest: cloud.nova.fail(what, status, times, guest)


SITUATIONS = (
    Situation("a guest that hangs", "finished", BOTH),
    Situation("a guest whose QEMU died", "finished", BOTH, verdict=QEMU_DIED),
    Situation("its server is in vm_state error", "finished", BOTH, {"vm_state": "error"}),
    Situation("its server is stopped already", "finished", (START,), {"vm_state": "stopped"}),
    Situation("its server is resized", "finished", ("os-resetState", *BOTH), {"vm_state": "resized"}),
    Situation("its server is on another host by now", "finished", BOTH, {"host": "elsewhere"}),
    Situation("os-stop is refused once, with 409", "finished", (STOP, *BOTH), prepare=failing(STOP, 409, 1)),
    Situation("Nova fails once, with 503", "finished", BOTH, prepare=failing("show", 503, 1)),
    Situation("no HA_Enabled", "finished", (), {"metadata": {}}),
    Situation("HA_Enabled=False", "finished", (), {"metadata": {"HA_Enabled": "False"}}),
    Situation("ha_enabled=True", "finished", (), {"metadata": {"ha_enabled": "True"}}),
    Situation("its server is paused", "ignored", (), {"vm_state": "paused"}),
    Situation("its server is rescued", "ignored", (), {"vm_state": "rescued"}),
    Situation("its segment is not enabled", "ignored"),
    Situation("an event of which the engine does nothing", "ignored", event=("LIFECYCLE", "STOPPED_DESTROYED")),
    Situation("an event that nobody knows", "ignored", event=("FOO", "BAR")),
    Situation("Nova does not know the guest", "failed", (), None),
    Situation("its server is suspended", "failed", (STOP, STOP), {"vm_state": "suspended"}),
    Situation("its server is migrating", "failed", (STOP, STOP), {"task_state": "migrating"}),
    Situation("the stop does not end", "failed", (STOP, STOP), {"stuck": {STOP}}),
    Situation("the start does not end", "failed", (STOP, START, START), {"stuck": {START}}),
    Situation("the start ends in vm_state error", "failed", (STOP, START, STOP, START), {"start": lambda: 1 / 0}),
    Situation("os-stop fails with 500", "failed", (STOP, STOP), prepare=failing(STOP, 500)),
    Situation("os-start fails with 500", "failed", (STOP, START, START), prepare=failing(START, 500)),
    Situation("Nova refuses Masakari with 403", "failed", (), prepare=failing("show", 403)),
)


class Seen(NamedTuple):
    """shown: by GET in the end. statuses: in which the engine left it, in order. asked: as in Situation."""

    shown: dict
    statuses: tuple[str, ...]
    asked: tuple[str, ...]


@pytest.fixture(scope="module")
def seen(cloud) -> dict[str, Seen]:
    """All situations at once: the engine does one thing at a time for a host, so each has its own."""
    hosts = {it.name: f"compute{number}" for number, it in enumerate(SITUATIONS)}
    off = {it.name for it in SITUATIONS if "not enabled" in it.name}
    cloud.segment(*(host for name, host in hosts.items() if name not in off))
    cloud.segment(*(hosts[name] for name in off), enabled=False)
    sender = Sender(cloud.sender_options())
    sent = {it.name: _sent(cloud, sender, it, hosts[it.name]) for it in SITUATIONS}
    sender.close()
    return {name: _outcome(cloud, number, guest) for name, (number, guest) in sent.items()}


def _sent(cloud: Cloud, sender: Sender, situation: Situation, host: str) -> tuple[str, str]:
    """The notification's number, and the guest's."""
    guest = str(uuid.uuid4())
    if situation.server is not None:
        cloud.nova.server(guest, **{"host": host, **situation.server})
    situation.prepare(cloud, guest)
    if situation.event is None:
        return reported(sender, guest, host, situation.verdict), guest
    event, detail = situation.event
    document = {"type": "VM", "hostname": host, "generated_time": now(),
                "payload": {"event": event, "vir_domain_event": detail, "instance_uuid": guest}}
    stored = cloud.call("POST", "/notifications", {"notification": document})["notification"]
    return stored["notification_uuid"], guest


def reported(sender: Sender, guest: str, host: str, verdict: str = HUNG) -> str:
    """Masakari's number of a report that our own code sends and Masakari accepts."""
    outcome = sender.deliver(Report(1, guest, verdict, now(), host, False))
    assert isinstance(outcome, Delivered), outcome
    return outcome.reference


def now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")


def _outcome(cloud: Cloud, number: str, guest: str) -> Seen:
    shown = cloud.outcome(number, 120)
    left = re.findall(rf"otification {number} exits with status: (\w+)\.", cloud.services.log())
    return Seen(shown, tuple(left) or (shown["status"],), tuple(cloud.nova.actions(guest)))


@pytest.mark.parametrize("situation", SITUATIONS, ids=[it.name for it in SITUATIONS])
def test_it_ends_as_we_count_on(seen, situation):
    it = seen[situation.name]
    assert (it.shown["status"], it.asked) == (situation.status, situation.asked)


def test_finished_means_recovered_only_if_the_last_task_succeeded(seen):
    for situation in SITUATIONS:
        it = seen[situation.name]
        tasks = {task["name"]: task["state"] for task in it.shown["recovery_workflow_details"]}
        recovered = it.shown["status"] == "finished" and START in it.asked
        assert (it.shown["status"] == "finished" and tasks.get("ConfirmInstanceActiveTask") == "SUCCESS") == recovered


def test_before_failed_there_is_always_an_error(seen):
    for it in seen.values():
        assert (it.shown["status"] == "failed") == (it.statuses[-2:] == ("error", "failed"))


def test_the_list_and_version_1_0_show_the_same_without_details(cloud, seen):
    shown = seen["a guest that hangs"].shown
    number = shown["notification_uuid"]
    without = cloud.notification(number, "1.0")
    # What has been to the engine and back has lost the fraction of a second.
    assert without["generated_time"][:19] + ".000000" == shown["generated_time"] != without["generated_time"]
    assert {**without, "generated_time": shown["generated_time"], "recovery_workflow_details":
            shown["recovery_workflow_details"]} == shown
    assert cloud.call("GET", f"/notifications?source_host_uuid={shown['source_host_uuid']}") == {
        "notifications": [without]}


def test_one_guest_of_a_host_after_the_other(cloud):
    cloud.segment("two-guests")
    guests = [cloud.nova.server(host="two-guests").uuid for _ in range(2)]
    sender = Sender(cloud.sender_options())
    numbers = [reported(sender, guest, "two-guests") for guest in guests]
    sender.close()
    shown = [cloud.outcome(number) for number in numbers]
    asked = [(it.server, it.what) for it in cloud.nova.requests if it.server in guests and it.method == "POST"]
    assert asked in ([(guest, what) for guest in order for what in BOTH] for order in (guests, guests[::-1]))
    listed = cloud.call("GET", f"/notifications?source_host_uuid={shown[0]['source_host_uuid']}")["notifications"]
    assert [it["notification_uuid"] for it in listed] == numbers[::-1]


def test_while_it_is_running_the_tasks_begun_so_far_are_shown(cloud):
    cloud.segment("slow")
    server: Server = cloud.nova.server(host="slow", seconds=3.0)
    sender = Sender(cloud.sender_options())
    number = reported(sender, server.uuid, "slow")
    sender.close()

    def begun() -> dict | None:
        shown = cloud.notification(number)
        return shown if shown["recovery_workflow_details"] else None
    shown = until(begun, "the first task to begin", 30, 0.1)
    assert shown["status"] == "running"
    (task,) = shown["recovery_workflow_details"]
    assert (task["name"], task["state"], task["progress"]) == ("StopInstanceTask", "RUNNING", 0.0)
    assert [it["message"] for it in task["progress_details"]] == [f"Stopping instance: {server.uuid}"]
    assert cloud.outcome(number)["status"] == "finished"


def test_the_page_of_outcomes_says_what_was_seen(seen, compare_page):
    compare_page(PAGE, page([(it.name, *cells(seen[it.name])) for it in SITUATIONS]))


def cells(it: Seen) -> tuple[str, str, str]:
    """What the page says of it."""
    guest = re.compile(re.escape(it.shown["payload"]["instance_uuid"]))
    tasks = [f"{task['name']} {task['state']} {task['progress']}: *"
             + guest.sub("UUID", task["progress_details"][-1]["message"]) + "*"
             for task in it.shown["recovery_workflow_details"]]
    told = [f"``message``: *{it.shown['message']}*"] if it.shown["message"] else []
    return ", ".join(it.statuses), ", ".join(it.asked) or "nothing", "; ".join(told + tasks) or "none"
