"""The tests' Nova: what it allows, what it refuses, what it shows."""
from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest

from tests.harness.nova import Nova
from tests.harness.wait import until


@pytest.fixture
def nova():
    with Nova(("one", "two"), port=0) as nova:
        yield nova


def ask(nova: Nova, path: str, body: dict | None = None, version: str = "2.53") -> tuple[int, dict | None]:
    request = urllib.request.Request(nova.url + path, json.dumps(body).encode() if body else None, {
        "X-Auth-Token": "any", "OpenStack-API-Version": f"compute {version}", "Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, json.loads(reply.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def act(nova: Nova, number: str, name: str, argument: object = None) -> int:
    return ask(nova, f"/servers/{number}/action", {name: argument})[0]


def test_a_server_is_stopped_and_started_and_its_guest_with_it(nova):
    done: list[str] = []
    server = nova.server(stop=lambda: done.append("stop"), start=lambda: done.append("start"), seconds=0)
    for name, state in (("os-stop", "stopped"), ("os-start", "active")):
        assert act(nova, server.uuid, name) == 202
        until(lambda state=state: (server.vm_state, server.task_state) == (state, None), f"it to be {state}")
    assert done == ["stop", "start"]
    assert nova.actions(server.uuid) == ["os-stop", "os-start"]


@pytest.mark.parametrize(("known", "action"), [
    ({"vm_state": "stopped"}, "os-stop"), ({"vm_state": "paused"}, "os-stop"), ({"task_state": "migrating"}, "os-stop"),
    ({}, "os-start"), ({"vm_state": "stopped", "task_state": "powering-on"}, "os-start")])
def test_what_its_state_does_not_allow_is_a_conflict(nova, known, action):
    assert act(nova, nova.server(**known).uuid, action) == 409


def test_a_guest_that_does_not_start_leaves_its_server_in_error(nova):
    server = nova.server(vm_state="stopped", start=lambda: 1 / 0, seconds=0)
    assert act(nova, server.uuid, "os-start") == 202
    until(lambda: server.vm_state == "error", "the error")


def test_it_fails_as_often_as_it_is_told_to_and_for_whom(nova):
    server, other = nova.server(), nova.server()
    nova.fail("os-stop", 503, 1, server.uuid)
    assert act(nova, other.uuid, "os-stop") == 202
    assert [act(nova, server.uuid, "os-stop") for _ in range(2)] == [503, 202]


def test_servers_are_listed_by_host_and_page(nova):
    here = sorted(nova.server(host="two").uuid for _ in range(3))
    nova.server(host="one")
    first = ask(nova, "/servers/detail?all_tenants=True&host=two&limit=2")[1]["servers"]
    assert [it["id"] for it in first] == here[:2]
    rest = ask(nova, f"/servers/detail?all_tenants=True&host=two&limit=2&marker={here[1]}")[1]["servers"]
    assert [it["id"] for it in rest] == here[2:]


def test_an_unknown_server_and_an_unknown_version_are_refused(nova):
    assert ask(nova, "/servers/nobody")[0] == 404
    assert ask(nova, "/os-services", version="2.999")[0] == 406
    assert [it["host"] for it in ask(nova, "/os-services?host=two")[1]["services"]] == ["two"]
