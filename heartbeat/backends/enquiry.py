"""What Keystone and Masakari say to our user, told stage by stage: in a process of its own, for the same reasons as
heartbeat/sender.py, and since a name that is being resolved for ever can be ended in no other way.

One line of JSON comes in: {"options": from heartbeat.connections, "hostname", "hostname_option", "seconds", "follow":
the uuid of a notification whose end is to be told, or ""}. Lines go out: {"stage": what is being done now}, and
findings. Nothing is changed anywhere, and no password or token stands in any line.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

if __name__ == "__main__":  # python3 -I: nothing of ours is on the path
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from keystoneauth1 import exceptions as failures

from heartbeat.backends.admission import admitted, offered
from heartbeat.backends.conversation import Conversation, words
from heartbeat.backends.register import STEP, Entry, entries, judged
from heartbeat.inspection.finding import Finding
from heartbeat.settings import plain, printable

SERVICE_TYPE = "instance-ha"
ENDED = ("finished", "ignored", "failed", "error")
PATIENCE = 15.0  # s for Masakari's engine to come to the test notification
SENT = "send"
LOG = "see masakari-api's log"


class Unlisted(Exception):
    """Masakari does not give a list. status: of its answer, 0 for none. The text is for people."""

    def __init__(self, why: str, status: int = 0) -> None:
        super().__init__(why)
        self.status = status


def everything(it: Conversation, hostname: str, option: str, until: float) -> None:
    """option: that sets the host name. until: monotonic; segments that are not read then remain so."""
    roles = admitted(it)
    if roles is not None:
        root = address(it)
        if root and present(it, root):
            hosts(it, root, hostname, option, roles, until)
    for finding in it.clocks.judged():
        it.say(finding)


def address(it: Conversation) -> str:
    """Masakari's, without a slash at the end; "": there is none, and that has been said."""
    assert it.session is not None
    region, interface = it.options["region"], it.options["interface"]
    try:
        url = it.options["endpoint"] or it.session.get_endpoint(
            service_type=SERVICE_TYPE, interface=interface, region_name=region or None
        )
    except failures.CatalogException:
        url = None
    if not url:
        where = f"with interface {plain(interface)}, region {printable(region) if region else 'any'}"
        text = f"Keystone's catalogue has no {SERVICE_TYPE} endpoint {where}; it has {offered(it, SERVICE_TYPE)}"
        ours = f"correct {it.name('region')} and {it.name('interface')}, or set {it.name('endpoint')}"
        it.fail("endpoint", text, f"register Masakari in Keystone, or {ours}")
    return str(url or "").rstrip("/")


def present(it: Conversation, url: str) -> bool:
    """Whether Masakari is there, and of which version."""
    shown = printable(url, 120)[1:-1]
    own = bool(it.options["endpoint"])
    place = it.name("endpoint") if own else "the catalogue's endpoint"
    it.stage(f"Masakari at {shown} was being asked for its version")
    try:
        status, document = it.read("Masakari", (url.rpartition("/v1")[0] or url) + "/", authenticated=False)
    except Exception as error:
        if not it.blocked("endpoint", "Masakari", url, place):
            it.fail("endpoint", f"Masakari at {shown} does not answer: {words(error)}", LOG)
        return False
    if status >= 500:
        it.fail("endpoint", f"Masakari at {shown} answers {status}", LOG)
        return False
    version = _version(document)
    said = f"API {version}" if version else "which does not say its version"
    it.ok("endpoint", f"Masakari at {shown} (from {place}), {said}")
    return True


def hosts(it: Conversation, url: str, hostname: str, option: str, roles: str, until: float) -> None:
    """Whether our name is one that Masakari knows."""
    it.stage("Masakari was being asked for its segments")
    found: list[Entry] = []
    complete = True
    try:
        segments = _listed(it, url, "/segments", "segments")
        for segment in segments:
            if time.monotonic() > until:
                complete = False
                break
            it.stage(f"{len(segments)} segments of Masakari were being read")
            path = f"/segments/{plain(str(segment.get('uuid')), 64)}/hosts"
            found += entries(segment, _listed(it, url, path, "hosts"))
    except Unlisted as error:
        it.fail(STEP, str(error), _remedy(it, error.status, roles))
        return
    for finding in judged(hostname, found, complete, option):
        it.say(finding)


