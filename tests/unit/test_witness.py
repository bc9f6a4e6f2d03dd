"""What moved in a guest between two samples, and what that proves."""

from __future__ import annotations

import pytest

from heartbeat.witness import Cpu, Sample, Says, Slices, hear
from tests.harness.observations import sample


def kernel(first: Sample, last: Sample, period: int = 10, unanswered: float | None = 1.0) -> Says:
    return hear(first, last, period, unanswered).kernel


def cpu(window: float, *changes: tuple[float, float, int]) -> Cpu:
    """changes: of each vCPU thread, seconds run and waited, and slices got, in the window."""
    base = Slices(10**12, 10**11, 12345)
    before = {100 + number: base for number in range(len(changes))}
    after = {
        100 + number: Slices(base.ran + int(ran * 1e9), base.waited + int(waited * 1e9), base.got + got)
        for number, (ran, waited, got) in enumerate(changes)
    }
    return hear(with_cpus(sample(100), before), with_cpus(sample(100 + window), after), 10, 1.0).cpu


def with_cpus(one: Sample, cpus: dict[int, Slices]) -> Sample:
    return one._replace(cpus=cpus)


@pytest.mark.parametrize(("before", "after"), [(95, 96), (95, 105), (None, 105), (50, 105)])
def test_a_balloon_that_reports_is_a_kernel_that_works(before, after):
    assert kernel(sample(100, balloon=before), sample(113, balloon=after)) is Says.MOVING


def test_a_balloon_that_reports_outside_novas_period_is_life_too():
    assert kernel(sample(100, balloon=95), sample(101, balloon=100), period=0) is Says.MOVING


def test_a_kernel_is_still_only_after_a_whole_period_and_a_margin():
    first = sample(100, balloon=95)
    assert kernel(first, sample(111.9, balloon=95)) is Says.UNSURE
    assert kernel(first, sample(112, balloon=95)) is Says.STILL
    assert kernel(first, sample(112, balloon=95), period=30) is Says.UNSURE
    assert kernel(first, sample(132, balloon=95), period=30) is Says.STILL


@pytest.mark.parametrize(("stamp", "period"), [(None, 10), (None, 0), (95, 0)])
def test_a_balloon_that_never_reported_or_is_not_asked_to_is_no_witness(stamp, period):
    assert kernel(sample(100, balloon=stamp), sample(120, balloon=stamp), period) is Says.ABSENT


def test_a_balloon_that_fell_silent_while_the_agent_still_answered_is_no_witness():
    """As after rmmod, or with a Windows service that was stopped: its stillness has another reason."""
    first, last = sample(1000, balloon=500), sample(1020, balloon=500)
    assert kernel(first, last, unanswered=1.0) is Says.ABSENT
    assert kernel(first, last, unanswered=499.0) is Says.STILL
    assert kernel(first, last, unanswered=None) is Says.STILL


def test_a_balloon_whose_stamp_lies_in_the_future_is_no_witness_until_it_reports_again():
    """The clock was set back since, so nobody knows whether it stopped reporting while the agent still answered."""
    first, last = sample(1000, balloon=1500), sample(1020, balloon=1500)
    assert kernel(first, last, unanswered=1.0) is Says.ABSENT
    assert kernel(last, sample(1040, balloon=1031), unanswered=1.0) is Says.MOVING
    assert kernel(sample(1000, balloon=1002), sample(1020, balloon=1002), unanswered=1.0) is Says.STILL


def test_the_oldest_stamp_that_a_working_balloon_may_have_keeps_it_a_witness():
    assert kernel(sample(100, balloon=88.5), sample(113, balloon=88.5), unanswered=1.0) is Says.STILL


def test_the_one_fresh_stamp_of_a_dead_guest_after_a_migration_counts_once():
    before, fresh = sample(100, balloon=40), sample(113, balloon=111)
    assert kernel(before, fresh) is Says.MOVING
    assert kernel(fresh, sample(126, balloon=111)) is Says.STILL


@pytest.mark.parametrize(("first", "last"), [(True, False), (False, True), (False, False)])
def test_without_qemus_monitor_kernel_disk_and_net_are_unsure(first, last):
    said = hear(sample(100, monitor=first), sample(130, monitor=last), 10, 1.0)
    assert (said.kernel, said.disk, said.net) == (Says.UNSURE,) * 3


def test_a_stamp_that_went_missing_says_nothing():
    """libvirt left it out, as when another client took QEMU's monitor in between."""
    assert kernel(sample(100, balloon=95), sample(120, balloon=None)) is Says.UNSURE


@pytest.mark.parametrize(("before", "after", "says"), [(10, 10, Says.STILL), (10, 11, Says.MOVING), (0, 0, Says.STILL)])
def test_requests_and_sent_packets_are_work(before, after, says):
    assert hear(sample(100, disk=before), sample(101, disk=after), 10, 1.0).disk is says
    assert hear(sample(100, net=before), sample(101, net=after), 10, 1.0).net is says


