"""What an operator defines as a health check: the section `[check NAME]` of the settings, understood. Pure."""

from __future__ import annotations

from typing import NamedTuple, Union

from heartbeat.incident import RECORD

EXEC, FILE, BUILTIN = "exec", "file", "builtin"
KINDS = (EXEC, FILE, BUILTIN)

ANSWER_TIME, FILESYSTEMS, LOAD, VCPUS, AGENT_VERSION = "answer-time", "filesystems", "load", "vcpus", "agent-version"
MEASURES = (ANSWER_TIME, FILESYSTEMS, LOAD, VCPUS, AGENT_VERSION)

# What a run is that did not end in time. The words are those of a check's status.
UNKNOWN, UNHEALTHY = "unknown", "unhealthy"
ASKED, ALL = "asked", "all"

Limit = Union[float, "tuple[int, ...]"]


class Check(NamedTuple):
    """One check. Times are seconds.

    name: [a-z0-9-]{1,32}. kind: exec, file or builtin; what another kind needs is empty or at its default.
    command: of exec: an absolute path in the guest, and the words that it is given; never a shell's line. output:
    whether what it prints is captured.
    path, fresh: of file: where it is in the guest, absolute; and how old it may be by the guest's own clock.
    measure, limit: of builtin. limit is the last good value: milliseconds (answer-time), percent used (filesystems),
    load for each vCPU (load), vCPUs online (vcpus); of agent-version the numbers of a version, (8, 2, 0) for 8.2.0.
    Of the last two it is the least that is good, of the others the most.
    interval: between two runs. timeout: of one. failures: unhealthy runs in a row that make it failed. grace: since the
    guest began, in which an unhealthy one counts as initialising.
    action: the most that it may cause, record or recover. overdue: what a run is that did not end within its timeout,
    unknown or unhealthy. reset: whether the guest may ask for its own recovery.
    guests: asked (those that flavors and names say, and those that ask) or all. flavors, names: patterns of a flavor's
    name; of libvirt's name of a domain or Nova's of a server.
    """

    name: str
    kind: str
    command: tuple[str, ...] = ()
    output: bool = True
    path: str = ""
    fresh: float = 60.0
    measure: str = ""
    limit: Limit = 0.0
    interval: float = 60.0
    timeout: float = 10.0
    failures: int = 3
    grace: float = 300.0
    action: str = RECORD
    overdue: str = UNKNOWN
    reset: bool = False
    guests: str = ASKED
    flavors: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
