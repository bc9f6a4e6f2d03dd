"""A guest as its live domain XML describes it. The XML holds users' text, so it is parsed as somebody else's
document."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple
from uuid import UUID

from heartbeat import document, instance
from heartbeat.document import BadDocument, Element
from heartbeat.terms import NO_INSTANCE, Instance

AGENT_CHANNEL = "org.qemu.guest_agent.0"
# Nova's metadata are a few KiB; libvirt itself refuses messages above 32 MiB.
XML_LIMIT = 4 << 20
# The guest stays as it is, for somebody to look at; every other word of libvirt's has it stopped or reset.
PRESERVE = "preserve"


class BadDomain(ValueError):
    """A domain that cannot be understood; it must not stop the reading of its neighbours."""


class Channel(Enum):
    """UNKNOWN: libvirt does not say, as for a moment after its own restart."""

    OPEN = "connected"
    CLOSED = "disconnected"
    UNKNOWN = "unknown"
    ABSENT = "absent"


class Guest(NamedTuple):
    """What is known of a guest between two changes of its domain.

    channel: the agent's channel, as the guest opened or closed it.
    balloon_period: seconds between two reports of the guest's balloon driver; 0 where it does not report.
    name: libvirt's domain name, for people only.
    on_crash: what libvirt does with it when its kernel says that it panicked, such as destroy, restart, preserve.
    instance: what Nova wrote about it.
    """

    uuid: str
    name: str
    channel: Channel
    balloon_period: int
    vcpus: int
    on_crash: str = PRESERVE
    instance: Instance = NO_INSTANCE


def read(xml: str) -> Guest:
    """The guest described by a live domain XML. Raises BadDomain."""
    root = parsed(xml)
    try:
        uuid = str(UUID(root.findtext("uuid", "").strip()))
        vcpus = int(root.findtext("vcpu", "1"))
        period = int(_attribute(root, "devices/memballoon/stats", "period") or 0)
    except ValueError:
        raise BadDomain("domain XML lacks a proper uuid, vcpu or balloon period") from None
    on_crash = root.findtext("on_crash", "destroy").strip()[:32]
    name = root.findtext("name", "")[:255]
    return Guest(uuid, name, _channel(root), max(period, 0), vcpus, on_crash, instance.read(root))


def parsed(xml: str) -> Element:
    """Raises BadDomain."""
    try:
        return document.read(xml, XML_LIMIT)
    except BadDocument as error:
        raise BadDomain(f"domain XML {error}") from None


def _channel(root: Element) -> Channel:
    """The state of the agent's channel. libvirt uses the first of that name, so we do; never by path or position."""
    for target in root.iterfind("devices/channel[@type='unix']/target[@type='virtio']"):
        if target.get("name") == AGENT_CHANNEL:
            state = target.get("state")
            return Channel(state) if state in ("connected", "disconnected") else Channel.UNKNOWN
    return Channel.ABSENT


def _attribute(root: Element, path: str, name: str) -> str | None:
    element = root.find(path)
    return None if element is None else element.get(name)
