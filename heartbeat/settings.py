"""Every option once: its name, type, unit, default, reason, and whether a running helper can take a new value.

The configuration file, the OCF meta-data, `--show-config`, the example file and the documentation are all made from
OPTIONS, so an option that is not here does not exist anywhere.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Union

Value = Union[str, int, float, bool, "tuple[str, ...]"]

CONFIG = "/etc/masakari-qga/masakari-qga.conf"
STATE_DIRECTORY = "/var/lib/masakari-qga"
RUN_DIRECTORY = "/run/masakari-qga"
BACKENDS = ("masakari", "attributes")
# Node attributes that we set. The agent's stop removes the same ones; names stay within what crm_mon prints in a
# column.
ATTRIBUTES = ("qga-state", "qga-failed", "qga-failed-vms")


class BadValue(ValueError):
    """A text that is not a value of its option. `why` says what is expected, for people."""

    def __init__(self, option: Option, text: str, why: str) -> None:
        super().__init__(f"{option.key} = {printable(text)}: {why}")
        self.option, self.text, self.why = option, text, why


@dataclass(frozen=True)
class Option:
    """One option.

    kind: string, integer, seconds (may have a fraction), boolean, choice, list (comma separated) or path (absolute).
    low, high: inclusive bounds of a number. choices: permitted words of a choice or a list.
    parameter: its name as an OCF parameter, or "" where it belongs in the file only.
    secret: never printed by anything.
    """

    section: str
    name: str
    kind: str
    default: Value
    reason: str
    unit: str = ""
    low: float = 0
    high: float = float("inf")
    choices: tuple[str, ...] = ()
    reloadable: bool = False
    parameter: str = ""
    secret: bool = False

    @property
    def key(self) -> str:
        return f"{self.section}.{self.name}"

    def parse(self, text: str) -> Value:
        """The value that a text from a file or a parameter means. Raises BadValue."""
        text = text.strip()
        return _PARSERS[self.kind](self, text)

    def text(self, value: Value) -> str:
        """A value as it would stand in the file."""
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, tuple):
            return ", ".join(value)
        return f"{value:g}" if isinstance(value, float) else str(value)


def printable(text: str, limit: int = 60) -> str:
    """Somebody else's text, quoted, ASCII and bounded, so that it can stand in a message, a log line or an exit
    reason."""
    return ascii(text if len(text) <= limit else text[:limit] + "...")


def plain(text: str, limit: int = 200) -> str:
    """Another program's sentence, ASCII and bounded, without quotes around it: for the middle of one of ours."""
    return printable(text, limit)[1:-1]


