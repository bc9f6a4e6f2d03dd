"""This host among those that Masakari knows: what its segments say of the name that we report under. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from heartbeat.inspection.finding import FAILED, OK, WARNING, Finding
from heartbeat.settings import printable

STEP = "segment"


class Entry(NamedTuple):
    """A host of a segment. enabled: the segment's; an older Masakari does not say, and has none that is not."""

    name: str
    segment: str
    segment_uuid: str
    uuid: str
    maintenance: bool
    reserved: bool
    enabled: bool


def entries(segment: Mapping[str, Any], hosts: Iterable[Any]) -> Iterator[Entry]:
    """What one segment's list of hosts says."""
    for host in hosts:
        if isinstance(host, dict) and isinstance(host.get("name"), str):
            yield Entry(
                host["name"], str(segment.get("name", "")), str(segment.get("uuid", "")), str(host.get("uuid", "")),
                host.get("on_maintenance") is True, host.get("reserved") is True, segment.get("enabled") is not False,
            )  # fmt: skip


def judged(name: str, known: Iterable[Entry], complete: bool, option: str) -> Iterator[Finding]:
    """name: that we report under. complete: whether all segments have been read. option: that sets the name."""
    hosts = list(known)
    ours = [it for it in hosts if it.name == name]
    if not ours:
        yield _unknown(name, hosts, complete, option)
    for it in ours:
        segment = printable(it.segment, 60)
        # Both uuids: the commands take no names that are not unique.
        change = f"openstack segment host update {it.segment_uuid} {it.uuid}"
        well = True
        if it.maintenance:
            text = f"host {name} of segment {segment} is on_maintenance: Masakari refuses every report of it"
            yield Finding(FAILED, STEP, text, f"when it is repaired: {change} --on_maintenance False", 1)
            well = False
        if it.reserved:
            text = f"host {name} of segment {segment} is reserved: it is kept free for the guests of failed hosts"
            yield Finding(WARNING, STEP, text, f"{change} --reserved False, unless that is meant")
            well = False
        if not it.enabled:
            text = f"segment {segment} is not enabled: Masakari takes the reports of {name} and ignores them"
            remedy = f"openstack segment update {it.segment_uuid} --is_enabled True, with API version 1.2"
            yield Finding(FAILED, STEP, text, remedy, 1)
            well = False
        if well:
            yield Finding(OK, STEP, f"Masakari knows host {name}, in segment {segment}")
    if len(ours) > 1:
        yield Finding(WARNING, STEP, f"host {name} is in {len(ours)} segments", "leave it in one of them")


def near(name: str, names: Iterable[str]) -> str:
    """Another one's name that may be meant, or "": the same but for upper case, the same without or with its domain,
    or one that looks like it."""
    known = sorted(set(names))
    for alike in (str.lower, lambda it: it.lower().partition(".")[0]):
        found = [it for it in known if alike(it) == alike(name)]
        if found:
            return found[0]
    return next(iter(difflib.get_close_matches(name, known, 1, 0.8)), "")


def _unknown(name: str, hosts: list[Entry], complete: bool, option: str) -> Finding:
    if not complete:
        text = f"host {name} is in none of the segments that were read in time, not all of them"
        return Finding(WARNING, STEP, text, "openstack segment list; openstack segment host list SEGMENT")
    if not hosts:
        text = f"no segment of Masakari has any host, so reports of {name} are refused"
        remedy = "openstack segment create NAME auto COMPUTE, and with the uuid that it has then: "
        return Finding(FAILED, STEP, text, f"{remedy}openstack segment host create {name} COMPUTE SSH UUID", 1)
    other = near(name, (it.name for it in hosts))
    text = f"none of Masakari's {len(hosts)} hosts is called {name}"
    if other:
        text += f"; one is called {printable(other, 80)}"
        remedy = f"both must be Nova's (openstack compute service list): correct {option}, or the host in Masakari"
    else:
        remedy = f"openstack segment host create {name} COMPUTE SSH SEGMENT_UUID, or correct {option}"
    return Finding(FAILED, STEP, text, remedy, 1)
