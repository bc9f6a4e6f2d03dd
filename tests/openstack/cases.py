"""Every request whose answer was ever worth knowing: what is posted, by whom, and after what.

Every case has a guest of its own, so that only its own `before` can make a duplicate of it.
"""
from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from typing import NamedTuple

HOST, MAINTAINED, STRANGE = "one", "two", "three"     # registered; registered and on maintenance; unknown
GUEST = "25efc0bf-1659-4c83-b4e6-4e0e6d0f0b01"        # stands for the case's own guest wherever it is written
MORNING = "2026-03-01T06:00:00"
PROJECT = "{project}"                                 # in a path: the token's own project
STORED = "{stored}"                                   # in a path: the notification that `before` stored
# Who asks, beside the users of tests/harness/cloud.py.
NOBODY, FORGED, REVOKED, EXPIRED = "nobody", "forged", "revoked", "expired"


class Case(NamedTuple):
    """name: as in the table. body: None for none. before: bodies that are posted first, each of which is stored."""

    name: str
    body: bytes | None
    before: tuple[bytes, ...] = ()
    who: str = "qga"
    headers: Mapping[str, str] = {"Content-Type": "application/json"}
    path: str = "/notifications"
    method: str = "POST"

    @property
    def guest(self) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, self.name))

    def own(self, body: bytes | None) -> bytes | None:
        """The body, about the case's own guest."""
        for form in (str, str.upper, lambda text: text.replace("-", "")):
            body = body and body.replace(form(GUEST).encode(), form(self.guest).encode())
        return body


def notification(**changes: object) -> bytes:
    """As we send it, with other values, or without a key if its value is `...`."""
    known = {"type": "VM", "hostname": HOST, "generated_time": MORNING, "payload": _payload(), **changes}
    return json.dumps({"notification": {key: value for key, value in known.items() if value is not ...}}).encode()


def payload(**changes: object) -> bytes:
    return notification(payload=_payload(**changes))


def _payload(**changes: object) -> dict[str, object]:
    known = {"event": "QEMU_GUEST_AGENT_ERROR", "instance_uuid": GUEST, "vir_domain_event": "STOPPED_FAILED", **changes}
    return {key: value for key, value in known.items() if value is not ...}


def at(time: object) -> bytes:
    return notification(generated_time=time)


def _taken() -> Iterator[Case]:
    yield Case("as we send it", notification())
    yield Case("another vir_domain_event of the same guest", payload(vir_domain_event="OTHER"), (notification(),))
    yield Case("an event that nobody knows", payload(event="FOO", vir_domain_event="BAR"))
    for name, form in (("in upper case", GUEST.upper()), ("undashed", GUEST.replace("-", "")),
                       ("in braces", f"{{{GUEST}}}")):
        yield Case(f"the same uuid, {name}", payload(instance_uuid=form), (notification(),))
    yield Case("event of 255 characters", payload(event="e" * 255))
    for name, time in (
            ("with Z", MORNING + "Z"), ("+00:00", MORNING + "+00:00"), ("+09:00", "2026-03-01T15:00:00+09:00"),
            ("with microseconds", MORNING + ".123456"), ("9 digits of a second", MORNING + ".123456789"),
            ("a blank for the T", "2026-03-01 06:00:00"), ("only a date", "2026-03-01"),
            ("of the year 9999", "9999-12-31T00:00:00"), ("of 1970", "1970-01-01T00:00:00")):
        yield Case(f"time {name}", at(time))
    yield Case("no Content-Type", notification(), headers={})
    for kind in ("text/plain", "application/json; charset=utf-8"):
        yield Case(f"Content-Type: {kind}", notification(), headers={"Content-Type": kind})
    yield Case("to notifications.json", notification(), path="/notifications.json")
    yield Case("with the project in the address", notification(), path=f"/{PROJECT}/notifications")
    yield Case("by the service's own user", notification(), who="masakari")


def _versions() -> Iterator[Case]:
    for version in ("instance-ha 1.0", "instance-ha 1.1", "instance-ha 1.3", "instance-ha latest", "masakari 9.9",
                    "compute 2.1", "1.1", "instance-ha 1.4", "instance-ha 2.0", "instance-ha abc"):
        yield Case(f"OpenStack-API-Version: {version}", notification(), headers={"OpenStack-API-Version": version})


def _conflicts() -> Iterator[Case]:
    for name, time in (("again", MORNING), ("again, with another zone", "2026-03-01T15:00:00+09:00"),
                       ("170 s later", "2026-03-01T06:02:50"), ("180 s later", "2026-03-01T06:03:00"),
                       ("181 s later", "2026-03-01T06:03:01"), ("1000 s earlier", "2026-03-01T05:43:20")):
        yield Case(f"the same {name}", at(time), (notification(),))
    yield Case("today, after one of the year 9999", notification(), (at("9999-12-31T00:00:00"),))
    yield Case("host on maintenance", notification(hostname=MAINTAINED))


