"""What has happened to a guest, as it is recorded: the incident, and the changes that only the owner loop may ask
for."""

from __future__ import annotations

from typing import NamedTuple, Union

QEMU_DIED = "qemu-died"
PANICKED = "panicked"
IO_ERROR = "io-error"
HUNG = "hung"
AGENT_SILENT = "agent-silent"
AGENT_DOWN = "agent-down"
QEMU_STUCK = "qemu-stuck"
NEVER_ANSWERED = "never-answered"
# What a health check says of the application in a guest that answers.
UNHEALTHY = "unhealthy"
# Of a guest that is not here, and of one that should not be, as Nova says: no word on how a guest is.
MISSING = "missing"
UNEXPECTED = "unexpected"

RECOVER = "recover"  # reported so that Masakari's engine stops and starts the guest
RECORD = "record"  # ledger, node attribute, log; nobody acts
IGNORE = "ignore"
OBSERVED = "observed"  # would have been recovered, if we did more than observe
SUSPENDED = "suspended"  # would have been recovered, if that had not been tried too often: needs a human
# Where several parties have a say, the most careful one holds: the first of these.
CAREFUL = (IGNORE, RECORD, RECOVER)

ACTIONS = {
    QEMU_DIED: RECOVER,
    PANICKED: RECOVER,
    IO_ERROR: RECOVER,
    HUNG: RECOVER,
    AGENT_SILENT: RECORD,
    AGENT_DOWN: RECORD,
    QEMU_STUCK: RECORD,
    NEVER_ANSWERED: RECORD,
    UNHEALTHY: RECOVER,
    MISSING: RECORD,
    UNEXPECTED: RECORD,
}
# What is found beside a guest's watch, by other means, and is no state of it: their incidents are not the watch's.
BESIDE = frozenset({UNHEALTHY, MISSING, UNEXPECTED})
# What speaks against no guest, whatever an operator sets: never a reason to recover one.
UNPROVEN = frozenset({AGENT_SILENT, AGENT_DOWN, QEMU_STUCK, NEVER_ANSWERED, UNEXPECTED})
# What libvirt said, in as many words: no silence has to be weighed.
CERTAIN = frozenset({QEMU_DIED, PANICKED, IO_ERROR})


class Incident(NamedTuple):
    """An incident that is open. `opened` is UTC in ISO 8601, fixed for ever: a resend carries the same time."""

    id: int
    uuid: str
    name: str
    incarnation: str
    verdict: str
    action: str
    opened: str
    evidence: str


class Arm(NamedTuple):
    """This incarnation of the guest has answered: from now on its silence means something, also after our restart."""

    uuid: str
    incarnation: str


class Forget(NamedTuple):
    """The guest is not on this node any more, or was stopped on purpose: nothing is expected of it."""

    uuid: str


class Open(NamedTuple):
    """A verdict has been reached. evidence: one line of JSON, made by us; of the guest's text only what an application
    says of itself, as plain ASCII."""

    uuid: str
    name: str
    incarnation: str
    verdict: str
    action: str
    evidence: str


class Close(NamedTuple):
    """The incident `id` is over; what was not delivered of it expires. why: for people, one line."""

    id: int
    why: str


Change = Union[Arm, Forget, Open, Close]
