"""What the helper may learn of one guest, and what the decision may ask for in return."""

from __future__ import annotations

from typing import NamedTuple, Union

from heartbeat.guest import Guest
from heartbeat.incident import Arm, Close, Forget, Incident, Open
from heartbeat.probe import Answer
from heartbeat.witness import Sample


class Asked(NamedTuple):
    """A question has been handed to libvirt."""


class Answered(NamedTuple):
    """The question asked at `asked` has come back. took: seconds, where that is not the time since then: who hears it
    may have waited."""

    answer: Answer
    asked: float
    took: float | None = None


class Sampled(NamedTuple):
    """The look that was asked for; it always comes, with what could be had."""

    sample: Sample


class Paused(NamedTuple):
    """The guest does not run at present.

    why: for people. cause: libvirt's word for it, such as user, migration, ioerror, watchdog, crashed.
    """

    why: str
    cause: str = ""


class Seen(NamedTuple):
    """libvirt's list has the guest, active. incarnation: names its QEMU process. pause: why it does not run, None if it
    runs."""

    guest: Guest
    incarnation: str
    pause: Paused | None = None


class Resumed(NamedTuple):
    """The guest runs again. how: libvirt's word for it."""

    how: str = ""


class Panicked(NamedTuple):
    """The guest's kernel has panicked and said so. dumping: it writes its memory away first; to reset it would destroy
    that."""

    dumping: bool


class Happened(NamedTuple):
    """An event of libvirt's that is no change of state. event: its name in the table of events."""

    event: str


class Rebooted(NamedTuple):
    """The guest was reset, from inside or outside, within the same QEMU process."""


class ChannelChanged(NamedTuple):
    """The guest opened or closed the agent's channel."""

    open: bool


class Stopped(NamedTuple):
    """QEMU has ended.

    died: nobody asked it to. why: for people. name: libvirt's domain name, where it is at hand. event: the event's name
    in the table of events, "" where the list said it.
    """

    died: bool
    why: str
    name: str = ""
    event: str = ""


class Vanished(NamedTuple):
    """The guest is not defined on this node any more."""


class Tasked(NamedTuple):
    """What Nova is doing with the guest, in its own word; "" for nothing any more."""

    task: str


class Recorded(NamedTuple):
    """The ledger holds this incident now."""

    incident: Incident


class Unrecovered(NamedTuple):
    """The recovery that was asked for because of this incident came to nothing, and nobody is at it any more. why: for
    people."""

    incident: int
    why: str


class Gap(NamedTuple):
    """For a while nothing could be observed, or we ourselves were late: what came before counts against nobody.

    blind: it still is so. why: for people.
    """

    why: str
    blind: bool


class Reviewed(NamedTuple):
    """What was judged is about to be reported, so what it rests on has to be of now."""


class Unheeded(NamedTuple):
    """A command of a health check was not answered."""


class ClockSet(NamedTuple):
    """The host's wall clock was set: an age of a balloon's stamp may be wrong by that."""


class Tick(NamedTuple):
    """Time has passed."""


class Ask(NamedTuple):
    """Ask this guest again at once."""


class Look(NamedTuple):
    """Take a sample of this guest."""


class Warn(NamedTuple):
    """Tell an operator, once."""

    text: str


Observation = Union[
    Seen, Asked, Answered, Sampled, Paused, Resumed, Rebooted, Panicked, Happened, ChannelChanged, Stopped, Vanished,
    Recorded, Reviewed, Gap, ClockSet, Unheeded, Tick, Tasked, Unrecovered,
]
Effect = Union[Arm, Forget, Open, Close, Ask, Look, Warn]
