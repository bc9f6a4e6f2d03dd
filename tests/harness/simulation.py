"""A node in logical time: the real owner loop and everything it decides with, before machines that live on paper.

Nothing waits: the clock jumps to whatever comes next, so an hour takes as long as what happens in it.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from heartbeat.budget import Budget
from heartbeat.condition import Condition, Limits
from heartbeat.guest import Channel
from heartbeat.guests import Guests
from heartbeat.health.replies import Reply
from heartbeat.message import About, Inventory, LinkDown, Message, Replied
from heartbeat.observation import Answered, ChannelChanged, Observation, Sampled, Seen, Stopped
from heartbeat.owner import Call, Owner, Stop
from heartbeat.pressure import Pressure
from heartbeat.probe import Answer
from heartbeat.watch import Timing
from heartbeat.witness import Sample, Slices
from tests.harness.memory_ledger import MemoryLedger
from tests.harness.observations import EPOCH, OPENED, RUN, TIMING, UUID, guest
from tests.harness.paper_agent import PaperAgent

NEVER = float("inf")
LIMITS, BUDGET = Limits(), Budget()


@dataclass
class Machine:
    """A guest. Each time is the monotonic second from which on something does not work any more.

    cpu: per second run and waited and slices of its vCPU, before and after `kernel`. phase: of the balloon's reports.
    """

    uuid: str = UUID
    run: str = RUN
    agent: float = NEVER
    kernel: float = NEVER
    alive: tuple[float, float, float] = (0.0015, 0.0001, 18)
    dead: tuple[float, float, float] = (0, 0, 0)
    balloon: int = 10
    phase: float = 0.0
    channel: Channel = Channel.OPEN
    process: str = "S"
    blind: Sequence[tuple[float, float]] = ()  # while another client has QEMU's monitor
    disk: float = 0.0  # requests a second, until the kernel dies
    job: str = ""  # what libvirt is doing with it
    asked: list[float] = field(default_factory=list)
    commands: PaperAgent = field(default_factory=PaperAgent)  # what its agent does beside answering

    def seen(self) -> Seen:
        return Seen(guest(self.channel, self.balloon, self.uuid), self.run)

    def answers(self, now: float) -> bool:
        return now < self.agent and now < self.kernel

    def sample(self, now: float) -> Sample:
        lived, since = min(now, self.kernel), max(now - self.kernel, 0.0)
        monitor = not any(begin <= now < end for begin, end in self.blind)
        report = (lived - self.phase) // self.balloon * self.balloon + self.phase if self.balloon else 0
        ran, waited, got = (a * lived + d * since for a, d in zip(self.alive, self.dead))
        return Sample(
            now, EPOCH + now, monitor, int(EPOCH + report) if self.balloon and monitor else 0,
            int(self.disk * lived) if monitor else 0, 0, {7: Slices(int(ran * 1e9), int(waited * 1e9), int(got))},
            self.process, job=self.job,
        )


class Node:
    """The owner with its hypervisor, its reporting and its clock. Also plays all three."""

    def __init__(
        self, *machines: Machine, timing: Timing = TIMING, ledger: MemoryLedger | None = None,
        limits: Limits = LIMITS, budget: Budget = BUDGET,
    ) -> None:
        self.machines = {machine.uuid: machine for machine in machines}
        self.now, self.ledger = 1000.0, ledger or MemoryLedger()
        self.turns, self.asleep = 0, 0.0
        self._coming: list[tuple[float, int, Message | Call | Stop]] = []
        self._numbers = itertools.count()
        self._synced: dict[str, bool] = {}
        self.shown: list[tuple[str, str, list[str]]] = []  # the ledger's trouble, libvirt's, and who failed
        self.pressure, self.libvirt = Pressure(0.0, 0.0, 0.0), 0.001  # of the host; seconds that libvirt takes
        self._held_up: list[tuple[float, float, float]] = []  # from when on, for how long, how long asleep
        self._set: list[tuple[float, float]] = []  # when the host's wall clock was set, and by how much
        self.owner = _Staged(
            timing, self.ledger, self, self._hypervisor, self.wall, limits, budget,  # type: ignore[arg-type]
            lambda: self.pressure, lambda: self.now, lambda: self.asleep,
            lambda: EPOCH + self._set_by(self.now),
        )
        self.owner.node = self

    def wall(self) -> str:
        return (datetime.fromisoformat(OPENED) + timedelta(seconds=self.now)).isoformat(timespec="microseconds")

    def post(self, message: Message | Call | Stop, after: float = 0.0) -> None:
        heapq.heappush(self._coming, (self.now + after, next(self._numbers), message))

    def about(self, observation: Observation, after: float = 0.0, uuid: str = UUID) -> None:
        self.post(About(uuid, observation), after)

    def inventory(self, after: float = 0.0) -> None:
        self.post(Inventory({uuid: machine.seen() for uuid, machine in self.machines.items()}), after)

    def link_down(self, after: float = 0.0) -> None:
        self.post(LinkDown("gone"), after)

    def hold_up(self, seconds: float, after: float = 0.0) -> None:
        """Our process gets no processor for so long, while the guests and libvirt go on."""
        self._held_up.append((self.now + after, seconds, 0.0))

    def sleep(self, seconds: float, after: float = 0.0) -> None:
        """The host sleeps: the monotonic clock stands still, the one since boot does not."""
        self._held_up.append((self.now + after, 0.0, seconds))

    def set_clock(self, seconds: float, after: float = 0.0) -> None:
        """The host's wall clock is set forward, or back."""
        self._set.append((self.now + after, seconds))

    def run(self, seconds: float) -> Node:
        """Let the loop turn for so long. It begins and ends as it does in real life, but it keeps what it knows."""
        self.post(Stop(), seconds)
        self.owner.progress = self.now  # between two runs no time passes
        self.owner.run(lambda: None)
        return self

    @property
    def verdicts(self) -> list[tuple[str, str, str]]:
        return [(it.uuid, it.verdict, it.action) for it in self.ledger.opened]

    def state(self, uuid: str = UUID) -> str:
        return self.owner.guests.watches[uuid].state

    # The hypervisor.

    def _hypervisor(self, _: object) -> Node:
        return self

    def start(self) -> None:
        pass

    def expire(self) -> None:
        pass

    def resync(self, seconds: float) -> None:
        pass

    def canary(self) -> float:
        return self.libvirt

    def ask(self, uuid: str, asked: float, timeout: int) -> None:
        """As libvirt does it: the first silence takes our timeout, a later one its own 5 s."""
        machine = self.machines.get(uuid)
        answer, takes = Answer.GONE, 0.001
        if machine:
            machine.asked.append(asked)
            if machine.channel is Channel.CLOSED:
                answer = Answer.NOT_CONNECTED
            elif machine.answers(self.now):
                answer, takes = Answer.ALIVE, 0.002
            else:
                answer, takes = Answer.SILENT, self._silence(uuid, timeout)
        self.about(Answered(answer, asked), takes, uuid)

    def command(self, uuid: str, token: int, execute: str, arguments: Mapping[str, object], timeout: int) -> None:
        machine = self.machines.get(uuid)
        reply, takes = Reply(Answer.GONE), 0.001
        if machine and machine.channel is Channel.CLOSED:
            reply = Reply(Answer.NOT_CONNECTED)
        elif machine and machine.answers(self.now) and execute not in machine.commands.mute:
            reply, takes = machine.commands.reply(execute, arguments, self.now), 0.002
        elif machine:
            reply, takes = Reply(Answer.SILENT), self._silence(uuid, timeout)
        self.post(Replied(uuid, token, reply._replace(took=takes)), takes)

    def look(self, uuid: str) -> None:
        machine = self.machines.get(uuid) or Machine(uuid, kernel=0)
        heapq.heappush(self._coming, (self.now + 0.01, next(self._numbers), _Look(uuid, machine)))  # type: ignore[arg-type]

    def _silence(self, uuid: str, timeout: int) -> float:
        """Seconds until libvirt gives up a call that is not answered."""
        takes = 5.0 if uuid in self._synced else float(timeout)
        self._synced[uuid] = False
        return takes

    # The reporting.

    def recipients(self) -> Mapping[str, Sequence[str]]:
        return {}

    def look_again(self) -> None:
        """As for Reporting; here nothing comes of it."""

    def wake(self) -> None:
        pass

    def _set_by(self, at: float) -> float:
        return sum(seconds for when, seconds in self._set if when <= at)

    def _dated(self, it: Sample) -> Sample:
        """The sample with the times that the wall clock really showed."""
        stamp = it.balloon and it.balloon + int(self._set_by(it.balloon - EPOCH))
        return it._replace(wall=it.wall + self._set_by(it.at), balloon=stamp)

    def show(self, guests: Guests, link: str, condition: Condition, held: str) -> None:
        self.shown.append((guests.trouble, link, guests.failed()))

    # The stage.

    def take(self, wait: float) -> list[Message | Call | Stop]:
        """Time goes on until something comes or the loop wants to wake."""
        self.turns += 1
        until = self.now + wait
        if self._coming and self._coming[0][0] <= until:
            until = max(self._coming[0][0], self.now)
        self.now = until
        for held in [it for it in self._held_up if it[0] <= self.now]:
            self._held_up.remove(held)
            self.now += held[1]
            self.asleep += held[2]
        messages: list[Message | Call | Stop] = []
        while self._coming and self._coming[0][0] <= self.now:
            message = heapq.heappop(self._coming)[2]
            if isinstance(message, _Look):
                message = About(message.uuid, Sampled(self._dated(message.machine.sample(self.now))))
            messages.append(message)
            if isinstance(message, Stop):
                break  # what else is due now comes when the loop turns again
        return messages

    def dies(self, uuid: str = UUID, after: float = 0.0) -> None:
        self.about(Stopped(True, "failed"), after, uuid)

    def closes(self, after: float = 0.0, uuid: str = UUID) -> None:
        self.machines[uuid].channel = Channel.CLOSED
        self.about(ChannelChanged(False), after, uuid)


@dataclass
class _Look:
    uuid: str
    machine: Machine


class _Staged(Owner):
    node: Node

    def _take(self, wait: float) -> list[Message | Call | Stop]:
        return self.node.take(wait)