def test_a_counter_that_fell_is_a_device_that_the_guest_gave_back():
    assert hear(sample(100, disk=50), sample(120, disk=7), 10, 1.0).disk is Says.MOVING


# Over 10 s, as measured on guests that were idle, dead or busy.
CPUS = [
    ("a halted CPU gets nothing", Cpu.STILL, [(0, 0, 0)]),
    ("all CPUs halted", Cpu.STILL, [(0, 0, 0), (0, 0, 0)]),
    ("an idle guest", Cpu.WORKING, [(0.012, 0.001, 170)]),
    ("one CPU idle, one offline", Cpu.WORKING, [(0.012, 0.001, 170), (0, 0, 0)]),
    ("a dead CPU that our question kicked", Cpu.FAINT, [(0.0002, 0.0, 2)]),
    ("five slices in ten seconds", Cpu.FAINT, [(0.009, 0.0, 5)]),
    ("six slices in ten seconds", Cpu.WORKING, [(0.009, 0.0, 6)]),
    ("few slices, but with work in them", Cpu.WORKING, [(0.02, 0.0, 3)]),
    ("a spinning CPU", Cpu.SPINNING, [(9.98, 0.01, 30)]),
    ("a spinning CPU that shares its core", Cpu.SPINNING, [(5.0, 4.9, 900)]),
    ("a spinning CPU with a quarter of a core", Cpu.SPINNING, [(2.5, 7.4, 900)]),
    ("one spins, the other waits for its lock", Cpu.SPINNING, [(9.9, 0.05, 20), (0, 0, 0)]),
    ("a starved CPU", Cpu.STARVED, [(0.5, 9.4, 50)]),
    ("one of two CPUs is starved", Cpu.STARVED, [(9.9, 0.0, 50), (0.3, 9.6, 20)]),
    ("waits half the time and hardly runs", Cpu.STARVED, [(0.1, 5.0, 50)]),
    ("a busy guest", Cpu.WORKING, [(6.0, 0.5, 4000)]),
    ("a guest held back by its quota", Cpu.WORKING, [(1.0, 0.0, 100)]),
]


@pytest.mark.parametrize(("expected", "changes"), [row[1:] for row in CPUS], ids=[row[0] for row in CPUS])
def test_how_the_vcpu_threads_were_scheduled(expected, changes):
    assert cpu(10.0, *changes) is expected


@pytest.mark.parametrize(
    ("state", "expected"), [("S", Cpu.STILL), ("R", Cpu.STARVED), ("D", Cpu.STARVED), ("T", Cpu.STARVED)]
)
def test_a_cpu_that_got_nothing_is_still_only_if_it_did_not_want_to_run(state, expected):
    """A thread that still waits for a core shows no waiting yet: only its state tells it from a halted one."""
    first, last = with_cpus(sample(100), {1: Slices(5, 5, 5)}), with_cpus(sample(112), {1: Slices(5, 5, 5, state)})
    assert hear(first, last, 10, 1.0).cpu is expected


def test_less_than_two_seconds_say_nothing_of_a_cpu():
    assert cpu(1.9, (0, 0, 0)) is Cpu.UNSURE
    assert cpu(2.0, (0, 0, 0)) is Cpu.STILL


@pytest.mark.parametrize("state", ["R", "D"])
def test_one_cpu_that_waits_for_the_host_since_the_first_look_may_be_what_all_others_wait_for(state):
    """As behind a real-time task on its core, or for a page that was swapped out."""
    idle, waits, spins = Slices(2 * 10**6, 0, 3), Slices(0, 0, 0, state), Slices(10**10, 0, 40)
    for other in (idle, spins):
        first, last = ({1: Slices(0, 0, 0), 2: Slices(0, 0, 0)}, {1: waits, 2: other})
        assert hear(with_cpus(sample(100), first), with_cpus(sample(110), last), 10, 1.0).cpu is Cpu.STARVED


def test_a_vcpu_that_was_plugged_in_works_if_it_runs_and_one_that_was_plugged_out_is_left_out():
    one, two = Slices(10, 10, 10), Slices(10**10, 10, 9999)
    first, last = with_cpus(sample(100), {1: one}), with_cpus(sample(110), {1: one, 2: two})
    assert hear(first, last, 10, 1.0).cpu is Cpu.WORKING
    assert hear(last, with_cpus(sample(120), {1: one}), 10, 1.0).cpu is Cpu.STILL


@pytest.mark.parametrize(("before", "after"), [({}, {1: Slices(1, 1, 1)}), ({1: Slices(1, 1, 1)}, {}), ({}, {}),
                                               ({1: Slices(1, 1, 1)}, {2: Slices(1, 1, 1)})])
def test_threads_that_were_not_seen_twice_say_nothing(before, after):
    assert hear(with_cpus(sample(100), before), with_cpus(sample(120), after), 10, 1.0).cpu is Cpu.UNSURE
