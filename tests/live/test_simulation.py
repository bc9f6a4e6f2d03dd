"""The guests on paper, with which so much is tested and measured, do as the real ones do: the same happens to both, and
the helper is told the same."""
from __future__ import annotations

import queue
import time
from collections.abc import Callable

import pytest

from heartbeat.guest import Channel
from heartbeat.health.replies import Refusal, Reply, refusal
from heartbeat.hypervisor import Hypervisor
from heartbeat.message import About, Inventory, LinkUp, Message, Replied
from heartbeat.observation import Answered, ChannelChanged, Observation, Sampled, Seen, Stopped
from heartbeat.probe import LIFE, Answer
from tests.harness.hypervisor import URI
from tests.harness.simulation import Machine, Node

TIMEOUT = 2     # s that a question may be out
AGAIN = 5       # s that libvirt takes after a silence, whatever it is told
COMMANDS = {"guest-info", "guest-sync", "guest-exec", "guest-exec-status"}
NOBODY = "25efc0bf-1659-4c83-b4e6-4e0e6d0f0bff"


class Real:
    """A real guest, and what the layer above libvirt says of it."""

    def __init__(self, guest) -> None:
        self.guest, self.uuid = guest, guest.uuid
        self.said: queue.Queue[Message] = queue.Queue()
        self.hypervisor = Hypervisor(URI, 3600, self.said.put)
        self.hypervisor.start()

    def take(self, wanted: Callable[[Message], bool]) -> Message:
        """The next message that is wanted; others may come before it, as libvirt repeats itself."""
        while True:
            message = self.said.get(timeout=60)
            if wanted(message):
                return message

    def hangs(self) -> None:
        self.guest.freeze_agent()

    def closes(self) -> None:
        self.guest.kill_agent()

    def dies(self) -> None:
        self.guest.kill_qemu()

    now = staticmethod(time.monotonic)


class Paper:
    """The same on paper."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.node, self.uuid = Node(self.machine), self.machine.uuid
        self.hypervisor = self.node
        self.said: list[Message] = []
        self.node.post(LinkUp())
        self.node.inventory()

    def take(self, wanted: Callable[[Message], bool]) -> Message:
        while True:
            while self.said:
                if wanted(message := self.said.pop(0)):
                    return message
            self.said = self.node.take(60)

    def hangs(self) -> None:
        self.machine.agent = self.node.now

    def closes(self) -> None:
        self.node.closes()

    def dies(self) -> None:
        self.node.dies()

    def now(self) -> float:
        return self.node.now


@pytest.fixture(params=["real", "on paper"])
def side(request):
    if request.param == "on paper":
        yield Paper()
        return
    real = Real(request.getfixturevalue("guest"))
    yield real
    real.hypervisor.stop()


def asked(side: Real | Paper, uuid: str) -> tuple[Answer, float]:
    """What one question comes to, and after how many seconds."""
    began = side.now()
    side.hypervisor.ask(uuid, began, TIMEOUT)
    message = side.take(lambda it: isinstance(it, About) and isinstance(it.observation, Answered))
    assert (message.uuid, message.observation.asked) == (uuid, began), "it is known which question was answered"
    return message.observation.answer, side.now() - began


def given(side: Real | Paper, execute: str, uuid: str = "", **arguments: object) -> Reply:
    """What becomes of a command."""
    side.hypervisor.command(uuid or side.uuid, 7, execute, arguments, TIMEOUT)
    message = side.take(lambda it: isinstance(it, Replied))
    assert (message.uuid, message.token) == (uuid or side.uuid, 7)
    return message.reply


def until_exited(side: Real | Paper, process: int) -> dict[str, object]:
    while True:
        status = given(side, "guest-exec-status", pid=process).value
        if status["exited"]:
            return status


def told(side: Real | Paper, kind: type[Observation]) -> Observation:
    """The next observation of this kind of the guest."""
    wanted = lambda it: isinstance(it, About) and it.uuid == side.uuid and isinstance(it.observation, kind)  # noqa: E731
    return side.take(wanted).observation


def test_a_guest_on_paper_and_a_real_one_tell_the_same_of_the_same_life(side):
    side.take(lambda it: isinstance(it, LinkUp))
    seen = side.take(lambda it: isinstance(it, Inventory)).guests[side.uuid]
    assert isinstance(seen, Seen)
    assert (seen.pause, seen.guest.channel, seen.guest.balloon_period, seen.guest.vcpus) == (None, Channel.OPEN, 10, 1)
    assert asked(side, side.uuid)[0] is Answer.ALIVE
    assert asked(side, NOBODY)[0] is Answer.GONE

    side.hypervisor.look(side.uuid)
    sample = told(side, Sampled).sample
    assert (sample.whole, sample.frozen, sample.stuck, sample.job, len(sample.cpus)) == (True, False, False, "", 1)

    info = given(side, "guest-info").value
    assert {it["name"] for it in info["supported_commands"] if it["enabled"]} >= COMMANDS
    assert given(side, "guest-sync", id=7).value == 7
    process = given(side, "guest-exec", path="/bin/true", **{"capture-output": True}).value["pid"]
    ended = until_exited(side, process)
    assert (ended["exited"], ended["exitcode"]) == (True, 0)
    gone = given(side, "guest-exec-status", pid=process)
    assert (gone.answer in LIFE, gone.value, refusal(gone.error)) == (True, None, Refusal.GONE), "it is told once"
    strange = given(side, "guest-no-such-command")
    assert (strange.answer in LIFE, strange.value, refusal(strange.error)) == (True, None, Refusal.UNKNOWN)
    assert given(side, "guest-sync", uuid=NOBODY, id=7).answer is Answer.GONE

    side.hangs()
    answer, took = asked(side, side.uuid)
    assert answer is Answer.SILENT
    assert 0.9 * TIMEOUT <= took < AGAIN
    answer, took = asked(side, side.uuid)
    assert answer is Answer.SILENT
    assert took >= 0.9 * AGAIN

    assert given(side, "guest-sync", id=7).answer is Answer.SILENT

    side.closes()
    assert told(side, ChannelChanged) == ChannelChanged(False)
    assert asked(side, side.uuid)[0] is Answer.NOT_CONNECTED
    assert given(side, "guest-sync", id=7).answer is Answer.NOT_CONNECTED

    side.dies()
    stopped = told(side, Stopped)
    assert (stopped.died, stopped.why) == (True, "failed")
