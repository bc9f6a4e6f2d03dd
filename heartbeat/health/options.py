"""The options of a section `[check NAME]`, which stands in the settings once for each health check."""

from __future__ import annotations

import re
from collections.abc import Mapping

from heartbeat.health.definition import (
    AGENT_VERSION,
    ALL,
    ANSWER_TIME,
    ASKED,
    BUILTIN,
    EXEC,
    FILE,
    FILESYSTEMS,
    KINDS,
    LOAD,
    MEASURES,
    UNHEALTHY,
    UNKNOWN,
    VCPUS,
)
from heartbeat.incident import RECORD, RECOVER
from heartbeat.option import Option, Value

SECTION = "check"
MOST = 32  # of them
NAME_LENGTH = 32
NAME = re.compile(rf"[a-z0-9-]{{1,{NAME_LENGTH}}}")
# What a guest may say where others name checks, so that no check can be called so.
NONE = "none"

ABOUT = (
    "Health checks, at most 32, each in a section of its own, [check NAME], under a name of lower-case letters, digits"
    " and hyphens. They ask a guest's application how it is, through the guest's agent. docs/health-checks.rst has it"
    " all."
)


def _option(name: str, kind: str, default: Value, reason: str, unit: str = "", low: float = 0,
            high: float = float("inf"), choices: tuple[str, ...] = ()) -> Option:  # fmt: skip
    return Option(SECTION, name, kind, default, reason, unit, low, high, choices, reloadable=True)


OPTIONS: tuple[Option, ...] = (
    _option("kind", "choice", "", choices=KINDS, reason="What is asked: exec runs a program in the guest, file reads a"
            " file that the application keeps fresh, builtin takes what the agent itself knows. Must be given."),
    _option("command", "command", (), reason="exec: the program in the guest, by its absolute path, and its arguments."
            " No shell reads it; blanks separate words, quotes keep one together. 0 is healthy, 1 unhealthy, 2"
            " initialising, 3 and all else unknown. Its first line is shown."),
    _option("output", "boolean", True, reason="exec: whether what it prints is captured. no: nothing of it is shown,"
            " and one that prints much costs nothing; an agent that sends 10 MiB at once loses its connection."),
    _option("overdue", "choice", UNKNOWN, choices=(UNKNOWN, UNHEALTHY), reason="exec: what a run is that does not end"
            " within timeout. It is not killed, and none is begun beside it."),
    _option("path", "guest-path", "", reason="file: the file's absolute path in the guest."),
    _option("fresh", "integer", 60, unit="s", low=1, high=86400, reason="file: seconds that it may be old, by the"
            " guest's own clock. Older is unhealthy."),
    _option("measure", "choice", "", choices=MEASURES, reason="builtin: what is measured: the agent's answer time, its"
            " fullest file system, load for each vCPU, vCPUs online, or the agent's version."),
    _option("limit", "string", "", reason="builtin: the last good value. At most: ms (answer-time), percent used"
            " (filesystems), load for each vCPU (load). At least: vCPUs online (vcpus), a version such as 8.2"
            " (agent-version)."),
    _option("interval", "integer", 60, unit="s", low=5, high=86400, reason="Seconds between two runs in one guest."),
    _option("timeout", "integer", 10, unit="s", low=1, high=600, reason="Seconds that one run may take."),
    _option("failures", "integer", 3, low=1, high=100, reason="Unhealthy runs in a row after which the guest counts as"
            " unhealthy. Unknown and initialising neither count nor clear."),
    _option("grace", "integer", 300, unit="s", low=0, high=86400, reason="Seconds after the guest was started or"
            " rebooted in which unhealthy counts as initialising."),
    _option("action", "choice", RECORD, choices=(RECORD, RECOVER), reason="The most that it may cause. recover:"
            " Masakari stops and starts the guest, within its budget and unless [verdicts] unhealthy, its flavor or"
            " somebody else says less."),
    _option("reset", "boolean", False, reason="exec, file: whether the guest may ask for its own recovery, with status"
            " reset-me. It counts against its budget. Takes action = recover."),
    _option("guests", "choice", ASKED, choices=(ASKED, ALL), reason="Who is checked. asked: those that flavors and"
            " names say, and those that ask for it by flavor, image or metadata, masakari:qga_checks. all: every guest"
            " that is watched."),
    _option("flavors", "list", (), reason="Names of flavors whose guests are checked, or patterns of them such as"
            " web.*, separated by commas."),
    _option("names", "list", (), reason="The same of guests' names, libvirt's or Nova's."),
)  # fmt: skip
BY_NAME: Mapping[str, Option] = {option.name: option for option in OPTIONS}

# What means something to some kinds only.
KINDS_OF: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("command", "output", "overdue"), (EXEC,)),
    **dict.fromkeys(("path", "fresh"), (FILE,)),
    **dict.fromkeys(("measure", "limit"), (BUILTIN,)),
    "reset": (EXEC, FILE),
}
# Which one each kind is nothing without.
NEEDED: Mapping[str, str] = {EXEC: "command", FILE: "path", BUILTIN: "measure"}


def _limit(kind: str, unit: str, low: float, high: float) -> Option:
    return Option(SECTION, "limit", kind, "", BY_NAME["limit"].reason, unit, low, high)


# A limit as its measure wants it; a version is none of these. A call of ours is out for less than 5 s, or unanswered.
LIMITS: Mapping[str, Option] = {
    ANSWER_TIME: _limit("integer", "ms", 1, 4999),
    FILESYSTEMS: _limit("seconds", "percent used", 1, 99.9),
    LOAD: _limit("seconds", "for each vCPU", 0.1, 1000),
    VCPUS: _limit("integer", "vCPUs", 1, 4096),
}
EXAMPLES: Mapping[str, str] = {ANSWER_TIME: "500", FILESYSTEMS: "95", LOAD: "4", VCPUS: "2", AGENT_VERSION: "8.2"}

# As the example file has them; between them they have every option.
SAMPLES: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("web", {
        "kind": EXEC, "command": "/usr/local/lib/qga/check.sh --unit nginx.service", "output": "yes",
        "overdue": UNKNOWN, "interval": "30", "timeout": "5", "failures": "3", "grace": "300",
        "action": RECOVER, "reset": "yes", "guests": ASKED, "flavors": "web.*", "names": "shop-*, instance-0000002a",
    }),
    ("queue", {"kind": FILE, "path": "/run/queue/health", "fresh": "60"}),
    ("disks", {"kind": BUILTIN, "measure": FILESYSTEMS, "limit": "95", "interval": "600", "guests": ALL}),
)  # fmt: skip
