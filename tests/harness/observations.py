"""Guests, samples and observations for tests of the decision, and a guest's story told step by step.

Monotonic times are numbers that the test writes; nothing here waits.
"""

from __future__ import annotations

from heartbeat.guest import Channel, Guest
from heartbeat.incident import Arm, Close, Forget, Incident, Open
from heartbeat.observation import Answered, Ask, Asked, Effect, Look, Observation, Paused, Recorded, Sampled, Seen
from heartbeat.probe import Answer
from heartbeat.verdict import begin, judge
from heartbeat.watch import Fitness, Timing, Watch
from heartbeat.witness import Sample, Slices

UUID = "25efc0bf-1659-4c83-b4e6-4e0e6d0f0b01"
OTHER = "25efc0bf-1659-4c83-b4e6-4e0e6d0f0b02"
RUN, NEXT_RUN = "boot-100-1", "boot-200-2"
TIMING = Timing(interval=10, timeout=5, silence=15, agent_down=60)
FIT, UNFIT = Fitness(True), Fitness(False, "libvirt: gone")
EPOCH = 1_800_000_000  # what the wall clock shows when the monotonic one shows 0
OPENED = "2026-11-20T05:00:00+00:00"


def guest(channel: Channel = Channel.OPEN, balloon: int = 10, uuid: str = UUID, name: str = "vm") -> Guest:
    return Guest(uuid, name, channel, balloon, 1)


def seen(run: str = RUN, pause: Paused | None = None, **about: object) -> Seen:
    return Seen(guest(**about), run, pause)


def sample(
    at: float, balloon: float | None = 0, disk: int = 10, net: int = 10, cpu: tuple[float, float, int] = (0, 0, 0),
    monitor: bool = True, process: str = "S", threads: int = 1, stuck: bool = False, job: str = "",
) -> Sample:
    """balloon: monotonic second of its last report, None for never. cpu: seconds run and waited, slices, per thread."""
    stamp = 0 if balloon is None or not monitor else int(EPOCH + balloon)
    slices = Slices(int(cpu[0] * 1e9), int(cpu[1] * 1e9), cpu[2])
    counters = (disk, net) if monitor else (0, 0)
    cpus = {1000 + n: slices for n in range(threads)}
    return Sample(at, EPOCH + at, monitor, stamp, *counters, cpus, process, stuck, job)


def incident(verdict: str, action: str, run: str = RUN, number: int = 1, uuid: str = UUID) -> Incident:
    return Incident(number, uuid, "vm", run, verdict, action, OPENED, "{}")


class Story:
    """One guest, and all that was decided about it. Does with the effects what the owner and the ledger would do."""

    def __init__(self, watch: Watch | None = None, now: float = 0.0) -> None:
        self.watch = watch or begin(guest(), RUN, False, None, now)
        self.now, self.fitness, self.timing = now, FIT, TIMING
        self.incidents: list[Incident] = []
        self.closed: list[Close] = []
        self.armed: str | None = RUN if self.watch.armed else None  # what the ledger has

    def tell(self, observation: Observation, after: float = 0.0) -> list[Effect]:
        """The observation, this many seconds after the one before."""
        self.now += after
        self.watch, effects = judge(self.watch, observation, self.now, self.fitness, self.timing)
        for effect in effects:
            if isinstance(effect, Open):
                number = len(self.incidents) + 100
                self.incidents.append(Incident(number, *effect[:5], OPENED, effect.evidence))
                self.watch = judge(self.watch, Recorded(self.incidents[-1]), self.now, self.fitness, self.timing)[0]
            elif isinstance(effect, Close):
                self.closed.append(effect)
            elif isinstance(effect, Arm):
                self.armed = effect.incarnation
            elif isinstance(effect, Forget):
                self.armed = None
        return effects

    def asked(self, answer: Answer = Answer.ALIVE, takes: float = 0.0) -> list[Effect]:
        """A question, and its answer some seconds later."""
        asked = self.now
        self.tell(Asked())
        return self.tell(Answered(answer, asked), takes)

    def silent(self, times: int = 1) -> list[Effect]:
        effects: list[Effect] = []
        for _ in range(times):
            effects = self.asked(Answer.SILENT, 5)
        return effects

    def looked(self, **counters: object) -> list[Effect]:
        return self.tell(Sampled(sample(self.now, **counters)))

    def hangs(self, **counters: object) -> None:
        """Two questions without answer, a look during the first and one when the time of silence is over."""
        asked = self.now
        self.tell(Asked())
        self.now += 1
        self.looked(**counters)
        self.tell(Answered(Answer.SILENT, asked), 4)
        self.silent()
        self.now += 5
        self.looked(**counters)

    @property
    def verdicts(self) -> list[tuple[str, str]]:
        return [(it.verdict, it.action) for it in self.incidents]

    @property
    def open(self) -> list[int]:
        closed = {it.id for it in self.closed}
        return [it.id for it in self.incidents if it.id not in closed]


def healthy(now: float = 0.0, **about: object) -> Story:
    """A guest that has just answered."""
    story = Story(begin(guest(**about), RUN, False, None, now), now)
    story.asked()
    return story


def returned(watch: Watch, now: float) -> Watch:
    """The watch of the same guest as our next life begins it, from what the ledger holds."""
    return begin(watch.guest, watch.incarnation, watch.armed, watch.incident, now)


__all__ = [
    "EPOCH", "FIT", "NEXT_RUN", "OPENED", "OTHER", "RUN", "TIMING", "UNFIT", "UUID", "Ask", "Look", "Story", "guest",
    "healthy", "incident", "returned", "sample", "seen",
]
