"""One round with Nova: which servers it has on this host. A process of its own, for the reasons of heartbeat/sender.py.

One line of JSON comes in, {"options", "host", "key", "since", "singles", "auth"}; see `answer`. Lines go out,
{"server"} and {"single"} for each, then {"end"} or {"later"}. Without {"end"} nothing of it counts: half a list would
say that the other half is gone.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

if __name__ == "__main__":  # python3 -I: nothing of ours is on the path
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from heartbeat.backends import Later
from heartbeat.backends.keystone import Service, open_session
from heartbeat.expectation import DELETED
from heartbeat.settings import printable
from heartbeat.terms import KEY_LIMIT, VALUE_LIMIT, about_us, excerpt

# host_status comes with 2.16, the flavor's name and extra specs with 2.47; Masakari's engine asks for this one, so any
# Nova that it works with has it. 2.69 and later may leave out parts of servers whose cell is down.
MICROVERSION = "2.53"
PAGE, MOST_PAGES = 200, 50
BODY_LIMIT = 16 << 20  # of a page: the metadata that a quota permits fill some MiB
AUTH_LIMIT = 48 << 10  # of a token with its catalogue
# Seconds that changes are asked for anew: a change may become visible later than its own time stamp.
OVERLAP = 120
# Seconds: the helper gives up sooner, and may be gone itself.
LIFETIME = 90
STATE = re.compile(r"[a-z][a-z0-9_-]{0,63}")


class Refused(Exception):
    """An answer that is no opinion. It says what is wrong with it, and what to do."""


class Compute(Service):
    """Nova, as our user sees it."""

    def fetch(self, path: str) -> tuple[int, Any, str]:
        """Status, JSON and the Date of an answer. Raises Refused."""
        version = {"OpenStack-API-Version": f"compute {MICROVERSION}", "X-OpenStack-Nova-API-Version": MICROVERSION}
        response = self._answered("GET", path, version)
        if isinstance(response, Later):
            raise Refused(response.reason)
        with response:
            address = f"{self.name('endpoint')} or the catalogue"
            return response.status_code, _document(response, address), str(response.headers.get("Date", ""))

    @property
    def auth(self) -> str:
        """The token, to spare Keystone the next login; "" if it is too large."""
        state = self.session.auth.get_auth_state() if self.session else ""
        return state if isinstance(state, str) and len(state) <= AUTH_LIMIT else ""

    def close(self) -> None:
        if self.session:
            self.session.session.close()

    def resume(self, auth: str) -> None:
        """With the token of an earlier round, as long as it is good. Raises Refused."""
        try:
            self.session = open_session(self.options)
            if auth:
                self.session.auth.set_auth_state(auth)
        except Exception as error:
            raise Refused(self._unprepared(error).reason) from None


def _document(response: Any, address: str) -> Any:
    try:
        text = response.raw.read(BODY_LIMIT + 1, decode_content=False)
        if len(text) > BODY_LIMIT:
            raise Refused(f"Nova's answer has more than {BODY_LIMIT >> 20} MiB; check {address}")
        return json.loads(text)
    except Refused:
        raise
    except Exception:
        why = f"Nova answers {response.status_code} with something that is no JSON, or was cut off"
        raise Refused(f"{why}; check {address}") from None


def listed(nova: Compute, host: str, key: str, since: str) -> tuple[list[dict[str, Any]], str]:
    """The servers of a host, or those that have changed, and the date to ask from next. Raises Refused."""
    found: dict[str, dict[str, Any]] = {}
    date, marker = "", ""
    query = {"all_tenants": "True", "host": host, "limit": str(PAGE), **({"changes-since": since} if since else {})}
    for number in range(MOST_PAGES):
        path = "/servers/detail?" + urlencode({**query, **({"marker": marker} if marker else {})})
        status, document, sent = nova.fetch(path)
        _check(nova, status, document)
        date = date if number else _since(sent)
        page = document.get("servers") if isinstance(document, dict) else None
        if not isinstance(page, list):
            raise Refused("Nova's answer has no list of servers")
        for it in page:
            server = read(nova, it, key)
            if server["host"] != host and server["vm_state"] != DELETED:
                user = nova.name("username")
                raise Refused(f"Nova lists servers of other hosts; give {user} the role admin")
            if server["uuid"] in found:
                raise Refused("Nova's pages repeat themselves")
            found[server["uuid"]], marker = server, server["uuid"]
        more = any(isinstance(it, dict) and it.get("rel") == "next" for it in document.get("servers_links") or ())
        if not page or not (more or len(page) >= PAGE):
            return list(found.values()), date
    raise Refused(f"Nova has more than {MOST_PAGES} pages of servers for this host")


def shown(nova: Compute, uuid: str, key: str) -> dict[str, Any]:
    """One server, wherever it is. Raises Refused."""
    status, document, _ = nova.fetch(f"/servers/{uuid}")
    if status == 404 and isinstance(document, dict) and "itemNotFound" in document:
        nothing = {"host": "", "vm_state": DELETED, "task": "", "up": None}
        return {"uuid": uuid, **nothing, "enabled": None, "metadata": [], "flavor": "", "specs": []}
    _check(nova, status, document)
    server = read(nova, document.get("server") if isinstance(document, dict) else None, key)
    if server["uuid"] != uuid:
        raise Refused("Nova shows another server than it was asked for")
    return server


def read(nova: Compute, it: Any, key: str) -> dict[str, Any]:
    """What we need of a server, bounded and of the right types. key: of the metadata that opt in. Raises Refused."""
    if not isinstance(it, dict):
        raise Refused("Nova's answer has a server that is none")
    for name in ("OS-EXT-SRV-ATTR:host", "OS-EXT-STS:vm_state", "OS-EXT-STS:task_state"):
        if name not in it:
            raise Refused(f"Nova does not say {name} of a server; give {nova.name('username')} the role admin")
    host, state, task = (it[f"OS-EXT-{name}"] for name in ("SRV-ATTR:host", "STS:vm_state", "STS:task_state"))
    try:
        uuid = str(UUID(it.get("id")))
    except (ValueError, TypeError, AttributeError):
        raise Refused("Nova's answer has a server without a proper id") from None
    words = [word for word in (state, task) if word is not None]
    if not all(isinstance(word, str) and STATE.fullmatch(word) for word in words) or state is None:
        raise Refused(f"Nova gives server {uuid} a state that is none: {printable(str(words))}")
    if not isinstance(host, (str, type(None))) or len(host or "") > 255:
        raise Refused(f"Nova gives server {uuid} a host that is none")
    flavor, metadata = it.get("flavor"), it.get("metadata")
    flavor = flavor if isinstance(flavor, dict) else {}
    opting = metadata.get(key) if isinstance(metadata, dict) else None
    up = it.get("host_status")
    return {
        "uuid": uuid,
        "host": host or "",
        "vm_state": state,
        "task": task or "",
        "up": up == "UP" if isinstance(up, str) and up else None,
        "enabled": opting[:VALUE_LIMIT] if isinstance(opting, str) else None,
        "metadata": list(_pairs(metadata)),
        "flavor": str(flavor.get("original_name") or "")[:255],
        "specs": list(_pairs(flavor.get("extra_specs"))),
    }


def _pairs(found: Any) -> Iterator[tuple[str, str]]:
    """Only what is about us, however much there is."""
    for key, value in found.items() if isinstance(found, dict) else ():
        if isinstance(key, str) and isinstance(value, str) and len(key) <= KEY_LIMIT and about_us(key):
            yield key, excerpt(key, value)


def _check(nova: Compute, status: int, document: Any) -> None:
    if status == 200:
        return
    said = next(iter(document.values()), None) if isinstance(document, dict) else None
    message = said.get("message") if isinstance(said, dict) else None
    remedy = f"; give {nova.name('username')} the role admin" if status in (401, 403) else ""
    why = f": {printable(message, 120)}" if isinstance(message, str) else ""
    raise Refused(f"Nova answers {status}{why}{remedy}")


def _since(date: str) -> str:
    """From when to ask next, by Nova's own clock; "" if it does not say."""
    try:
        return (parsedate_to_datetime(date) - timedelta(seconds=OVERLAP)).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (TypeError, ValueError, IndexError, OverflowError):
        return ""


def answer(request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """options: from heartbeat.connections. host: this host's name in Nova. key: of the metadata that opt in. since:
    only what has changed since then, "" for all. singles: uuids to be asked for besides. auth: from the last round."""
    nova, key = Compute(request["options"], "compute", "Nova", "nova"), request["key"]
    try:
        nova.resume(request["auth"])
        servers, date = listed(nova, request["host"], key, request["since"])
        singles = [shown(nova, uuid, key) for uuid in request["singles"]]
    except Refused as error:
        yield {"later": str(error)}
        return
    finally:
        nova.close()
    yield from ({"server": it} for it in servers)
    yield from ({"single": it} for it in singles)
    yield {"end": {"servers": len(servers), "singles": len(singles), "date": date, "auth": nova.auth}}


def main() -> None:
    """The process: one request, one answer."""
    signal.alarm(LIFETIME)  # whose default is our end
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)  # whatever a library prints must not stand among the answers
    for document in answer(json.loads(sys.stdin.readline())):
        answers.write(json.dumps(document) + "\n")
    answers.close()


if __name__ == "__main__":
    main()
