"""What an existing masakarimonitors.conf already says about guests and credentials, in our terms.

The file belongs to another program, which deployments tune and often misspell. So nothing in it is an error here:
whatever cannot be used is a note, and the default holds.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from typing import NamedTuple

from heartbeat import ini, settings

SECTION = "introspectiveinstancemonitor"
# Per option of ours its counterparts, best first. The second of each pair does not exist in masakari-monitors, but
# openstack-helm and others ship it, where it was silently without effect.
NAMES = {
    "watch.interval": ("guest_monitoring_interval", "guest_monitor_interval"),
    "watch.timeout": ("guest_monitoring_timeout", "guest_monitor_timeout"),
    "watch.silence": ("guest_monitoring_failure_threshold", "guest_monitor_failure_threshold"),
}
NOT_NEEDED = ("qemu_guest_agent_sock_path",)
SECONDS_PER_SILENT_QUESTION = 5  # libvirt waits that long after a first silence, whatever the timeout


class Inherited(NamedTuple):
    """values and origins by our option's key, notes for the log, and the raw [api] options."""

    values: Mapping[str, settings.Value]
    origins: Mapping[str, str]
    notes: tuple[str, ...]
    api: Mapping[str, str]


def read(path: str, wanted: frozenset[str], expected: bool) -> Inherited:
    """The counterparts of the options whose keys are in `wanted`.

    expected: the administrator named the file, so that its absence deserves a note.
    """
    values: dict[str, settings.Value] = {}
    origins: dict[str, str] = {}
    notes: list[str] = []
    try:
        file = ini.oslo(path) if path else {}
    except OSError as error:
        if expected or error.errno not in (errno.ENOENT, errno.ENOTDIR):
            notes.append(f"warning: {path} is not used: {os.strerror(error.errno or 0)}; see masakari.credentials")
        return Inherited(values, origins, tuple(notes), {})
    except ini.IniError as error:
        return Inherited(values, origins, (f"warning: {path} is not used: {error}",), {})
    section = file.get(SECTION, {})
    for key, names in NAMES.items():
        entry = next((section[name] for name in names if name in section), None)
        if key in wanted and entry:
            value, note = _translated(settings.BY_KEY[key], entry, f"{path} line {entry.line}")
            notes.append(note)
            if value is not None:
                values[key], origins[key] = value, f"{path} line {entry.line}: {entry.key}"
    known = {name for names in NAMES.values() for name in names}
    for name, entry in section.items():
        if name in NOT_NEEDED:
            why = "is not needed: a guest's channel is found by its target name"
            notes.append(f"{path} line {entry.line}: {name} {why}")
        elif name not in known:
            notes.append(f"warning: {path} line {entry.line}: {settings.printable(name)} is unknown and has no effect")
    return Inherited(values, origins, tuple(notes), _api(file))


def _translated(option: settings.Option, entry: ini.Entry, place: str) -> tuple[int | None, str]:
    """The value for our option, None where the text is no whole number, and the note that says what was made of it."""
    said = f"{entry.key} = {settings.printable(entry.text)} of {place}"
    try:
        number = int(entry.text)
    except ValueError:
        return None, f"warning: {said} is not a whole number and has no effect"
    why = ""
    if option.key == "watch.silence":
        number *= SECONDS_PER_SILENT_QUESTION
        why = f", {SECONDS_PER_SILENT_QUESTION} s for each: libvirt waits that long for a silent agent"
    value = int(min(max(number, option.low), option.high))
    if value != number:
        why += f"; {number} is out of range, {option.low:g} to {option.high:g} {option.unit} is possible"
    return value, f"{option.key} = {value} {option.unit} from {said}{why}"


def _api(file: Mapping[str, Mapping[str, ini.Entry]]) -> dict[str, str]:
    """The options with which masakari-monitors reaches Keystone; keystoneauth lets [api] refer to another section."""
    api = {name: entry.text for name, entry in file.get("api", {}).items()}
    other = file.get(api.get("auth_section", ""), {})
    return {**api, **{name: entry.text for name, entry in other.items()}}
