"""One question to one guest agent, and what its answer means.

The question is guest-sync with a random number: any agent knows it, a frozen one too, it leaves no line in the guest's
log as guest-ping does, and an answer with our number is fresh. guest-sync-delimited would spoil libvirt's own channel.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

# libvirt's numbers (virErrorNumber, virErrorDomain); texts are translated and partly made by the guest, so never read.
INTERNAL, UNSUPPORTED, INVALID, NO_DOMAIN, QUEUE_FULL = 1, 74, 55, 42, 9
TIMED_OUT_JOB, SYSTEM, RPC, UNRESPONSIVE, DENIED, READ_ONLY = 68, 38, 39, 86, 88, 29
COMMAND_TIMEOUT, COMMAND_FAILED = 112, 113
FROM_NONE, FROM_RPC, FROM_QEMU = 0, 7, 10

# Seconds that libvirt waits for its own synchronisation after a first silence: whatever timeout we ask for, up to 10.0;
# for that timeout if it is shorter, in 11.3.
SYNC_WAIT = 5.0

# Characters of a command's reply; the longest that is of use, a list of file systems, has some thousands.
REPLY_LIMIT = 1 << 20


class Answer(Enum):
    """The classes of answer; what decides is the class, never the text."""

    ALIVE = "answered"
    GARBLED = "answered, but not with what was asked"
    SILENT = "no answer in time"
    CLOSED = "the channel closed while the question was in it"
    NOT_CONNECTED = "libvirt has no connection to the agent"
    NO_CHANNEL = "the domain has no agent channel"
    NOT_RUNNING = "the domain is not running"
    GONE = "the domain does not exist"
    BUSY = "another client is talking to the agent"
    LINK = "our connection to libvirt failed"
    DENIED = "libvirt refuses us the question"
    UNCLEAR = "libvirt failed in a way that says nothing about the guest"


LIFE = frozenset({Answer.ALIVE, Answer.GARBLED})


class Failure(NamedTuple):
    """libvirt's error: its number and the part of libvirt that raised it. (0, 0): an exception of another kind."""

    code: int
    domain: int


def question(number: int) -> str:
    return json.dumps({"execute": "guest-sync", "arguments": {"id": number}})


def request(execute: str, arguments: Mapping[str, object]) -> str:
    """A command of the agent's, as it is sent."""
    return json.dumps({"execute": execute, "arguments": arguments} if arguments else {"execute": execute})


def read_value(reply: object) -> tuple[Answer, object]:
    """What an agent returned, or that nobody can read it."""
    if not isinstance(reply, str) or len(reply) > REPLY_LIMIT:
        return Answer.GARBLED, None
    try:
        message = json.loads(reply, parse_int=_integer, parse_constant=_integer)
    except (ValueError, RecursionError):
        return Answer.GARBLED, None
    if not isinstance(message, dict) or "return" not in message:
        return Answer.GARBLED, None
    return Answer.ALIVE, message["return"]


def _integer(text: str) -> int:
    """No agent has longer ones; Python takes minutes for one of a million digits. Raises ValueError."""
    if len(text) > 20:
        raise ValueError
    return int(text)


def read_reply(reply: object, number: int) -> Answer:
    """What a reply that libvirt handed over means. Any reply is life; only ours is a proper answer."""
    if not isinstance(reply, str) or len(reply) > 4096:
        return Answer.GARBLED
    try:
        message = json.loads(reply)
    except (ValueError, RecursionError):
        return Answer.GARBLED
    same = isinstance(message, dict) and message.get("return") == number and not isinstance(message["return"], bool)
    return Answer.ALIVE if same else Answer.GARBLED


def read_failure(failure: Failure, elapsed: float, timeout: float) -> Answer:
    """What libvirt's error means. elapsed, timeout: seconds.

    Up to libvirt 11.1 one code (86) covers an agent that is silent, one whose channel closed, and a channel that
    libvirt gave up: how long the call took tells them apart. A guest that answered with an error raises 1/10, later
    113.
    """
    code, domain = failure
    if code == COMMAND_FAILED:
        return Answer.ALIVE
    # No agent refuses guest-sync, which libvirt itself needs; and 1/10 is also what a waiting question gets when QEMU
    # closes the agent's socket, as it does when it dies. So it is life, but no proper answer that would arm a guest.
    # 1/0 is libvirt 11's word for a reply that is not JSON, or not UTF-8; older ones hand such a reply over.
    if code == INTERNAL and domain in (FROM_QEMU, FROM_NONE):
        return Answer.GARBLED
    # A reply that was too long: for our connection (4 MiB), which survives it, or for libvirt's channel (10 MiB), which
    # does not.
    if (code, domain) in ((RPC, FROM_RPC), (SYSTEM, FROM_QEMU)):
        return Answer.GARBLED
    if code in (UNRESPONSIVE, COMMAND_TIMEOUT):
        if elapsed >= 0.9 * min(timeout, SYNC_WAIT):
            return Answer.SILENT
        return Answer.CLOSED if elapsed >= 0.1 or code == COMMAND_TIMEOUT else Answer.NOT_CONNECTED
    if domain == FROM_RPC and code in (SYSTEM, INTERNAL):
        return Answer.LINK
    return _BY_CODE.get(code, Answer.UNCLEAR)


_BY_CODE = {
    UNSUPPORTED: Answer.NO_CHANNEL,
    INVALID: Answer.NOT_RUNNING,
    NO_DOMAIN: Answer.GONE,
    TIMED_OUT_JOB: Answer.BUSY,
    QUEUE_FULL: Answer.BUSY,  # only where qemu.conf sets max_queued
    DENIED: Answer.DENIED,
    READ_ONLY: Answer.DENIED,
}
