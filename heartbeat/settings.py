"""Every option once: its name, type, unit, default, reason, and whether a running helper can take a new value.

The configuration file, the OCF meta-data, `--show-config`, the example file and the documentation are all made from
OPTIONS, so an option that is not here does not exist anywhere.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from types import MappingProxyType

from heartbeat import happenings, options
from heartbeat.happenings import ACTIONS
from heartbeat.health import options as health
from heartbeat.incident import IGNORE, RECORD, RECOVER, UNPROVEN
from heartbeat.option import BadValue, Option, Value, plain, printable
from heartbeat.options import BACKENDS, STATE_DIRECTORY

__all__ = ("BACKENDS", "STATE_DIRECTORY", "BadValue", "Option", "Value", "plain", "printable")

CONFIG = "/etc/masakari-qga/masakari-qga.conf"
RUN_DIRECTORY = "/run/masakari-qga"
# Node attributes that we set. The agent's stop removes the same ones; names stay within what crm_mon prints in a
# column.
ATTRIBUTES = ("qga-state", "qga-failed", "qga-failed-vms", "qga-unhealthy")
# One more that the agent's stop removes; see breaker.health. Pacemaker takes names that begin so for the node's health.
HEALTH = "#health-qga"

# Verdict, default action, reason.
VERDICTS = (
    ("hung", RECOVER, "The agent is silent, and every other witness says that nothing in the guest moves."),
    ("qemu-died", RECOVER, "QEMU has ended though nobody asked it to."),
    ("panicked", RECOVER, "The guest's kernel has panicked and writes no dump."),
    ("io-error", RECOVER, "The guest has been paused by an I/O error for io_error seconds of [watch]."),
    ("agent-silent", RECORD, "The agent is silent, but the guest works: it would lose by a reset."),
    ("agent-down", RECORD, "The agent is stopped or has crashed; nothing speaks against the guest."),
    ("qemu-stuck", RECORD, "QEMU itself does not react: a stop through Nova would hang as well. Look at the host."),
    ("never-answered", RECORD, "A guest made for the agent has not answered since it was started."),
    ("unhealthy", RECOVER, "A health check failed: see [check NAME], whose own action is the most that follows."),
    ("missing", RECORD, "Nova has it active here, and libvirt does not run it. recover: only after a certain failure."),
    ("unexpected", RECORD, "It runs here, and Nova does not know it, has it elsewhere, or shut off."),
)


def _action(section: str, name: str, default: str, reason: str, choices: tuple[str, ...] = ACTIONS) -> Option:
    return Option(section, name, "choice", default, reason=reason, choices=choices, reloadable=True)


def _verdict(name: str, default: str, reason: str) -> Option:
    """One that is recorded by default rests on too little to recover a guest for it, so nobody can ask for that."""
    return _action("verdicts", name, default, reason, (RECORD, IGNORE) if name in UNPROVEN else ACTIONS)


_JUDGED = ("watch", "budget", "breaker", "fitness")
OPTIONS: tuple[Option, ...] = (
    *(option for option in options.OPTIONS if option.section in _JUDGED),
    *(_verdict(*row) for row in VERDICTS),
    *(option for option in options.OPTIONS if option.section not in _JUDGED),
    *(_action("events", it.name, it.action, it.reason) for it in happenings.EVENTS),
)

BY_KEY = {option.key: option for option in OPTIONS}
PARAMETERS = {option.parameter: option for option in OPTIONS if option.parameter}
SECTIONS = tuple(dict.fromkeys(option.section for option in OPTIONS))
# Of the sections that the file may have many of, [check NAME].
CHECK, CHECK_OPTIONS = health.SECTION, health.OPTIONS

_PRESET_KEYS = (
    *("watch.interval", "watch.timeout", "watch.silence", "watch.agent_down", "watch.io_error", "watch.boot"),
    *("watch.grace", "budget.window"),
)


def _preset(*values: int) -> Mapping[str, Value]:
    assert len(values) == len(_PRESET_KEYS)
    return MappingProxyType(dict(zip(_PRESET_KEYS, values)))


# Per word of watch.sensitivity. medium is the defaults, once more.
PRESETS: Mapping[str, Mapping[str, Value]] = {
    "high": _preset(3, 3, 7, 30, 30, 300, 20, 1800),
    "medium": MappingProxyType({key: BY_KEY[key].default for key in _PRESET_KEYS}),
    "low": _preset(30, 10, 60, 300, 300, 1800, 120, 86400),
}

ABOUT = {
    "verdicts": "What each verdict causes: recover (reported, Masakari stops and starts the guest), record (kept, shown"
    " and logged, nobody acts) or ignore.",
    "events": "What each of libvirt's events causes: recover, record or ignore. An event never causes more than its"
    " verdict in [verdicts].",
    CHECK: health.ABOUT,
}


def example() -> str:
    """The configuration file as we ship it: every option, commented out, with its reason and default."""
    lines = ["# masakari-qga: what is commented out shows the default. Keep this 0640: it may hold a password.", ""]
    for section in SECTIONS:
        lines.append(f"[{section}]")
        if section in ABOUT:
            lines += [*_comment(ABOUT[section]), ""]
        for option in OPTIONS:
            if option.section == section:
                lines += [*_comment(option.reason), f"#{option.name} = {option.text(option.default)}".rstrip()]
                lines += [""] * (section not in ABOUT)
        lines += [""] * (section in ABOUT)
    return "\n".join([*lines, *_samples()])


def _samples() -> list[str]:
    """A health check of each kind, with the reason of each option where it first stands."""
    lines, seen = [*_comment(f"{ABOUT[CHECK]} None is defined by default; what follows are samples."), ""], set()
    for name, texts in health.SAMPLES:
        lines.append(f"#[{CHECK} {name}]")
        for option, text in texts.items():
            lines += [] if option in seen else _comment(health.BY_NAME[option].reason)
            lines.append(f"#{option} = {text}")
            seen.add(option)
        lines.append("")
    return lines


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, 116, initial_indent="# ", subsequent_indent="# ")
