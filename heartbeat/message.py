"""What the owner loop finds in its queue: what libvirt says, and what Nova says."""

from __future__ import annotations

from typing import NamedTuple, Union

from heartbeat.expectation import Answer
from heartbeat.health.replies import Reply
from heartbeat.observation import Observation


class About(NamedTuple):
    """An observation of one guest."""

    uuid: str
    observation: Observation


class Replied(NamedTuple):
    """What has come of a command to a guest's agent. No observation: it bears on no verdict but of the check that it
    was given for. token: its giver's."""

    uuid: str
    token: int
    reply: Reply


class Inventory(NamedTuple):
    """All that libvirt has, by uuid, as Seen or Stopped: a guest that is missing here is not on this node."""

    guests: dict[str, Observation]


class LinkUp(NamedTuple):
    """libvirt is connected and its events flow; a complete Inventory follows."""


class LinkDown(NamedTuple):
    """libvirt cannot be reached: there is no data about any guest. why: for people. remedy: what they can do about it;
    "" where nothing is known, or needed."""

    why: str
    remedy: str = ""


class Heard(NamedTuple):
    """Nova has answered."""

    answer: Answer


class Unheard(NamedTuple):
    """Nova has not answered, or nothing that can be relied on. why: for people."""

    why: str


Message = Union[About, Replied, Inventory, LinkUp, LinkDown, Heard, Unheard]
