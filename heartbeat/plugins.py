"""Which backends there are: ours, in a table, and others', which they register under the entry point group GROUP.

Ours are in a table because the packages put us into a private directory, where no metadata of a distribution lies, and
a checkout has none either; and since Masakari must not become unknown because some metadata is damaged. Nobody can take
the place of one of ours.
"""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

GROUP = "masakari_qga.backends"
ATTRIBUTES = "attributes"  # a mirror in this process, to which nothing is delivered


class Kind(NamedTuple):
    """place: module:class. clears: it is told as well when an incident is over. label: how messages call it."""

    place: str
    clears: bool
    label: str


OURS = {
    "masakari": Kind("heartbeat.backends.masakari:Masakari", False, "Masakari"),
    "vitrage": Kind("heartbeat.backends.vitrage:Vitrage", True, "Vitrage"),
    "mistral": Kind("heartbeat.backends.mistral:Mistral", False, "Mistral"),
    "webhook": Kind("heartbeat.backends.webhook:Webhook", True, "the webhook"),
    "command": Kind("heartbeat.backends.command:Command", True, "the command"),
}
NAMES = (*OURS, ATTRIBUTES)


def others() -> dict[str, str]:
    """Name -> module:class of what other packages have registered. Reads their metadata and loads nothing of them."""
    from importlib import metadata  # 20 ms, which the agent never needs to spend

    # Not metadata.entry_points(): it takes a group from Python 3.10 on only, and one damaged distribution breaks it.
    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        try:
            points = [point for point in distribution.entry_points if point.group == GROUP]
        except Exception:  # somebody else's broken file is no reason to know of no backend
            continue
        for point in points:
            if point.name not in NAMES:
                found.setdefault(point.name, point.value)
    return found


def objection(name: str) -> str | None:
    """What is wrong with a backend's name, and what to give instead; None: it is known."""
    if name in NAMES:
        return None
    known = [*NAMES, *sorted(others())]
    if name in known:
        return None
    import difflib

    near = difflib.get_close_matches(name[:64].lower(), known, 1, 0.5)
    guess = f"did you mean {near[0]}? " if near else ""
    return f"unknown; {guess}give a comma separated list of: {', '.join(known)}"


def load(name: str) -> Any:
    """The class of a backend: called with its options it gives what heartbeat.backends.Backend asks for, less close()
    and interrupt(). Raises ImportError, and whatever a foreign module raises."""
    place = OURS[name].place if name in OURS else others().get(name)
    if place is None:
        raise ImportError(f"no package registers {name} in {GROUP}", name=name)
    module, _, attribute = place.partition(":")
    found = importlib.import_module(module.strip())
    for part in attribute.partition("[")[0].strip().split("."):
        found = getattr(found, part)
    return found