def _invalid() -> Iterator[Case]:
    for name in (STRANGE, "One", "h" * 255):
        yield Case(f"unknown host {name[:8]}", notification(hostname=name))
    for key, values in (("type", ("vm", "FOO", 5)), ("hostname", ("h" * 256, "a b", "", 5)),
                        ("generated_time", (1772344800, "1772344800", "yesterday", "", None)), ("payload", ([], None))):
        yield Case(f"no {key}", notification(**{key: ...}))
        for value in values:
            yield Case(f"{key}: {json.dumps(value)[:16]}", notification(**{key: value}))
    yield Case("extra key in notification", notification(reason="hung"))
    yield Case("payload: {}", notification(payload={}))
    for key, values in (("event", (5, "", "e" * 256)), ("vir_domain_event", ("",)),
                        ("instance_uuid", ("not-a-uuid", 5))):
        yield Case(f"no {key} in payload", payload(**{key: ...}))
        for value in values:
            yield Case(f"{key}: {json.dumps(value)[:16]} in payload", payload(**{key: value}))
    yield Case("extra string in payload", payload(reason="hung"))
    yield Case("extra object in payload", payload(evidence={"agent": "silent"}))
    yield Case("extra key beside notification", b'{"more": 1, ' + notification()[1:])
    for name, body in (("not JSON", b"{"), ("empty", b""), ("[]", b"[]"), ("{}", b"{}"),
                       ("not UTF-8", notification().replace(b"STOPPED", b"\xff\xfe"))):
        yield Case(f"body: {name}", body)
    yield Case("time of the year 0001", at("0001-01-01T00:00:00"))


def _refused() -> Iterator[Case]:
    for who in (NOBODY, FORGED, REVOKED, EXPIRED, "member", "reader", "service"):
        yield Case(f"{'role' if who in ('member', 'reader', 'service') else 'token:'} {who}", notification(), who=who)
    yield Case("another project in the address", notification(), path=f"/{'0' * 32}/notifications")
    yield Case("a slash at the end", notification(), path="/notifications/")
    yield Case("no such address", notification(), path="/notification")
    for method in ("PUT", "DELETE"):
        body = notification() if method == "PUT" else None
        yield Case(f"{method} the list", body, method=method)
        yield Case(f"{method} one", body, (notification(),), method=method, path=f"/notifications/{STORED}")
    yield Case("role member, and no type", notification(type=...), who="member")
    yield Case("role member, and no event", payload(event=...), who="member")
    yield Case("role member, and another project", notification(), who="member", path=f"/{'0' * 32}/notifications")
    yield Case("another microversion, without a token", notification(), who=NOBODY,
               headers={"OpenStack-API-Version": "instance-ha 1.4"})
    yield Case("no such address, without a token", notification(), path="/notification", who=NOBODY)
    yield Case("body of 110 kB", payload(event="e" * 110_000))
    yield Case("body of 120 kB", payload(event="e" * 120_000))


def _read() -> Iterator[Case]:
    def get(name: str, path: str, version: str = "1.3", who: str = "qga", before: tuple[bytes, ...] = ()) -> Case:
        return Case(f"GET {name}", None, before, who, {"OpenStack-API-Version": f"instance-ha {version}"}, path, "GET")
    one = (notification(),)
    yield get("one, version 1.0", f"/notifications/{STORED}", "1.0", before=one)
    yield get("one, version 1.3", f"/notifications/{STORED}", before=one)
    yield get("one, by a member", f"/notifications/{STORED}", who="member", before=one)
    yield get("one that is not there", f"/notifications/{uuid.UUID(int=1)}")
    yield get("one by a name", "/notifications/foo")
    yield get("the list", "/notifications?limit=1", before=one)
    yield get("the list, by unknown status", "/notifications?status=foo")
    yield get("the list, by type and time", "/notifications?type=VM&generated-since=2020-01-01T00:00:00&limit=1",
              before=one)
    yield get("the list, by a time that is none", "/notifications?generated-since=yesterday")
    yield get("the list, without a token", "/notifications", who=NOBODY)
    yield get("the list, as a reader", "/notifications", who="reader")
    yield get("segments", "/segments")
    yield get("hosts of a segment", "/segments/{segment}/hosts")


GROUPS = {
    "Taken": tuple(_taken()), "Microversions": tuple(_versions()), "Duplicates and maintenance": tuple(_conflicts()),
    "What does not fit": tuple(_invalid()), "Refused otherwise": tuple(_refused()), "Read": tuple(_read()),
}
CASES = tuple(case for group in GROUPS.values() for case in group)
