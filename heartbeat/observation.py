"""What the helper may learn of one guest, and what the decision may ask for in return."""

from __future__ import annotations

from typing import NamedTuple, Union

from heartbeat.guest import Guest
from heartbeat.incident import Arm, Close, Forget, Incident, Open
from heartbeat.probe import Answer
from heartbeat.witness import Sample


class Seen(NamedTuple):
    """libvirt's list has the guest, active. incarnation: names its QEMU process. pause: why it does not run, "" if it
    runs."""

    guest: Guest
    incarnation: str
    pause: str = ""


class Asked(NamedTuple):
    """A question has been handed to libvirt."""


class Answered(NamedTuple):
    """The question asked at `asked` has come back."""

    answer: Answer
    asked: float


class Sampled(NamedTuple):
    """The look that was asked for; it always comes, with what could be had."""

    sample: Sample


class Paused(NamedTuple):
    """The guest does not run at present. why: for people."""

    why: str


class Resumed(NamedTuple):
    """The guest runs again."""


class Rebooted(NamedTuple):
    """The guest was reset, from inside or outside, within the same QEMU process."""


class ChannelChanged(NamedTuple):
    """The guest opened or closed the agent's channel."""

    open: bool


class Stopped(NamedTuple):
    """QEMU has ended. died: nobody asked it to. why: for people. name: libvirt's domain name, where it is at hand."""

    died: bool
    why: str
    name: str = ""


class Vanished(NamedTuple):
    """The guest is not defined on this node any more."""


class Recorded(NamedTuple):
    """The ledger holds this incident now."""

    incident: Incident


class Gap(NamedTuple):
    """For a while nothing could be observed, or we ourselves were late: what came before counts against nobody.

    blind: it still is so. why: for people.
    """

    why: str
    blind: bool


class Tick(NamedTuple):
    """Time has passed."""


class Ask(NamedTuple):
    """Ask this guest again at once."""


class Look(NamedTuple):
    """Take a sample of this guest."""


Observation = Union[
    Seen, Asked, Answered, Sampled, Paused, Resumed, Rebooted, ChannelChanged, Stopped, Vanished, Recorded, Gap, Tick
]
Effect = Union[Arm, Forget, Open, Close, Ask, Look]
