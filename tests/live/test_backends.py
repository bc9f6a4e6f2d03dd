"""Real guests that fail and recover, and every backend at once: each is told what it wants to know, and of the end."""
from __future__ import annotations

import json

import pytest

from tests.harness.receivers import KEY
from tests.harness.wait import until

ALERT = '#!/bin/sh\necho "$QGA_EVENT $QGA_VERDICT $QGA_ACTION $QGA_UUID" >> {folder}/ran\n'


@pytest.fixture(scope="module")
def ward(module_ward):
    """One hangs and is reset by Masakari, so to speak; of another the agent ends and is started again."""
    ward = module_ward()
    ward.boot("sound", "hangs", "loses its agent")
    folder = ward.folder
    folder.chmod(0o700)
    (folder / "alert").write_text(ALERT.format(folder=folder))
    (folder / "alert").chmod(0o700)
    ward.watch()
    ward.reset(
        report={"backends": "masakari, vitrage, mistral, webhook, command"},
        webhook={"url": ward.endpoint.url + "/hook", "key": KEY},
        command={"path": folder / "alert"},
    )
    ward["hangs"].halt()
    ward["loses its agent"].stop_agent()
    ward.wait("hung", "hangs")
    ward.wait("agent-down", "loses its agent")
    until(lambda: ward.ledger("SELECT count(*) FROM delivery WHERE status = 'delivered'") == [(7,)], "the reports", 60)
    ward.before = told(ward)
    ward["hangs"].domain.reset()
    ward["loses its agent"].start_agent()
    ward.wait("healthy", "hangs", "loses its agent")
    until(lambda: ward.ledger("SELECT count(*) FROM delivery WHERE status = 'delivered'") == [(12,)], "the ends", 60)
    return ward


def told(ward) -> dict[str, list]:
    """What each receiver knows of the guests, by the parts that they play."""
    parts = {guest.uuid: part for part, guest in ward.guests.items()}
    endpoint = ward.endpoint
    ran = (ward.folder / "ran").read_text().splitlines() if (ward.folder / "ran").exists() else []
    inputs = [json.loads(it["input"]) for it in endpoint.receiver("mistral").executions.values()]
    return {
        "masakari": [parts[it["payload"]["instance_uuid"]] for it in endpoint.masakari.stored],
        "vitrage": sorted((parts[uuid], name, state)
                          for (name, uuid), state in endpoint.receiver("vitrage").alarms.items()),
        "mistral": [(parts[it["instance_uuid"]], it["verdict"]) for it in inputs],
        "webhook": sorted((parts[it["guest"]["uuid"]], it["event"], it["action"])
                          for it in endpoint.receiver("webhook").acted),
        "command": [(parts[line.split()[3]], *line.split()[:3]) for line in ran],
    }


def test_each_is_told_what_it_wants_to_know(ward):
    assert ward.before == {
        "masakari": ["hangs"],
        "mistral": [("hangs", "hung")],
        "command": [("hangs", "failed", "hung", "recover")],
        "vitrage": [("hangs", "QgaHung", "firing"), ("loses its agent", "QgaAgentDown", "firing")],
        "webhook": [("hangs", "failed", "recover"), ("loses its agent", "failed", "record")],
    }


def test_each_that_knows_it_is_told_that_it_is_over_and_nobody_else_of_anything(ward):
    assert told(ward) == {
        "masakari": ["hangs"],
        "mistral": [("hangs", "hung")],
        "command": [("hangs", "failed", "hung", "recover"), ("hangs", "cleared", "hung", "recover")],
        "vitrage": [("hangs", "QgaHung", "resolved"), ("loses its agent", "QgaAgentDown", "resolved")],
        "webhook": [("hangs", "cleared", "recover"), ("hangs", "failed", "recover"),
                    ("loses its agent", "cleared", "record"), ("loses its agent", "failed", "record")],
    }


def test_what_a_healthy_guest_does_is_told_to_nobody(ward):
    assert ward.ledger("SELECT count(*) FROM incident WHERE uuid = ?", ward["sound"].uuid) == [(0,)]
    assert all(it["error"] is None for it in ward.helper.status()["backends"])
