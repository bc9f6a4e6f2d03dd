"""How many observations the decision takes in a second on one core: `python -m tests.bench.judge [--profile]`.

The mix is that of a node in which little happens: guests are asked and answer, some fall silent, are looked at and
answer again, a few hang for good, libvirt repeats its list.
"""
from __future__ import annotations

import cProfile
import pstats
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator

from heartbeat.guest import Channel, Guest
from heartbeat.incident import ACTIONS, Incident, Open
from heartbeat.observation import Answered, Asked, Look, Observation, Recorded, Sampled, Seen, Tick
from heartbeat.probe import Answer
from heartbeat.verdict import begin, judge
from heartbeat.watch import Fitness, Timing, Watch
from heartbeat.witness import Sample, Slices
from tests.bench.measure import Row

PROMISE = 100_000  # observations per second
TIMING = Timing(interval=10, timeout=5, silence=15, agent_down=60)
FIT = Fitness(True)
Story = list[tuple[int, Observation, float]]  # guest, what was observed, when


def measure(seconds: float = 2.0, guests: int = 200) -> dict[str, object]:
    """Runs for about so many seconds of CPU time. Returns the rate, the promise, and how the mix was made up."""
    watches, story = prepared(guests)
    mix = Counter(type(observation).__name__ for _, observation, _ in story)
    best, spent = 0.0, 0.0
    while spent < seconds:
        took = run(watches, story)
        best, spent = max(best, len(story) / took), spent + took
    return {
        "what": "judge, one core", "unit": "observations/s", "value": round(best), "promise": PROMISE,
        "kept": best >= PROMISE,
        "mix": {name: round(count / len(story), 4) for name, count in mix.most_common()},
    }


def rows() -> Iterator[Row]:
    found = measure()
    yield Row("judge: one observation, on one core", 1e6 / float(str(found["value"])), "us", 1e6 / PROMISE)


def run(watches: list[Watch], story: Story) -> float:
    """Seconds of CPU time for the whole story, from its beginning."""
    watches = list(watches)
    began = time.process_time()
    for number, observation, now in story:
        watches[number] = judge(watches[number], observation, now, FIT, TIMING)[0]
    return time.process_time() - began


def prepared(guests: int, rounds: int = 40) -> tuple[list[Watch], Story]:
    """The watches at the beginning, and what is observed in so many intervals. Made by really judging it, since what
    is looked at depends on that."""
    chance = random.Random(1)
    first = [_armed(number) for number in range(guests)]
    watches, story = list(first), []
    hung = set(chance.sample(range(guests), max(guests // 100, 1)))
    for turn in range(1, rounds + 1):
        for number in range(guests):
            now = turn * TIMING.interval + number * TIMING.interval / guests
            silent = turn > 5 and (number in hung or chance.random() < 0.01)
            for observation, at in _round(watches[number], now, silent, turn % 6 == 0):
                watches[number], found = _tell(watches[number], observation, at)
                story += [(number, said, at) for said in found]
    story.sort(key=lambda it: it[2])
    return first, story


def _round(watch: Watch, now: float, silent: bool, listed: bool) -> Iterator[tuple[Observation, float]]:
    yield Asked(), now
    if silent:
        yield Tick(), now + 1.1
        yield Answered(Answer.SILENT, now), now + 5.1
        yield Asked(), now + 5.2
        yield Tick(), now + 6.4
        yield Answered(Answer.SILENT, now + 5.2), now + 9.9
    else:
        yield Answered(Answer.ALIVE, now), now + 0.004
    if listed:
        yield Seen(watch.guest, watch.incarnation), now + 9.95


def _tell(watch: Watch, observation: Observation, now: float) -> tuple[Watch, list[Observation]]:
    """One observation, and those that follow from it at once: a look is answered, an incident recorded."""
    watch, effects = judge(watch, observation, now, FIT, TIMING)
    told = [observation]
    for effect in effects:
        follows: Observation | None = None
        if isinstance(effect, Look):
            follows = Sampled(Sample(now, now, True, 0, 10, 10, {1: Slices(0, 0, 0)}, "S"))
        elif isinstance(effect, Open):
            follows = Recorded(Incident(1, *effect[:4], ACTIONS[effect.verdict], "2026-11-20T05:00:00+00:00", "{}"))
        if follows is not None:
            watch, further = _tell(watch, follows, now)
            told += further
    return watch, told


def _armed(number: int) -> Watch:
    guest = Guest(f"25efc0bf-1659-4c83-b4e6-{number:012d}", f"instance-{number:08x}", Channel.OPEN, 10, 2)
    watch = begin(guest, f"boot-{number}-1", True, None, 0.0)
    for observation in (Seen(guest, watch.incarnation), Asked(), Answered(Answer.ALIVE, 0.0)):
        watch = judge(watch, observation, 0.0, FIT, TIMING)[0]
    return watch


def main() -> int:
    result = measure()
    for name, value in result.items():
        print(f"{name:8} {value}")
    if "--profile" in sys.argv:
        watches, story = prepared(200)
        profile = cProfile.Profile()
        profile.runcall(run, watches, story)
        pstats.Stats(profile).sort_stats("tottime").print_stats(16)
    return 0 if result["kept"] else 1


if __name__ == "__main__":
    sys.exit(main())
