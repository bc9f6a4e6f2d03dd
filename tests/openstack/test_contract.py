"""The endpoint that all other tests report to answers as Masakari does, and docs/masakari-cases.rst says how."""
from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

import pytest
import requests

from heartbeat.backends import Delivered, Report
from heartbeat.backends.answers import Answer, meaning
from heartbeat.incident import HUNG
from tests.harness.endpoint import Endpoint
from tests.harness.masakari import SEGMENT
from tests.harness.masakari_api import PROJECT as RECORDED_PROJECT
from tests.openstack.cases import (
    CASES,
    EXPIRED,
    FORGED,
    GROUPS,
    HOST,
    MAINTAINED,
    MORNING,
    NOBODY,
    PROJECT,
    REVOKED,
    STORED,
    Case,
)

PAGE = Path(__file__).resolve().parents[2] / "docs/masakari-cases.rst"
UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.I)
NOW = datetime.fromisoformat(MORNING + "+00:00")
# Seconds that pass before an application credential, and every token got with it, is over.
LIFETIME = 2.0


class Reply(NamedTuple):
    """json: whether it is JSON. shape: its keys at every depth, and the types of their values. text: what it says."""

    status: int
    json: bool
    challenge: bool     # WWW-Authenticate
    shape: object
    text: str

    def made_of(self, resend: bool = False) -> str:
        """What a courier of ours makes of it."""
        report = Report(1, "", HUNG, MORNING, HOST, resend)
        outcome = meaning(Answer(self.status, self.text, None), report, NOW, lambda name: f"masakari.{name}")
        if isinstance(outcome, Delivered):
            return "delivered"
        return "".join(("kept", f", sent again with a new time after {outcome.after:g} s" if outcome.renew else "",
                        ", may have arrived" if outcome.uncertain else "", "; all wait" if outcome.whole else ""))


class Target(NamedTuple):
    """Where cases are posted. token: of a user, or what goes for one."""

    url: str
    project: str
    segment: str
    token: Callable[[str], str]


def ask(target: Target, case: Case) -> Reply:
    stored = ""
    for body in case.before:
        reply = _send(target, "POST", "/notifications", case.own(body), "qga", {"Content-Type": "application/json"})
        assert reply.status_code == 202, reply.text
        stored = reply.json()["notification"]["notification_uuid"]
    path = case.path.replace(PROJECT, target.project).replace(STORED, stored).replace("{segment}", target.segment)
    reply = _send(target, case.method, path, case.own(case.body), case.who, case.headers)
    json = "json" in reply.headers["Content-Type"]
    document = reply.json() if json else None
    return Reply(reply.status_code, json, "WWW-Authenticate" in reply.headers, _shape(document),
                 "" if reply.status_code == 200 else _text(document))     # what is read changes as the engine works


def _send(target, method, path, body, who, headers):
    token = target.token(who)
    return requests.request(method, target.url + path, data=body, timeout=60,
                            headers={**headers, **({"X-Auth-Token": token} if token else {})})


def _shape(value: object) -> object:
    if isinstance(value, dict):
        # An open end: null now, a time or a word some other time.
        return {key: "any" if key in ("message", "updated_at") else _shape(content) for key, content in value.items()}
    if isinstance(value, list):
        return [_shape(content) for content in value[:1]]
    return type(value).__name__


def _text(document: object) -> str:
    content = next(iter(document.values())) if isinstance(document, dict) else None
    said = isinstance(content, dict) and (content.get("message") or content.get("status"))
    return UUID.sub("UUID", said) if isinstance(said, str) else ""


@pytest.fixture(scope="module")
def real(cloud) -> Target:
    # A segment that is not enabled: everything is as always for who asks, and the engine does nothing.
    segment = cloud.segment(HOST, MAINTAINED, enabled=False)
    cloud.maintenance(segment, MAINTAINED, True)
    project = cloud.call("GET", "/projects?name=service", url=cloud.auth_url)["projects"][0]["id"]
    bad = {NOBODY: "", FORGED: "forged", REVOKED: _revoked(cloud), EXPIRED: _expired(cloud)}
    return Target(cloud.url, project, segment, lambda who: bad[who] if who in bad else cloud.token(who))


def _revoked(cloud) -> str:
    token = cloud.login("qga")
    headers = {"X-Auth-Token": token, "X-Subject-Token": token}
    requests.delete(f"{cloud.auth_url}/auth/tokens", headers=headers, timeout=30).raise_for_status()
    return token


