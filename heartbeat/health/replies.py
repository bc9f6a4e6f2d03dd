"""What is put to a guest's agent for a health check, and what its replies say. Pure.

All that a guest sends is hostile: whatever is not exactly of the documented form is not understood, and nothing here
raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from heartbeat.probe import Answer


class Call(NamedTuple):
    """A command of the agent's. timeout: whole seconds, as libvirt takes them. after: seconds to wait before it is
    put."""

    execute: str
    arguments: Mapping[str, object]
    timeout: int
    after: float = 0.0


class Reply(NamedTuple):
    """What came of a call.

    answer: as of a question; GARBLED where libvirt or we could not read it, and where the agent refused: then `error`
    is what libvirt said, as it said it. value: what the agent returned, parsed JSON, where answer is ALIVE. took:
    seconds that the call itself took.
    """

    answer: Answer
    value: object = None
    error: str = ""
    took: float = 0.0


class Refusal(Enum):
    """Why an agent did not carry a command out."""

    DISABLED = "its agent does not allow it"
    UNKNOWN = "its agent does not know it"
    FROZEN = "its file systems are frozen"
    MISSING = "there is no such file"
    GONE = "there is no such process or handle"
    OTHER = "its agent could not do it"


class Capabilities(NamedTuple):
    """What an agent allows. commands: the enabled ones. version: its numbers, () if it does not say."""

    commands: frozenset[str]
    version: tuple[int, ...]


# Asks for them.
INFO = Call("guest-info", {}, 5)


def capabilities(value: object) -> Capabilities | None:
    """From what guest-info returned. None: it is not understood, or the guest's file systems are frozen just now, while
    its agent allows next to nothing: to be asked again before the next run."""
    return None


def refusal(text: str) -> Refusal:
    """What an agent's error means, from libvirt's text of it."""
    return Refusal.OTHER
