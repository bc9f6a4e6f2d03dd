"""libvirt, and which guests' agents answer: as the helper sees it, or asked here where there is no helper.

Two who ask one agent are in each other's way: libvirt lets the second wait, and a guest would look silent to the one or
the other. So while a helper lives nobody is asked here.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from heartbeat.inspection.finding import FAILED, NOTE, OK, WARNING, Finding
from heartbeat.inspection.steps import within

LIBVIRT_LIMIT = 8.0  # s; libvirt's open has no time limit of its own
SECONDS = 45.0  # for libvirt and all guests
SHOWN = 5  # uuids of a kind
ANSWERS, NOT_RUNNING = "answers", "not running"
SILENT, CLOSED, NO_CHANNEL, WAITING = "silent", "channel closed", "no channel", "no answer yet"
_VIRSH = 'virsh qemu-agent-command UUID \'{"execute":"guest-info"}\''
_INSIDE = f"see whether qemu-ga runs in the guest; {_VIRSH}"
REMEDIES = {
    SILENT: _INSIDE,
    WAITING: _INSIDE,
    CLOSED: "install and start qemu-guest-agent in the guest",
    **dict.fromkeys(("hung", "panicked", "qemu-died", "io-error", "qemu-stuck"), "masakari-qga why UUID"),
    **dict.fromkeys(("no answer from libvirt", "refused by libvirt", "not understood"), "see libvirtd's log"),
}
NO_FAULT = "give its image hw_qemu_guest_agent=yes, and rebuild it from that; until then it is not watched"
# The helper's states, in these words; all others are what they are called.
STATES = {"healthy": ANSWERS, "stopped": NOT_RUNNING, "paused": NOT_RUNNING, "unmonitored": NO_CHANNEL,
          "agent-down": CLOSED, "waiting": WAITING, "suspect": SILENT, "agent-silent": SILENT,
          "never-answered": SILENT}  # fmt: skip


def reachable(uri: str) -> Finding:
    """Whether libvirt answers at this address."""
    why = within(LIBVIRT_LIMIT, lambda: _reach(uri))
    if why:
        remedy = "start libvirtd or virtqemud, or correct libvirt.connection_uri"
        return Finding(FAILED, "libvirt", f"libvirt at {uri}: {why}", remedy, 1)
    return Finding(OK, "libvirt", f"libvirt answers at {uri}")


def look(uri: str, helper: str, view: Mapping[str, Any]) -> Iterator[Finding]:
    """helper, view: see heartbeat.inspection.Helper."""
    until = time.monotonic() + SECONDS
    found = reachable(uri)
    yield found
    if helper == "running":
        connection = view.get("libvirt")
        if isinstance(connection, dict) and connection.get("connected") is False and found.level == OK:
            text = f"the helper is not connected: {connection.get('error')}"
            yield Finding(WARNING, "libvirt", text, "it connects again by itself within 10 s; if not, see its log")
        yield from summary(from_helper(view.get("guests")), "as the helper sees them")
    elif helper == "stuck":
        yield Finding(NOTE, "guests", "not asked: a helper is here and does not say what it sees")
    elif found.level == OK:
        yield from _asked(uri, until)


def from_helper(guests: object) -> dict[str, str]:
    """By uuid what each guest's agent does, from the helper's status."""
    entries = [it for it in guests if isinstance(it, dict)] if isinstance(guests, list) else []
    return {_uuid(it.get("uuid")): STATES.get(str(it.get("state")), str(it.get("state"))) for it in entries}


def summary(guests: Mapping[str, str], source: str) -> Iterator[Finding]:
    """guests: by uuid, what its agent does: one of the words above, or another one."""
    kinds: dict[str, list[str]] = {}
    for uuid, kind in sorted(guests.items()):
        kinds.setdefault(kind, []).append(uuid)
    counts = ", ".join(f"{len(kinds[kind])} {kind}" for kind in sorted(kinds, key=lambda it: (it != ANSWERS, it)))
    troubled = [kind for kind in kinds if kind not in (ANSWERS, NOT_RUNNING)]
    level = NOTE if troubled else OK
    yield Finding(level, "guests", f"{len(guests)} guests, {source}" + (f": {counts}" if counts else ""))
    for kind in sorted(troubled):
        uuids = kinds[kind]
        more = f" and {len(uuids) - SHOWN} more" if len(uuids) > SHOWN else ""
        # Others are no fault of theirs: without a channel, not watched on purpose, busy, or not come to in time.
        remedy = REMEDIES.get(kind, NO_FAULT if kind == NO_CHANNEL else "")
        level = WARNING if kind in REMEDIES else NOTE
        yield Finding(level, "guests", f"{kind}: {', '.join(uuids[:SHOWN])}{more}", remedy)


def _asked(uri: str, until: float) -> Iterator[Finding]:
    from heartbeat.hypervisor.rollcall import Unlisted, call

    try:
        guests = call(uri, until)
    except Unlisted as error:
        yield Finding(FAILED, "guests", f"libvirt does not list its guests: {error}", "see libvirtd's log", 1)
    else:
        yield from summary(guests, "asked just now")


def _reach(uri: str) -> str:
    try:
        from heartbeat.hypervisor import unreachable
    except ImportError as error:
        return f"python module {error.name} is missing"
    return unreachable(uri)


def _uuid(text: object) -> str:
    try:
        return str(UUID(str(text)))
    except ValueError:
        return "unknown"