def _expired(cloud) -> str:
    """A token of an application credential that is over."""
    who = cloud.call("GET", "/users?name=qga", url=cloud.auth_url)["users"][0]["id"]
    until = datetime.fromtimestamp(time.time() + LIFETIME, timezone.utc)
    credential = cloud.call("POST", f"/users/{who}/application_credentials", {"application_credential": {
        "name": "short", "expires_at": f"{until:%Y-%m-%dT%H:%M:%S.%f}"}}, url=cloud.auth_url)["application_credential"]
    token = cloud.authenticate({"identity": {
        "methods": ["application_credential"],
        "application_credential": {"id": credential["id"], "secret": credential["secret"]}}})
    time.sleep(max(until.timestamp() - time.time(), 0) + 1)     # Keystone counts in whole seconds
    return token


@pytest.fixture(scope="module")
def recording():
    with Endpoint((HOST, MAINTAINED)) as endpoint:
        endpoint.masakari.maintenance.add(MAINTAINED)

        def token(who: str) -> str:
            endpoint.role = who if who in ("member", "reader", "service") else "admin"
            user = {"name": endpoint.username, "password": endpoint.password}
            known = endpoint.login({"auth": {"identity": {"password": {"user": user}}}})
            if who in (REVOKED, EXPIRED):
                endpoint.revoke()
            return {NOBODY: "", FORGED: "forged"}.get(who, known)
        yield Target(f"{endpoint.url}/instance-ha/v1", RECORDED_PROJECT, SEGMENT, token)


@pytest.fixture(scope="module")
def replies(real, recording) -> dict[str, tuple[Reply, Reply]]:
    """Of Masakari and of the recording endpoint, by the case's name."""
    assert len({case.name for case in CASES}) == len(CASES)
    return {case.name: (ask(real, case), ask(recording, case)) for case in CASES}


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_the_recording_endpoint_answers_as_masakari_does(replies, name):
    real, recorded = replies[name]
    assert recorded._replace(text="") == real._replace(text="")
    assert brief(recorded.text) == brief(real.text)
    assert recorded.made_of() == real.made_of()


def test_the_page_of_cases_says_what_was_seen(replies, compare_page):
    compare_page(PAGE, page(replies))


HEAD = """\
What Masakari answers
=====================

.. Made by make openstack ARGS=--write-pages, which compares otherwise.

Posted to masakari-api 22.0.0 and Keystone 30.0.0, and to the endpoint that records in their place in all other tests.
*The same*: that endpoint gave the same status, the same keys with values of the same types, and the same text; a test
fails if it does not. ``UUID`` stands for any. The last column is what our courier makes of the answer to a first
attempt, and, if that is not the same, to a repetition of it.

Hosts ``one`` and ``two`` are registered, ``two`` is on maintenance, ``three`` is unknown. Unless a row says otherwise
the user has the role ``admin``, ``generated_time`` is ``{morning}``, and the guest is one of which Masakari has
heard nothing; a row about *the same* notification, guest or uuid follows one that was stored with that time.
*All wait*: no other report is tried before this trouble is over.
"""


def page(replies: dict[str, tuple[Reply, Reply]]) -> str:
    parts = [HEAD.format(morning=MORNING)]
    for title, cases in GROUPS.items():
        posted = any(case.method == "POST" for case in cases)
        columns = ["posted" if posted else "asked", "Masakari", "the recording endpoint"]
        columns += ["what we make of it"] if posted else []
        rows = [row(case, *replies[case.name], posted) for case in cases]
        parts.append(f"\n\n{title}\n{'-' * len(title)}\n\n.. list-table::\n   :header-rows: 1\n\n")
        parts.append("".join("".join(f"   {'*' if place == 0 else ' '} - {cell}\n" for place, cell in enumerate(cells))
                             for cells in [columns, *rows]))
    return "\n".join(line.rstrip() for line in "".join(parts).split("\n"))


def row(case: Case, real: Reply, recorded: Reply, posted: bool) -> list[str]:
    same = "the same" if answer(real) == answer(recorded) else answer(recorded)
    first, again = real.made_of(), real.made_of(resend=True)
    made = first if first == again else f"{first}; repeated: {again}"
    return [case.name, answer(real), same, *([made if case.method == "POST" else ""] if posted else [])]


def answer(reply: Reply) -> str:
    said = brief(reply.text)
    return f"{reply.status}" + (f" ``{said}``" if said else "" if reply.json else ", a page")


def brief(text: str) -> str:
    """A value that the text repeats says nothing, nor does where to complain."""
    text = re.sub(r"Value: .*\. (?='|\d|\[|\{|None|Additional)", "Value: ... ", text.replace("\n", " "))
    text = re.sub(r"'[^' ]{60,}'|(?<=name )\S{60,}", "...", text)
    return re.sub(r"Please report .* possible\. ", "", text)