def _number(option: Option, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise BadValue(option, text, f"not a number; give {_range(option)}") from None
    if not option.low <= number <= option.high:  # also refuses nan
        raise BadValue(option, text, f"out of range; give {_range(option)}")
    return number


def _integer(option: Option, text: str) -> int:
    number = _number(option, text)
    if number != int(number):
        raise BadValue(option, text, f"not a whole number; give {_range(option)}")
    return int(number)


def _range(option: Option) -> str:
    bounds = f"{option.low:g} to {option.high:g}" if option.high != float("inf") else f"at least {option.low:g}"
    return f"{bounds} {option.unit}".rstrip()


def _boolean(option: Option, text: str) -> bool:
    if text.lower() in ("yes", "true", "on", "1"):
        return True
    if text.lower() in ("no", "false", "off", "0"):
        return False
    raise BadValue(option, text, "give yes or no")


def _choice(option: Option, text: str) -> str:
    if text not in option.choices:
        raise BadValue(option, text, f"give one of: {', '.join(option.choices)}")
    return text


def _list(option: Option, text: str) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    for word in words:
        if option.choices and word not in option.choices:
            raise BadValue(option, word, f"unknown; give a comma separated list of: {', '.join(option.choices)}")
    return words


def _path(option: Option, text: str) -> str:
    if text and not text.startswith("/"):
        raise BadValue(option, text, "give an absolute path")
    return _string(option, text)


def _string(option: Option, text: str) -> str:
    if not text.isprintable():
        raise BadValue(option, text, "has control characters; remove them")
    return text


def _hostname(option: Option, text: str) -> str:
    # Masakari's API accepts exactly these characters and this length.
    if len(text) > 255 or text.strip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"):
        raise BadValue(option, text, "give at most 255 letters, digits, dots, hyphens and underscores")
    return text


_PARSERS: dict[str, Callable[[Option, str], Value]] = {
    "string": _string,
    "integer": _integer,
    "seconds": _number,
    "boolean": _boolean,
    "choice": _choice,
    "list": _list,
    "path": _path,
    "hostname": _hostname,
}

OPTIONS: tuple[Option, ...] = (
    Option(
        "watch", "interval", "integer", 10, unit="s", low=2, high=300, reloadable=True, parameter="interval",
        reason="Seconds between two questions to the agent of a guest that answers. Shorter finds a hang sooner and"
        " costs about 1 ms of CPU per question.",
    ),
    Option(
        "watch", "timeout", "integer", 5, unit="s", low=1, high=20, reloadable=True, parameter="timeout",
        reason="Seconds that a guest's agent may take to answer. libvirt itself waits 5 s after a first silence,"
        " whatever stands here, so a smaller value only makes the first silence be noticed sooner.",
    ),
    Option(
        "watch", "silence", "integer", 15, unit="s", low=12, high=3600, reloadable=True,
        reason="Seconds of silence, in which every other witness is still too, after which a guest counts as hung."
        " Less than the balloon's reporting period (10 s under Nova) plus one could not be judged.",
    ),
    Option(
        "watch", "agent_down", "integer", 60, unit="s", low=5, high=86400, reloadable=True,
        reason="Seconds that the agent's channel may be closed before this is recorded as agent-down. An agent's"
        " upgrade or a guest's reboot closes it for a while.",
    ),
    Option(
        "watch", "resync", "integer", 60, unit="s", low=10, high=3600, reloadable=True,
        reason="Seconds between two complete readings of libvirt's list of guests, which find what a lost event"
        " missed.",
    ),
    Option(
        "libvirt", "connection_uri", "string", "qemu:///system",
        reason="libvirt's address. It must be of this host: witnesses are read from /proc.",
    ),
    Option(
        "report", "backends", "list", BACKENDS, choices=BACKENDS, reloadable=True, parameter="backends",
        reason="Who is told of a failed guest.",
    ),
    Option(
        "report", "hostname", "hostname", "", reloadable=True, parameter="hostname",
        reason="This compute node's name in Masakari, which is Nova's name for it. Empty: [DEFAULT] host of nova.conf,"
        " or else the host name.",
    ),
    Option(
        "masakari", "credentials", "path", "/etc/masakarimonitors/masakarimonitors.conf",
        reason="An existing masakarimonitors.conf. Its [api] section is used where auth_url is empty here, and its"
        " guest_monitoring_* values where this file does not set their counterparts. It need not exist.",
    ),
    Option(
        "masakari", "auth_url", "string", "",
        reason="Keystone's address, for example https://keystone.example:5000/v3.",
    ),
    Option(
        "masakari", "username", "string", "",
        reason="A user with the role admin on project_name: Masakari asks for it.",
    ),
    Option(
        "masakari", "password", "string", "", secret=True,
        reason="The user's password. This is why the file is 0640.",
    ),
    Option("masakari", "project_name", "string", "service", reason="The project to which the token is scoped."),
    Option("masakari", "user_domain_name", "string", "Default", reason="Keystone domain of the user."),
    Option("masakari", "project_domain_name", "string", "Default", reason="Keystone domain of the project."),
    Option(
        "masakari", "region", "string", "",
        reason="Region whose endpoint is used. Empty: the catalogue's only one.",
    ),
    Option(
        "masakari", "interface", "choice", "public", choices=("public", "internal", "admin"),
        reason="Which of Masakari's endpoints in the catalogue is used.",
    ),
    Option("masakari", "endpoint", "string", "", reason="Masakari's address, if the catalogue's is not to be used."),
    Option("masakari", "cafile", "path", "", reason="CA certificates for Keystone and Masakari. Empty: the system's."),
    Option(
        "masakari", "timeout", "integer", 15, unit="s", low=6, high=120, reloadable=True,
        reason="Seconds that one request may take. Masakari itself may sleep 5 s before it stores a notification.",
    ),
    Option(
        "attributes", "dampening", "integer", 1, unit="s", low=0, high=60, reloadable=True,
        reason="Seconds that the cluster collects changes of our node attributes before it writes them, so that a"
        " burst is one write.",
    ),
    Option(
        "attributes", "reassert", "integer", 60, unit="s", low=10, high=3600, reloadable=True,
        reason="Seconds between two repetitions of our node attributes, which a restarted cluster forgets.",
    ),
    Option(
        "log", "to", "string", "syslog",
        reason="syslog, or the absolute path of a file. A log that cannot be written never stops the helper.",
    ),
    Option(
        "log", "level", "choice", "info", choices=("debug", "info", "warning", "error"),
        reason="The least that is logged.",
    ),
    Option(
        "state", "directory", "path", STATE_DIRECTORY,
        reason="Where incidents are kept. Mode 0700, on a disk, not in /run.",
    ),
)

BY_KEY = {option.key: option for option in OPTIONS}
PARAMETERS = {option.parameter: option for option in OPTIONS if option.parameter}
SECTIONS = tuple(dict.fromkeys(option.section for option in OPTIONS))


def example() -> str:
    """The configuration file as we ship it: every option, commented out, with its reason and default."""
    lines = ["# masakari-qga: what is commented out shows the default. Keep this 0640: it may hold a password.", ""]
    for section in SECTIONS:
        lines.append(f"[{section}]")
        for option in OPTIONS:
            if option.section == section:
                lines += textwrap.wrap(option.reason, 116, initial_indent="# ", subsequent_indent="# ")
                lines += [f"#{option.name} = {option.text(option.default)}".rstrip(), ""]
    return "\n".join(lines)
