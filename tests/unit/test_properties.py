"""What must hold on a whole node, in logical time: no healthy guest is recovered, no failed one is forgotten."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from heartbeat.incident import HUNG, RECOVER
from heartbeat.localhealth import FALL, MOST
from heartbeat.observation import ChannelChanged, Gap, Paused, Rebooted, Resumed, Stopped
from heartbeat.settings import PRESETS
from heartbeat.watch import Timing
from tests.harness.observations import UUID
from tests.harness.simulation import Machine, Node

TIMES = ("interval", "timeout", "silence", "agent_down")
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@QUICK
@given(
    interval=some.integers(2, 60), timeout=some.integers(1, 20), silence=some.integers(12, 120),
    period=some.sampled_from([0, 1, 5, 10, 30]), phase=some.floats(0, 9), dies=some.floats(0, 60),
    dead=some.sampled_from([(0, 0, 0), (1, 0, 4), (0.6, 0.4, 50), (0.0001, 0, 0.3)]),
    trouble=some.lists(some.tuples(some.sampled_from(["blind", "late", "sleep", "link", "seen", "pause"]),
                                   some.floats(0, 100), some.floats(0.1, 20)), max_size=4),
)  # fmt: skip
def test_every_guest_that_is_silent_and_still_for_long_enough_is_reported(
    interval, timeout, silence, period, phase, dies, dead, trouble
):
    if not period:
        dead = (0, 0, 0)  # without the balloon only a CPU that stands makes a hang
    machine = Machine(balloon=period, phase=phase, dead=dead)
    node = Node(machine, timing=Timing(interval, timeout, silence, 60))
    node.inventory()
    node.run(2 * interval + 30)
    machine.kernel = node.now + dies
    end = machine.kernel
    for what, at, lasts in trouble:
        end = max(end, node.now + at + lasts)
        if what == "blind":
            machine.blind = [*machine.blind, (node.now + at, node.now + at + lasts)]
        elif what == "late":
            node.hold_up(lasts, at)
        elif what == "sleep":
            node.sleep(lasts, at)
        elif what == "link":
            node.link_down(at)
            node.inventory(at + lasts)
        elif what == "pause":
            node.about(Paused("paused: user"), at)
            node.about(Resumed(), at + lasts)
        else:
            node.inventory(at)
    node.run(end - node.now)
    node.run(sum(lasts for what, _, lasts in trouble if what == "late"))
    # One question may be out from before; then two in a row, the balloon's period, and a look that came too early.
    needed = interval + timeout + max(silence, 2 * max(timeout, 5), 1 + period + 2) + 5 + 5 + 15
    node.run(needed)
    if trouble:
        # A guest that was paused or out of sight has a grace first, and after our own lateness every time is longer.
        node.run(Timing(1, 1, 1, 1).grace + MOST * FALL + needed)
    assert (UUID, HUNG, RECOVER) in node.verdicts
    assert node.state() == HUNG
    assert sum(verdict == HUNG for _, verdict, _ in node.verdicts) == 1


@QUICK
@given(
    timing=some.builds(
        lambda word, timeout: Timing(*(PRESETS[word][f"watch.{name}"] for name in TIMES))._replace(timeout=timeout),
        some.sampled_from(["high", "medium", "medium", "low"]), some.integers(1, 20),
    ),
    period=some.sampled_from([0, 1, 10, 10, 30, 60]), phase=some.floats(0, 9), disk=some.sampled_from([0, 0, 0.2, 50]),
    alive=some.sampled_from([(0.0015, 0.0001, 18), (0.0001, 0, 0.45), (1.0, 0, 4), (0.05, 0.9, 40), (0.5, 0.1, 2000),
                             (0.2, 0.2, 90)]),
    freezes=some.lists(some.tuples(some.floats(0, 300), some.floats(1, 200)), min_size=1, max_size=4),
    trouble=some.lists(some.tuples(some.sampled_from([
        Rebooted(), Paused("paused: user"), Resumed(), Gap("late", False), ChannelChanged(True), ChannelChanged(False),
        Stopped(False, "shutdown"), "blind", "late", "sleep", "link", "seen", "clock", "back",
    ]), some.floats(0, 300), some.floats(0.1, 60)), max_size=8),
)  # fmt: skip
def test_no_guest_whose_kernel_works_is_ever_recovered(timing, period, phase, disk, alive, freezes, trouble):
    """Whatever its agent does: frozen, thawed and frozen again, while all that surrounds it changes."""

    start = 1030.0

    class Living(Machine):
        def answers(self, now: float) -> bool:
            return not any(start + begin <= now < start + begin + lasts for begin, lasts in freezes)

    machine = Living(balloon=period, phase=phase, disk=disk, alive=alive)
    node = Node(machine, timing=timing)
    node.inventory()
    node.run(30)
    for what, at, lasts in trouble:
        if what == "blind":
            machine.blind = [*machine.blind, (start + at, start + at + lasts)]
        elif what == "late":
            node.hold_up(lasts, at)
        elif what == "sleep":
            node.sleep(lasts, at)
        elif what == "link":
            node.link_down(at)
            node.inventory(at + lasts)
        elif what == "seen":
            node.inventory(at)
        elif what in ("clock", "back"):
            node.set_clock(lasts if what == "clock" else -lasts, at)
        else:
            node.about(what, at)
    node.run(600)
    assert RECOVER not in [action for _, _, action in node.verdicts]
