"""What is put to a guest's agent for a health check, and what its replies say. Pure.

All that a guest sends is hostile: whatever is not exactly of the documented form is not understood, and nothing here
raises. The forms are those of QEMU's qga/qapi-schema.json.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from heartbeat.probe import LIFE, Answer

COMMANDS = 512  # of an agent that are looked at; QEMU 10 has some 50
LONGEST = 64  # characters of a command's name, or of a version
SHOWN = 120  # characters of a guest's text that anybody gets to see
LOOKED_AT = 4096  # characters of what a program printed or a file holds, in base64
LARGEST = 1 << 64  # the schema's whole numbers have 64 bits

# What an agent still allows while its guest's file systems are frozen (qga/main.c, the list for a freeze).
ALLOWED_FROZEN = frozenset({"guest-ping", "guest-info", "guest-sync", "guest-sync-delimited", "guest-fsfreeze-status",
                            "guest-fsfreeze-thaw"})  # fmt: skip


class Call(NamedTuple):
    """A command of the agent's. timeout: whole seconds, as libvirt takes them. after: seconds to wait before it is
    put."""

    execute: str
    arguments: Mapping[str, object]
    timeout: int
    after: float = 0.0


class Reply(NamedTuple):
    """What came of a call.

    answer: its class, as of a question. value: what the agent returned, parsed JSON, where it is ALIVE. error: what
    libvirt said where it raised an error, as it said it. took: seconds that the call itself took.
    """

    answer: Answer
    value: object = None
    error: str = ""
    took: float = 0.0


class Refusal(Enum):
    """Why an agent did not carry a command out."""

    DISABLED = "its agent does not allow {}"
    UNKNOWN = "its agent does not know {}"
    FROZEN = "its file systems are frozen"
    MISSING = "there is no such file"
    GONE = "there is no such process, or handle of a file"
    OTHER = "for a reason of its own"


class Capabilities(NamedTuple):
    """What an agent allows. commands: the enabled ones. version: its numbers, () if it does not say."""

    commands: frozenset[str]
    version: tuple[int, ...]


# Asks for them.
INFO = Call("guest-info", {}, 5)


def capabilities(value: object) -> Capabilities | None:
    """From what guest-info returned. None: it is not understood, or the guest's file systems are frozen just now, while
    its agent allows next to nothing: to be asked again before the next run."""
    listed = value.get("supported_commands") if isinstance(value, dict) else None
    if not isinstance(listed, list):
        return None
    commands = frozenset(
        str(entry["name"]) for entry in listed[:COMMANDS]
        if isinstance(entry, dict) and entry.get("enabled") is True and isinstance(entry.get("name"), str)
        and len(entry["name"]) <= LONGEST
    )  # fmt: skip
    if "guest-fsfreeze-thaw" in commands and commands <= ALLOWED_FROZEN:
        return None
    return Capabilities(commands, version(value))


def version(value: object) -> tuple[int, ...]:
    """The agent's version, from what guest-info returned: (7, 2, 22) of "7.2.22 (Debian ...)"; () if it has none."""
    said = value.get("version") if isinstance(value, dict) else None
    found = re.match(r"[0-9]{1,6}(\.[0-9]{1,6}){0,3}", said[:LONGEST]) if isinstance(said, str) else None
    return tuple(map(int, found[0].split("."))) if found else ()


def objection(reply: Reply) -> Refusal | None:
    """Why a reply of a living agent has no value to look at; None if it has one."""
    if reply.answer is Answer.ALIVE and not reply.error:
        return None
    return refusal(reply.error)


def alive(reply: Reply) -> bool:
    """Whether the agent replied at all."""
    return reply.answer in LIFE


def refusal(text: str) -> Refusal:
    """What an agent's error means, from libvirt's text of it.

    libvirt hands over the description of the agent's error, not its class, behind a sentence in its daemon's language:
    "internal error: unable to execute QEMU agent command 'guest-exec': Command guest-exec has been disabled: the
    command is not allowed" (qemuAgentCheckError; since 11.2 "guest agent command failed: ..."). Only where there is no
    description does it make one of the class. The agent's own words are English, with one exception: those of the
    operating system, as "No such file or directory" is, are in the guest's language, so that a missing file may come
    out as OTHER.
    """
    for meaning, pattern in _REFUSALS:
        if pattern.search(text[:LOOKED_AT]):
            return meaning
    return Refusal.OTHER


_REFUSALS = tuple((meaning, re.compile(pattern, re.IGNORECASE)) for meaning, pattern in (
    (Refusal.FROZEN, r"in frozen state"),
    # Up to QEMU 5.2 "The command X has been disabled for this instance", then "Command X has been disabled", mostly
    # with ": the command is not allowed"; QEMU 10.0 says that of a freeze, too.
    (Refusal.DISABLED, r"\bcommand\b.{0,80} has been disabled|command is not allowed|CommandDisabled"),
    # QEMU 10.0 forgets the number: "PID ld does not exist".
    (Refusal.GONE, r"\bhandle '?-?\d+'? has not been found|\bPID\b.{0,40} does not exist|invalid parameter '?pid\b"),
    (Refusal.UNKNOWN, r"\bcommand\b.{0,80} has not been found|CommandNotFound"),
    # Windows: ERROR_FILE_NOT_FOUND, ERROR_PATH_NOT_FOUND.
    (Refusal.MISSING, r"no such file or directory|cannot find the (file|path) specified"),
))  # fmt: skip


def complaint(text: str) -> str:
    """The agent's own words in libvirt's sentence, or all of it."""
    return text.partition("': ")[2] or text


def whole(value: object) -> int | None:
    """A whole number of at most 64 bits and not below zero; None for anything else, a boolean too."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LARGEST else None


def number(value: object) -> float | None:
    """A number that can be reckoned with; None for anything else: a boolean, nan, infinity, one below zero."""
    if isinstance(value, float):
        return value if math.isfinite(value) and value >= 0 else None
    exact = whole(value)
    return None if exact is None else float(exact)


def decoded(value: object) -> str:
    """The text in base64 of which only the beginning is looked at; "" if it is none. What is not UTF-8 is replaced."""
    if not isinstance(value, str):
        return ""
    try:
        return base64.b64decode(value[:LOOKED_AT].encode("ascii"), validate=True).decode("utf-8", "replace")
    except ValueError:  # also binascii.Error and UnicodeEncodeError
        return ""


def printed(text: str) -> str:
    """A guest's text on one line, ASCII and bounded: it may stand in a log line, an attribute or a terminal."""
    line = " ".join(text[: 4 * SHOWN].split()).encode("unicode_escape").decode("ascii")
    return line.replace("\\\\", "\\")[:SHOWN]  # nobody has to be told from an escape what looks like one
