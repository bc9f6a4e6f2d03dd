"""What the owner loop knows of a guest at the moment of its verdict, for those who take the evidence. Pure."""

from __future__ import annotations

from typing import NamedTuple

from heartbeat.incident import IO_ERROR, QEMU_DIED, QEMU_STUCK, Incident
from heartbeat.outlook import Case
from heartbeat.terms import Terms
from heartbeat.watch import Watch

ON, OFF, OPT_IN = "on", "off", "opt-in"


class Scene(NamedTuple):
    """case: as far as the loop knows it; what only the ledger knows is left empty. history: of heartbeat.history.
    no_picture: why no picture of its screen is to be taken, "" if one is. disks: whether its disks may be to blame."""

    incident: Incident
    case: Case
    history: str
    no_picture: str
    disks: bool


def scene(incident: Incident, case: Case, history: str, screenshot: str) -> Scene:
    """screenshot: ON, OFF or OPT_IN, as evidence.screenshot says."""
    why = _stuck(incident, case.watch) or _forbidden(screenshot, case.terms)
    return Scene(incident, case, history, why, incident.verdict == IO_ERROR)


def weighed(before: Watch, after: Watch) -> Watch:
    """The watch after a verdict, with the samples that the verdict rests on: some verdicts begin a new window."""
    last = after.last or before.last
    first = after.first if after.first is not after.last else None
    return after._replace(first=first or before.first or after.first, last=last, steady=after.steady or before.steady)


def _stuck(incident: Incident, watch: Watch) -> str:
    if incident.verdict == QEMU_DIED:
        return "its QEMU has ended"
    if incident.verdict == QEMU_STUCK or (watch.last is not None and watch.last.frozen):
        return "its QEMU does not react, so it is not asked"
    return ""


def _forbidden(screenshot: str, terms: Terms | None) -> str:
    said = terms.screenshot if terms else None
    if screenshot == OFF:
        return "evidence.screenshot is off"
    if said is False:
        return "its flavor, image or server says masakari:qga_screenshot = no"
    if screenshot == OPT_IN and not said:
        return "evidence.screenshot is opt-in, and nobody says masakari:qga_screenshot = yes for it"
    return ""
