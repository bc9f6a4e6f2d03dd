"""Whatever happens to guests and whenever, in whatever order: what health checks promise is kept."""

from __future__ import annotations

import json

from hypothesis import settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from heartbeat.guest import Channel
from heartbeat.incident import OBSERVED, RECOVER, SUSPENDED, UNHEALTHY
from heartbeat.observation import ChannelChanged, Paused, Rebooted, Resumed, Seen, Stopped
from tests.harness.observations import guest
from tests.harness.simulation import Machine
from tests.harness.wards import APP, INTERVAL, Ward

GUESTS = [f"25efc0bf-1659-4c83-b4e6-{number:012}" for number in range(3)]
guests = some.sampled_from(GUESTS)
SAID = [(0, "fine"), (1, "bad"), (1, "reset-me now"), (2, ""), (3, ""), (77, "")]
CHECKS = (
    APP._replace(failures=2, grace=20.0),
    APP._replace(name="other", interval=20.0, failures=3, action="record", grace=20.0),
    APP._replace(name="wish", reset=True, failures=9, grace=20.0),
)


class Days(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.out: dict[str, int] = dict.fromkeys(GUESTS, 0)
        self.most = 0
        self.node = Ward(*(Machine(uuid) for uuid in GUESTS), checks=CHECKS, begun=False)
        self.runs = 0
        node, schedule = self.node, self.node.owner.schedule
        ask, command = node.ask, node.owner.ward.rounds._command
        returned, called = schedule.returned, schedule.called
        node.ask = lambda uuid, *it: (self.begins(uuid), ask(uuid, *it))
        node.owner.ward.rounds._command = lambda uuid, *it: (self.begins(uuid), command(uuid, *it))
        schedule.returned = lambda uuid, *it: (self.ends(uuid), returned(uuid, *it))
        schedule.called = lambda uuid: (self.ends(uuid), called(uuid))
        node.run(100)

    def begins(self, uuid: str) -> None:
        self.out[uuid] += 1
        self.most = max(self.most, self.out[uuid])

    def ends(self, uuid: str) -> None:
        self.out[uuid] -= 1

    @rule(seconds=some.sampled_from([0.5, 3.0, 21.0, 65.0, 130.0]))
    def time_passes(self, seconds: float) -> None:
        self.node.run(seconds)

    @rule(uuid=guests, said=some.sampled_from(SAID))
    def application_says(self, uuid: str, said: tuple[int, str]) -> None:
        self.node.says(*said, uuid)

    @rule(uuid=guests, seconds=some.sampled_from([0.0, 2.0, 15.0]))
    def programs_take(self, uuid: str, seconds: float) -> None:
        self.node.machine(uuid).commands.takes = seconds

    @rule(uuid=guests)
    def pauses(self, uuid: str) -> None:
        self.node.about(Paused("paused by user", "user"), uuid=uuid)

    @rule(uuid=guests)
    def resumes(self, uuid: str) -> None:
        self.node.about(Resumed(), uuid=uuid)

    @rule(uuid=guests)
    def reboots(self, uuid: str) -> None:
        self.node.about(Rebooted(), uuid=uuid)

    @rule(uuid=guests, opened=some.booleans())
    def channel(self, uuid: str, opened: bool) -> None:
        self.node.machine(uuid).channel = Channel.OPEN if opened else Channel.CLOSED
        self.node.about(ChannelChanged(opened), uuid=uuid)

    @rule(uuid=guests)
    def starts_anew(self, uuid: str) -> None:
        self.runs += 1
        machine = self.node.machine(uuid)
        machine.run, machine.channel = f"boot-{self.runs}-9", Channel.OPEN
        machine.commands.running.clear()
        self.node.about(Stopped(False, "shutdown"), uuid=uuid)
        self.node.about(Seen(guest(uuid=uuid), machine.run), 1, uuid)

    @rule()
    def libvirt_goes_and_comes(self) -> None:
        self.node.link_down()
        self.node.inventory(2)

    @rule(seconds=some.sampled_from([6.0, 40.0]))
    def we_are_held_up(self, seconds: float) -> None:
        self.node.hold_up(seconds)

    @rule(held=some.sampled_from(["", "the cluster is in maintenance-mode"]))
    def cluster(self, held: str) -> None:
        self.node.owner.held = held

    @rule(broken=some.booleans())
    def ledger(self, broken: bool) -> None:
        self.node.ledger.broken = broken

    @rule(checks=some.sampled_from([CHECKS, CHECKS[:1], (), (CHECKS[0]._replace(failures=1), *CHECKS[1:])]))
    def settings(self, checks) -> None:
        self.node.define(*checks)

    @rule(uuid=guests)
    def a_courier_asks(self, uuid: str) -> None:
        """A recovery goes out only for a guest that is well but for its application, which has just said so."""
        diagnoses = self.node.owner.ward.diagnoses
        incident = diagnoses.incidents.get(uuid)
        if incident and incident.action == RECOVER and self.node.confirmed(incident.id) == "stands":
            assert self.node.owner.ward.hindrance(uuid) == ""
            assert self.node.owner.held == ""
            assert self.node.state(uuid) == "healthy"
            known = [it for it in self.node.owner.ward.known(uuid) if it.check.action == RECOVER and it.condition]
            assert any(it.condition.status.value in ("unhealthy", "reset-me") and self.node.now - it.condition.at <= 10
                       for it in known)

    @invariant()
    def nothing_is_put_to_a_guest_to_which_something_is_out(self) -> None:
        assert self.most <= 1

    @invariant()
    def a_guest_has_at_most_one_incident_of_its_checks_and_what_is_shown_is_in_the_ledger(self) -> None:
        diagnoses, ledger = self.node.owner.ward.diagnoses, self.node.ledger
        open_now = [it for it in ledger.open_incidents() if it.verdict == UNHEALTHY]
        assert len({it.uuid for it in open_now}) == len(open_now)
        assert {it.id for it in open_now} == {it.id for it in diagnoses.incidents.values()}
        assert set(diagnoses.unhealthy) >= {it.uuid for it in open_now if not ledger.broken and not diagnoses._pending}

    @invariant()
    def no_recovery_is_wanted_on_less_than_it_takes(self) -> None:
        for it in self.node.ledger.opened:
            if it.verdict == UNHEALTHY and it.action in (RECOVER, OBSERVED, SUSPENDED):
                evidence = json.loads(it.evidence)
                assert evidence["check"] in ("app", "wish")
                assert evidence["failures"] >= (2 if evidence["check"] == "app" else 1) or evidence["seconds"] == 0

    @invariant()
    def no_more_than_one_process_of_a_check_is_in_a_guest(self) -> None:
        for machine in self.node.machines.values():
            assert len(machine.commands.running) <= 4 * len(CHECKS)

    def teardown(self) -> None:
        """When all is well again, everything is forgotten."""
        self.node.run(5)  # what is on its way
        self.node.ledger.broken, self.node.owner.held = False, ""
        self.node.define(*CHECKS)
        for uuid in GUESTS:
            self.node.says(0, "fine", uuid)
            self.node.machine(uuid).commands.takes = 0.0
            self.channel(uuid, True)
            self.resumes(uuid)
        self.node.inventory(1)
        self.node.run(40 + 3 * INTERVAL)
        diagnoses = self.node.owner.ward.diagnoses
        assert diagnoses.incidents == {}
        assert diagnoses.unhealthy == ()
        assert not diagnoses._pending
        for uuid in GUESTS:
            assert {self.node.status(check.name, uuid) for check in CHECKS} == {"healthy"}
        assert self.out == dict.fromkeys(GUESTS, 0)


TestDays = Days.TestCase
TestDays.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