def follow(it: Conversation, number: str) -> None:
    """What becomes of the test notification with this uuid."""
    if admitted(it) is None:
        return
    url, until, status = address(it), time.monotonic() + PATIENCE, ""
    while url and status not in ENDED:
        it.stage(f"notification {number} was being followed")
        code, document = it.read("Masakari", f"{url}/notifications/{number}")
        row = document.get("notification") if isinstance(document, dict) else None
        if code != 200 or not isinstance(row, dict):
            it.warn(SENT, f"notification {number} cannot be read back: Masakari answers {code}", LOG)
            return
        status = plain(str(row.get("status", "")), 20)
        if status not in ENDED and time.monotonic() > until:
            text = f"notification {number} is still {status} after {PATIENCE:g} s"
            it.warn(SENT, text, "see whether masakari-engine runs, and its RabbitMQ")
            return
        time.sleep(0.5 if status not in ENDED else 0)
    if status == "ignored":
        it.ok(SENT, f"Masakari's engine came to notification {number} and ignored it, as it should")
    elif status:
        text = f"Masakari's engine ended notification {number} as {status}, where it should be ignored"
        it.warn(SENT, text, "see masakari-engine's log")


def _listed(it: Conversation, url: str, path: str, key: str) -> list[Mapping[str, Any]]:
    """Raises Unlisted."""
    # From 1.2 on it says whether a segment is enabled. Who does not know that version refuses to answer at all.
    for version in ("1.2", "1.0"):
        try:
            status, document = it.read("Masakari", url + path, version=f"{SERVICE_TYPE} {version}")
        except Exception as error:
            raise Unlisted(f"Masakari does not answer to GET {path}: {words(error)}") from None
        if status != 406:
            break
    found = document.get(key) if isinstance(document, dict) else None
    if status != 200 or not isinstance(found, list):
        raise Unlisted(f"Masakari answers {status} to GET {path}", status)
    return [one for one in found if isinstance(one, dict)]


def _remedy(it: Conversation, status: int, roles: str) -> str:
    if status == 403:
        who, project = it.name("username"), it.name("project_name")
        return f"its policy wants the role admin, and the token has: {roles}; give {who} that role on {project}"
    if status == 401:
        return "it cannot validate our token: check its own [keystone_authtoken]"
    if status == 404:
        return f"its address ends in /v1 or /v1/PROJECT_ID: correct the catalogue, or {it.name('endpoint')}"
    return LOG


def _version(document: object) -> str:
    """The microversions that a version document offers, "" if it is none."""
    versions = document.get("versions") or [document.get("version")] if isinstance(document, dict) else None
    first = versions[0] if isinstance(versions, list) and versions else None
    if not isinstance(first, dict):
        return ""
    least, most = (plain(str(first.get(key) or ""), 10) for key in ("min_version", "version"))
    return f"{least} to {most}" if least and most else plain(str(first.get("id") or ""), 10)


def main() -> None:
    given = json.loads(sys.stdin.readline())
    lines = os.fdopen(os.dup(1), "w", buffering=1)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)  # whatever a library prints must not stand among the lines

    def say(finding: Finding) -> None:
        lines.write(json.dumps(finding._asdict()) + "\n")

    def stage(text: str) -> None:
        lines.write(json.dumps({"stage": text}) + "\n")

    it = Conversation(given["options"], say, stage)
    if given["follow"]:
        follow(it, given["follow"])
    else:
        everything(it, given["hostname"], given["hostname_option"], time.monotonic() + given["seconds"])


if __name__ == "__main__":
    main()
