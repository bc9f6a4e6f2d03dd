"""What each witness says about a guest over the time of its silence, from two samples of its counters.

A healthy guest costs no sample. Of a suspect we compare the first sample of its silence with the newest: the counters
only grow, so whatever moved in between shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple


class Says(Enum):
    """ABSENT: there is no such witness. UNSURE: it was not heard, or not for long enough."""

    MOVING = "moving"
    STILL = "still"
    ABSENT = "absent"
    UNSURE = "unsure"


class Cpu(Enum):
    """STILL: not one time slice. FAINT: a few slices without work, as when only our question kicks a dead CPU.
    SPINNING: never lets go of the processor. STARVED: the host does not let it run. WORKING: anything else."""

    STILL = "still"
    FAINT = "faint"
    SPINNING = "spinning"
    STARVED = "starved"
    WORKING = "working"
    UNSURE = "unsure"


class Slices(NamedTuple):
    """Of one vCPU thread, from its schedstat: nanoseconds run, nanoseconds waited for a core, slices got.

    state: its state letter. The kernel adds a wait only when it ends, so R tells a CPU that waits from a halted one.
    """

    ran: int
    waited: int
    got: int
    state: str = "S"


class Sample(NamedTuple):
    """The counters of one guest at one moment.

    at: monotonic seconds. wall: seconds since 1970, the clock that stamped `balloon`.
    monitor: whether QEMU's monitor answered; without it balloon and disk mean nothing.
    balloon: when the guest's balloon driver last reported; 0 for never. disk: requests begun. net: packets that the
    guest sent. cpus: by thread id; empty where the QEMU process was not found. process: its state letter, "" for none.
    stuck: the monitor was asked and did not return. job: what libvirt is doing with the guest, "" for nothing.
    """

    at: float
    wall: float
    monitor: bool
    balloon: int
    disk: int
    net: int
    cpus: Mapping[int, Slices]
    process: str
    stuck: bool = False
    job: str = ""

    @property
    def whole(self) -> bool:
        """Whether every witness could be heard."""
        return self.monitor and bool(self.cpus)

    @property
    def stopped(self) -> bool:
        """Whether QEMU was stopped by somebody, or waited for a device."""
        return self.process in ("T", "t", "D")

    @property
    def frozen(self) -> bool:
        """Whether QEMU itself did not react, so that nothing in the guest could move."""
        return self.stuck or self.stopped


class Testimony(NamedTuple):
    """What all witnesses but the agent say, over `window` seconds."""

    kernel: Says
    disk: Says
    net: Says
    cpu: Cpu
    window: float


# The stamp has whole seconds and comes a little later than its period: the guest must be scheduled to send it.
BALLOON_MARGIN = 2.0
# The same, where what it is counted from is known to the moment, and not to the second as a stamp.
ANSWER_MARGIN = 1.5
# Below these a vCPU has done nothing but be woken: idle guests got 15 to 23 slices and 1.1 to 1.6 ms a second.
FAINT_SLICES, FAINT_SHARE = 0.5, 0.001


def hear(
    first: Sample, last: Sample, balloon_period: int, unanswered: float | None, steady: float | None = None
) -> Testimony:
    """What moved between two samples of one guest.

    balloon_period: seconds, 0 where the balloon does not report. unanswered: seconds between the agent's last answer
    and `first`, None where it is not known. steady: monotonic seconds since when nothing has kept the guest from
    running, None where that is not known.
    """
    window = last.at - first.at
    return Testimony(
        _kernel(first, last, balloon_period, unanswered, steady),
        _counter(first, last, first.disk, last.disk),
        _counter(first, last, first.net, last.net),
        _cpu(first, last, window),
        window,
    )


def _kernel(first: Sample, last: Sample, period: int, unanswered: float | None, steady: float | None) -> Says:
    # Any other stamp is a newer one: it is of the wall clock, which may have been set back in between.
    if last.balloon and last.balloon != first.balloon and (first.balloon or (first.monitor and last.monitor)):
        return Says.MOVING
    if not (first.monitor and last.monitor) or (first.balloon and not last.balloon):
        return Says.UNSURE
    if not period or not last.balloon:
        return Says.ABSENT
    # A stamp of the future is from before the clock was set back, and may be of any age: see the next rule.
    if first.balloon - first.wall > BALLOON_MARGIN:
        return Says.ABSENT
    # A driver that had stopped reporting while the agent still answered (unloaded, or a Windows service that was
    # stopped) is no witness of a death. Both clocks are the host's.
    if unanswered is not None and first.wall - first.balloon > unanswered + period + BALLOON_MARGIN:
        return Says.ABSENT
    # The stamp's age says more than our window, which begins with the silence. But it is of the wall clock, so it
    # counts only where that was not set since `steady`, and no more of it than the time since then.
    missed = (
        steady is not None
        and last.wall - last.balloon >= period + BALLOON_MARGIN
        and last.at - steady >= period + ANSWER_MARGIN
    )
    return Says.STILL if missed or last.at - first.at >= period + BALLOON_MARGIN else Says.UNSURE


def _counter(first: Sample, last: Sample, before: int, after: int) -> Says:
    if not (first.monitor and last.monitor):
        return Says.UNSURE
    return Says.MOVING if after != before else Says.STILL  # a sum falls when the guest gives a device back


def _cpu(first: Sample, last: Sample, window: float) -> Cpu:
    threads = first.cpus.keys() & last.cpus.keys()
    if not threads or window < 2:
        return Cpu.UNSURE
    if any(slices.got for thread, slices in last.cpus.items() if thread not in threads):
        return Cpu.WORKING  # plugged in meanwhile
    changes = [_change(first.cpus[thread], last.cpus[thread]) for thread in sorted(threads)]
    ran = [change.ran / 1e9 / window for change in changes]
    faint = [change.got / window <= FAINT_SLICES and run <= FAINT_SHARE for change, run in zip(changes, ran)]
    # One that hardly ran and does not sleep waits for a core (R), or for a page of memory or a disk of the host's (D);
    # and any other may wait for it.
    if any(still and change.state != "S" for still, change in zip(faint, changes)):
        return Cpu.STARVED
    if not any(change.got or change.ran for change in changes):
        return Cpu.STILL  # not one slice: halted
    waited = [change.waited / 1e9 / window for change in changes]
    if any(wait >= 0.5 and run < 0.25 for run, wait in zip(ran, waited)):
        return Cpu.STARVED
    if any(run + wait >= 0.9 for run, wait in zip(ran, waited)):
        return Cpu.SPINNING
    return Cpu.FAINT if all(faint) else Cpu.WORKING


def _change(old: Slices, new: Slices) -> Slices:
    return Slices(new.ran - old.ran, new.waited - old.waited, new.got - old.got, new.state)
