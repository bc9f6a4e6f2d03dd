"""Health checks as an operator sees them: which guests are checked and when, what becomes of the results, and what
never happens because of one. The owner loop is the real one; the guests are on paper."""

from __future__ import annotations

import json

import pytest

from heartbeat.condition import Limits
from heartbeat.configuration import load
from heartbeat.discrepancies import Limits as NovaLimits
from heartbeat.expectation import Answer, Server
from heartbeat.health.definition import BUILTIN, VCPUS, Check
from heartbeat.health.replies import Reply
from heartbeat.hostname import Hostname
from heartbeat.incident import HUNG, OBSERVED, QEMU_DIED, RECORD, RECOVER, SUSPENDED, UNHEALTHY
from heartbeat.manual import ManualHold
from heartbeat.message import Heard
from heartbeat.observation import ChannelChanged, Paused, Rebooted, Resumed, Seen, Stopped
from heartbeat.policy import Policy
from heartbeat.probe import Answer as Said
from heartbeat.reporting import Reporting
from heartbeat.terms import Consent, wish
from tests.harness.observations import NEXT_RUN, OTHER, RUN, TIMING, UUID, guest
from tests.harness.simulation import Machine, Node
from tests.harness.wards import APP, BAD, INTERVAL, WELL, Ward

ROUND = INTERVAL + 1
NOW = "2026-11-20T05:00:00.000000+00:00"


def test_a_guest_without_checks_is_given_no_command():
    node = Node(Machine())
    node.inventory()
    node.run(300)
    assert node.machines[UUID].commands.said == []
    assert node.owner.ward.known(UUID) == []


def test_a_check_is_run_once_in_its_interval_at_its_own_place():
    node = Ward()
    node.run(5 * INTERVAL)
    runs = node.runs()
    assert len(runs) in (7, 8)
    assert all(later - earlier == pytest.approx(INTERVAL, abs=2) for earlier, later in zip(runs, runs[1:]))
    assert node.status() == "healthy"
    assert node.text() == WELL[1]


def test_runs_are_spread_over_the_interval():
    machines = [Machine(f"25efc0bf-1659-4c83-b4e6-{number:012x}") for number in range(60)]
    node = Ward(*machines)
    first = sorted(node.runs(machine.uuid)[-1] % INTERVAL for machine in machines)
    assert all(sum(second <= at < second + 10 for at in first) <= 25 for second in range(0, 60, 10))


def test_what_an_agent_allows_is_asked_once_and_again_after_it_reconnects():
    node = Ward()
    assert node.given().count("guest-info") == 1
    node.closes()
    node.run(10)
    node.machine().channel = guest().channel
    node.about(ChannelChanged(True))
    node.run(3 * INTERVAL)
    assert node.given().count("guest-info") == 2
    assert node.status() == "healthy"


def test_an_application_that_fails_is_recovered_after_its_number_of_failures_and_not_before():
    node = Ward()
    node.says(*BAD)
    node.run(2 * INTERVAL)
    assert node.status() == "unhealthy"
    assert node.verdicts == []
    node.run(ROUND)
    assert node.verdicts == [(UUID, UNHEALTHY, RECOVER)]
    evidence = json.loads(node.ledger.opened[0].evidence)
    assert evidence == {"check": "app", "status": "unhealthy", "text": BAD[1], "failures": 3, "seconds": 120}
    node.run(5 * INTERVAL)
    assert len(node.verdicts) == 1, "it is one incident as long as it lasts"


def test_an_incident_is_over_when_the_application_is_healthy_again():
    node = Ward()
    node.says(*BAD)
    node.run(4 * INTERVAL)
    assert node.owner.guests.diagnoses.unhealthy == (UUID,)
    assert node.owner.guests.failed() == [UUID]
    node.says(*WELL)
    node.run(ROUND)
    assert [it.why for it in node.ledger.closed] == ["healthy again"]
    assert node.owner.guests.diagnoses.unhealthy == ()
    assert node.owner.guests.failed() == []
    assert node.woken >= 2


def test_a_check_that_is_only_recorded_causes_no_recovery():
    node = Ward(checks=(APP._replace(action=RECORD),))
    node.says(*BAD)
    node.run(10 * INTERVAL)
    assert node.verdicts == [(UUID, UNHEALTHY, RECORD)]
    assert node.confirmed(node.ledger.opened[0].id) == "stands"


@pytest.mark.parametrize(("timing", "action"), [
    (TIMING._replace(actions={UNHEALTHY: RECORD}), RECORD),
    (TIMING._replace(actions={UNHEALTHY: RECOVER}, observe=True), OBSERVED),
])  # fmt: skip
def test_neither_a_verdict_s_action_nor_mode_observe_lets_a_check_recover_more(timing, action):
    node = Ward(timing=timing)
    node.says(*BAD)
    node.run(5 * INTERVAL)
    assert node.verdicts == [(UUID, UNHEALTHY, action)]


def test_a_verdict_that_is_ignored_is_no_incident_and_still_shown():
    node = Ward(timing=TIMING._replace(actions={UNHEALTHY: "ignore"}))
    node.says(*BAD)
    node.run(5 * INTERVAL)
    assert node.verdicts == []
    assert node.status() == "unhealthy"


def test_a_guest_that_was_recovered_too_often_needs_a_human():
    node = Ward()
    for _ in range(4):
        node.says(*BAD)
        node.run(4 * INTERVAL)
        node.says(*WELL)
        node.run(2 * INTERVAL)
    assert [action for _, _, action in node.verdicts] == [RECOVER] * 3 + [SUSPENDED]


def test_what_a_check_cannot_say_neither_counts_nor_clears():
    node = Ward()
    node.says(*BAD)
    node.run(2 * INTERVAL)
    node.says(3, "starting over")
    node.run(10 * INTERVAL)
    assert node.status() == "unknown"
    assert node.verdicts == []
    node.says(*BAD)
    node.run(ROUND)
    assert len(node.verdicts) == 1
    node.says(2, "starting")
    node.run(2 * INTERVAL)
    assert node.ledger.closed == []


def test_a_disabled_command_is_shown_as_such_and_is_no_failure():
    machine = Machine()
    machine.commands.disabled = frozenset({"guest-exec"})
    builtin = Check("cpus", BUILTIN, measure=VCPUS, limit=1, grace=0)
    node = Ward(machine, checks=(APP, builtin))
    node.run(5 * INTERVAL)
    assert (node.status(), node.status("cpus")) == ("cannot check", "healthy")
    assert "guest-exec" in node.text()
    assert node.verdicts == []
    assert "guest-exec" not in node.given()


def test_a_silent_agent_is_no_word_on_the_application_and_is_asked_at_once():
    node = Ward()
    node.says(*BAD)
    node.run(2 * INTERVAL)
    at = node.now + 1
    node.machine().kernel = at
    node.run(10 * INTERVAL)
    assert UNHEALTHY not in [verdict for _, verdict, _ in node.verdicts]
    assert node.state() == HUNG
    runs = len(node.runs())
    node.run(10 * INTERVAL)
    assert len(node.runs()) == runs, "who hangs is not checked"


def test_a_call_that_is_not_answered_brings_the_question_forward():
    node = Ward(timing=TIMING._replace(interval=300, timeout=5))
    node.run(2000 - node.now % 1)
    runs = node.runs()
    due = runs[-1] + INTERVAL
    node.run(due - 1 - node.now)
    node.machine().agent = node.now
    node.run(8)
    assert node.machine().asked[-1] == pytest.approx(due + 5, abs=1), "as soon as libvirt gave the call up"


def test_guests_that_have_been_silent_for_days_however_many_do_not_end_the_checks_of_the_others():
    machines = [Machine(f"25efc0bf-1659-4c83-b4e6-{number:012x}", disk=5.0) for number in range(60)]
    node = Ward(*machines, limits=Limits(hold=False))
    for machine in machines[:50]:
        machine.agent = node.now
    node.run(300)
    since = node.now
    node.run(5 * INTERVAL)
    runs = [sum(at >= since for at in node.runs(machine.uuid)) for machine in machines[50:]]
    assert min(runs) >= 4
    asked = [sum(at >= since for at in machine.asked) for machine in machines]
    assert min(asked[50:]) >= 5 * INTERVAL / TIMING.interval - 1, "nor do they keep questions waiting"
    assert min(asked[:50]) >= 3, "nor are the silent ones forgotten for that"


@pytest.mark.parametrize("checked", [True, False])
def test_a_call_that_is_not_answered_is_the_first_of_two_interrupts_that_prove_an_idle_guest_alive(checked):
    node = Ward(Machine(balloon=0, alive=(0, 0, 0)))
    node.run((0.5 - node.now) % INTERVAL)
    when = node.runs()[-1] + INTERVAL if checked else node.machine().asked[-1] + TIMING.interval
    node.run(when - 0.5 - node.now)
    node.machine().agent = node.now
    node.run(60)
    evidence = json.loads(node.ledger.opened[0].evidence)
    assert (evidence["kernel"], evidence["cpu"]) == ("absent", "still")
    assert (evidence["window"] >= TIMING.silence) is checked, "the interrupt may have been before the first sample"


def test_never_two_calls_are_in_one_guest():
    """One at a time, questions included: what arrived before the one before it was answered would be on the list."""
    checks = tuple(APP._replace(name=f"app{number}", interval=5, timeout=5) for number in range(3))
    node = Ward(checks=checks, timing=TIMING._replace(interval=1))
    out: list[str] = []
    clashes = []

    def begins(what):
        clashes.extend([(what, *out)] if out else [])
        out.append(what)

    ask, command, answered, replied = node.ask, node.command, node.owner.schedule.returned, node.owner.schedule.called
    node.ask = lambda *it: (begins("question"), ask(*it))
    node.owner.ward.rounds._command = lambda *it: (begins("call"), command(*it))
    node.owner.schedule.returned = lambda *it: (out.remove("question"), answered(*it))
    node.owner.schedule.called = lambda *it: (out.remove("call"), replied(*it))
    node.run(300)
    assert len(node.given()) > 300
    assert clashes == []


def test_checks_that_hang_in_one_guest_keep_no_neighbour_waiting():
    hanging, well = Machine(), Machine(OTHER)
    hanging.commands.takes = 1e9
    checks = tuple(APP._replace(name=f"app{number}") for number in range(6))
    node = Ward(hanging, well, checks=checks)
    node.run(10 * INTERVAL)
    asked = node.machine(OTHER).asked
    assert max(later - earlier for earlier, later in zip(asked, asked[1:])) < TIMING.interval + 2
    assert max(later - earlier for earlier, later in zip(hanging.asked, hanging.asked[1:])) < TIMING.interval + 2
    assert len(node.runs(UUID)) == 6, "no process is begun beside one that has not exited"
    assert {node.status(check.name, OTHER) for check in checks} == {"healthy"}
    assert {node.status(check.name, UUID) for check in checks} == {"unknown"}


def test_agents_that_answer_questions_and_nothing_else_cost_their_neighbours_nothing():
    muted, well = [Machine(f"25efc0bf-1659-4c83-b4e6-{number:012x}") for number in range(20)], Machine(OTHER)
    for machine in muted:
        machine.commands.mute = frozenset({"guest-exec"})
    node = Ward(*muted, well, checks=(APP._replace(interval=5.0, timeout=5.0),))
    node.run(5 * INTERVAL)
    gaps = {
        machine.uuid: max(later - earlier for earlier, later in zip(machine.asked, machine.asked[1:]))
        for machine in (*muted, well)
    }
    assert gaps.pop(OTHER) < TIMING.interval + 2
    assert max(gaps.values()) < TIMING.interval + TIMING.timeout + 2
    assert {node.state(uuid) for uuid in node.machines} == {"healthy"}
    assert node.verdicts == []
    assert {node.status(uuid=machine.uuid) for machine in muted} == {"unknown"}


HOLDS = {
    "a pause": lambda node: node.about(Paused("paused by user", "user")),
    "a hold by hand": lambda node: setattr(
        node.owner.guests, "manual", [ManualHold(1, UUID, "alice", "updates", NOW, "2099-01-01T00:00:00+00:00")]),
    "a hold on the node": lambda node: setattr(
        node.owner.guests, "manual", [ManualHold(1, "all", "alice", "updates", NOW, "2099-01-01T00:00:00+00:00")]),
    "the cluster's maintenance": lambda node: setattr(node.owner, "held", "the cluster is in maintenance-mode"),
    "a host that is unfit": lambda node: setattr(node, "libvirt", 60.0),
    "a lost connection": lambda node: node.link_down(),
    "a closed channel": lambda node: node.closes(),
}  # fmt: skip


@pytest.mark.parametrize("hold", HOLDS)
def test_nothing_is_checked_while_something_is_against_it(hold):
    node = Ward()
    HOLDS[hold](node)
    node.run(5)
    before = list(node.given())
    node.run(5 * INTERVAL)
    assert node.given() == before


def under_way(**changes) -> Ward:
    """A run that will end badly has just begun, and its program takes a while; those begun later will be well."""
    node = Ward(checks=(APP._replace(failures=1, overdue="unhealthy", **changes),))
    node.machine().commands.takes = 5
    node.run(node.runs()[-1] + INTERVAL - 1 - node.now)
    runs = len(node.runs())
    node.says(*BAD)
    while len(node.runs()) == runs:
        node.run(0.5)
    node.says(*WELL)
    return node


def test_a_run_that_ends_badly_counts():
    node = under_way()
    node.run(10)
    assert len(node.verdicts) == 1


def test_a_run_that_a_pause_held_up_counts_for_nothing_bad_and_its_process_is_not_forgotten():
    node = under_way()
    runs = len(node.runs())
    node.about(Paused("paused by user", "user"))
    node.run(60)
    node.about(Resumed())
    node.run(TIMING.grace + 5)
    assert node.status() == "unknown"
    assert node.text().startswith("counts for nothing, the guest is paused: ")
    assert node.machine().commands.running == {}, "it was asked after"
    assert len(node.runs()) == runs
    node.run(2 * INTERVAL)
    assert node.verdicts == []
    assert node.status() == "healthy"


def test_a_run_during_which_we_were_held_up_counts_for_nothing_bad():
    node = under_way()
    node.owner.condition.limits = node.owner.condition.limits._replace(fit=7)  # or nothing would be judged at all
    node.hold_up(30)
    node.run(5 * INTERVAL)
    assert node.verdicts == []
    assert node.status() == "healthy"


def test_a_run_during_which_libvirt_went_away_counts_for_nothing_bad():
    node = under_way()
    node.link_down(0.5)
    node.inventory(0.6)
    node.run(2 * INTERVAL)
    assert node.verdicts == []


def test_the_time_for_which_other_calls_of_ours_keep_a_run_waiting_is_none_of_its_own():
    node = under_way()
    schedule, agent = node.owner.schedule, node.machine().commands
    agent.running[max(agent.running)], agent.takes = node.now, 25  # it would be overdue after 10
    agent.application = lambda _: WELL
    others = [f"guest-{number}" for number in range(4)]
    assert all(schedule.call(uuid, node.now) for uuid in others)
    node.run(20)
    for uuid in others:
        schedule.called(uuid)
    node.run(8)
    assert (node.status(), node.verdicts, agent.running) == ("healthy", [], {})


def test_a_guest_that_is_started_anew_begins_with_a_clean_sheet_and_its_grace():
    node = Ward(checks=(APP._replace(grace=300.0),))
    node.run(300)
    node.says(*BAD)
    node.run(4 * INTERVAL)
    assert node.verdicts == [(UUID, UNHEALTHY, RECOVER)]
    node.machine().run = NEXT_RUN
    node.about(Seen(guest(), NEXT_RUN))
    node.run(240)
    assert [it.why for it in node.ledger.closed] == ["the guest was started again"]
    assert node.status() == "initialising"
    node.run(300)
    assert [verdict for _, verdict, _ in node.verdicts] == [UNHEALTHY] * 2


def test_a_reboot_forgets_what_was_counted_and_keeps_the_incident_until_a_check_says_something():
    node = Ward(checks=(APP._replace(grace=100.0),))
    node.run(100)
    node.says(*BAD)
    node.run(4 * INTERVAL)
    node.about(Rebooted())
    node.run(5)
    assert node.status() == ""
    assert node.ledger.closed == []
    assert node.confirmed(node.ledger.opened[0].id) == "not-now"
    node.says(*WELL)
    node.run(2 * INTERVAL)
    assert [it.why for it in node.ledger.closed] == ["healthy again"]


@pytest.mark.parametrize(("happens", "why"), [
    (Stopped(False, "shutdown"), "the guest was stopped: shutdown"),
    (Stopped(True, "failed"), "the guest was stopped: failed"),
])  # fmt: skip
def test_the_incident_ends_with_the_guest(happens, why):
    node = Ward()
    node.says(*BAD)
    node.run(4 * INTERVAL)
    node.about(happens)
    node.run(5)
    assert why in [it.why for it in node.ledger.closed]
    assert node.owner.guests.diagnoses.unhealthy == ()
    assert ([verdict for _, verdict, _ in node.verdicts] == [UNHEALTHY, QEMU_DIED]) is happens.died


def test_a_guest_that_left_takes_its_checks_along():
    node = Ward()
    node.says(*BAD)
    node.run(4 * INTERVAL)
    node.machines.clear()
    node.inventory()
    node.run(INTERVAL)
    assert [it.why for it in node.ledger.closed] == ["the guest is not on this node any more"]
    assert node.owner.ward.known(UUID) == []
    assert not node.owner.ward.rounds._jobs


def test_a_check_that_is_removed_ends_its_incident_and_is_not_run_any_more():
    node = Ward()
    node.says(*BAD)
    node.run(4 * INTERVAL)
    runs = len(node.runs())
    node.define()
    node.run(5 * INTERVAL)
    assert [it.why for it in node.ledger.closed] == ["the check that it was about is not made any more"]
    assert len(node.runs()) == runs
    assert node.owner.ward.idle


def test_the_first_check_that_is_defined_while_we_run_is_made_of_guests_that_are_there():
    node = Ward(checks=())
    assert node.owner.ward.idle
    node.define(APP)
    node.run(ROUND)
    assert node.status() == "healthy"


def test_who_is_checked_follows_from_the_configuration_the_domain_and_nova_and_changes_with_them(tmp_path):
    node, path = Node(Machine(), Machine(OTHER)), tmp_path / "ours.conf"
    node.inventory()

    def govern(text: str) -> None:
        path.write_text(text)
        path.chmod(0o600)
        node.owner.govern(Policy(load(str(path))), NovaLimits("compute1", 300.0, 30.0, 3))
        node.run(ROUND)

    def checked() -> list[list[str]]:
        return [[it.check.name for it in node.owner.ward.known(uuid)] for uuid in (UUID, OTHER)]

    nova = "[nova]\nenabled = yes\n"
    one = f"{nova}[check app]\nkind = exec\ncommand = /usr/bin/app-health\nnames = vm-*\n"
    govern(nova)
    assert checked() == [[], []]
    govern(one)
    assert checked() == [[], []]
    node.about(Seen(guest(name="vm-1"), RUN))
    node.run(ROUND)
    assert checked() == [["app"], []]
    assert node.machines[UUID].commands.said
    wants = Consent(metadata=wish([("masakari:qga_checks", "app")]))
    server = Server(OTHER, "compute1", "active", "", True, wants, node.now)
    node.post(Heard(Answer(node.now, False, (server,))))
    node.run(ROUND)
    assert checked() == [["app"], ["app"]]
    govern(f"{one}[check cpus]\nkind = builtin\nmeasure = vcpus\nlimit = 1\nguests = all\n")
    assert checked() == [["app", "cpus"], ["app", "cpus"]]
    govern(nova)
    assert checked() == [[], []]
    assert not node.owner.ward.rounds._jobs


def test_a_check_that_is_changed_begins_anew_and_the_others_go_on():
    other = APP._replace(name="other", command=("/usr/bin/other",))
    node = Ward(checks=(APP, other))
    node.define(APP._replace(interval=30.0), other)
    assert node.status("other") == "healthy"
    assert node.status() == ""
    node.run(INTERVAL)
    assert node.status() == "healthy"
    node.says(*BAD)
    node.run(4 * INTERVAL)
    node.define(other)
    node.run(5)
    assert node.ledger.closed == [], "the incident is about both"
    assert [it.check.name for it in node.owner.ward.known(UUID)] == ["other"]


def test_a_check_that_is_changed_again_and_again_leaves_no_pile_of_processes_in_the_guest():
    node = Ward()
    node.machine().commands.takes = 1e9
    for timeout in (10.0, 11.0, 12.0):
        node.define(APP._replace(timeout=timeout))
        node.run(2 * INTERVAL)
    assert len(node.machine().commands.running) == 1
    assert "still running" in node.text()


@pytest.mark.parametrize("again", [ChannelChanged(True), Rebooted()])
def test_an_agent_that_a_flood_of_output_broke_is_not_broken_anew_when_it_is_back(again):
    node = Ward()
    asked, agent = [], node.machine().commands
    reply = agent.reply

    def flooded(execute, arguments, now):
        if execute == "guest-exec":
            asked.append(arguments["capture-output"])
        lost = execute == "guest-exec-status" and asked[-1]
        return Reply(Said.GARBLED, None, "internal error: broken") if lost else reply(execute, arguments, now)

    agent.reply = flooded
    node.run(ROUND)
    node.about(again)
    node.run(3 * INTERVAL)
    assert asked[:1] == [True]
    assert len(asked) > 2
    assert not any(asked[1:])


def test_one_incident_is_about_all_checks_that_have_failed_and_names_them():
    other = APP._replace(name="other", action=RECORD)
    node = Ward(checks=(APP, other))
    node.says(*BAD)
    node.run(4 * INTERVAL)
    assert [action for _, _, action in node.verdicts][-1] == RECOVER
    evidence = json.loads(node.ledger.opened[-1].evidence)
    assert evidence["check"] == "app" or evidence["others"] == "app"
    assert len(node.ledger.opened) - len(node.ledger.closed) == 1


def test_after_our_restart_an_open_incident_waits_for_what_the_check_says():
    node = Ward()
    node.says(*BAD)
    node.run(4 * INTERVAL)
    number, ledger, machine = node.ledger.opened[0].id, node.ledger, node.machine()
    again = Ward(machine, ledger=ledger, begun=False)
    again.says(*BAD)
    again.run(5)
    assert again.owner.guests.diagnoses.unhealthy == (UUID,)
    assert again.confirmed(number) == "not-now"
    assert again.confirmed(number, acts=False) == "not-now"
    again.run(4 * INTERVAL)
    assert len(ledger.opened) == 1, "it is the same incident"
    assert again.confirmed(number, acts=False) == "stands"
    again.says(*WELL)
    again.run(ROUND)
    assert [it.why for it in ledger.closed] == ["healthy again"]


def test_what_nothing_is_known_of_since_a_reboot_keeps_no_other_failure_back():
    notes = APP._replace(name="notes", action=RECORD)
    node = Ward(checks=(notes,))
    node.says(*BAD)
    node.run(4 * INTERVAL)
    node.says(3, "who knows")
    node.about(Rebooted())
    node.run(2 * INTERVAL)
    assert node.verdicts == [(UUID, UNHEALTHY, RECORD)]
    node.define(notes, Check("cpus", BUILTIN, measure=VCPUS, limit=2, interval=INTERVAL, grace=0, action=RECOVER))
    node.run(4 * INTERVAL)
    assert (node.status("notes"), node.status("cpus")) == ("unknown", "unhealthy")
    assert [action for _, _, action in node.verdicts] == [RECORD, RECOVER]
    assert len(node.ledger.closed) == 1


@pytest.mark.parametrize(("changes", "why"), [
    ({"run": NEXT_RUN}, "the guest was started again"), (None, "the guest is not on this node any more"),
])  # fmt: skip
def test_after_our_restart_the_incident_of_a_guest_that_is_another_is_over(changes, why):
    node = Ward()
    node.says(*BAD)
    node.run(4 * INTERVAL)
    machines = [Machine(**changes)] if changes else [Machine(OTHER)]
    again = Ward(*machines, ledger=node.ledger, begun=False)
    again.run(5)
    assert [it.why for it in node.ledger.closed] == [why]


def test_a_ledger_that_cannot_be_written_delays_the_verdict_and_loses_nothing():
    node = Ward()
    node.says(*BAD)
    node.ledger.broken = True
    node.run(5 * INTERVAL)
    assert node.verdicts == []
    node.ledger.broken = False
    node.run(5)
    assert node.verdicts == [(UUID, UNHEALTHY, RECOVER)]
    node.ledger.broken = True
    node.about(Stopped(False, "shutdown"))
    node.run(5)
    node.ledger.broken = False
    node.run(5)
    assert [it.why for it in node.ledger.closed] == ["the guest was stopped: shutdown"]


# Right before a report.


def unhealthy(**about) -> tuple[Ward, int]:
    node = Ward(**about)
    node.says(*BAD)
    node.run(4 * INTERVAL)
    assert node.verdicts[-1][1] == UNHEALTHY
    return node, node.ledger.opened[-1].id


def test_a_recovery_is_asked_for_only_on_a_fresh_result_which_is_fetched_at_once():
    node, number = unhealthy()
    node.run(max(node.runs()[-1] + 20 - node.now, 0))
    runs = len(node.runs())
    assert node.confirmed(number) == "not-now"
    node.run(2)
    assert len(node.runs()) == runs + 1
    assert node.confirmed(number) == "stands"
    node.run(12)
    assert node.confirmed(number) == "not-now"


def test_an_application_that_came_back_meanwhile_is_not_recovered():
    node, number = unhealthy()
    node.run(max(node.runs()[-1] + 20 - node.now, 0))
    node.says(*WELL)
    assert node.confirmed(number) == "not-now"
    node.run(2)
    assert node.confirmed(number) == "gone"


def test_an_application_of_which_nothing_is_known_just_now_is_not_recovered():
    node, number = unhealthy()
    node.run(max(node.runs()[-1] + 20 - node.now, 0))
    node.says(3, "who knows")
    for _ in range(5):
        assert node.confirmed(number) == "not-now"
        node.run(2)


def test_an_application_of_which_nothing_is_known_for_days_is_not_looked_at_more_often_for_that():
    node, number = unhealthy()
    node.says(3, "who knows")
    runs = len(node.runs())
    for _ in range(300):
        assert node.confirmed(number) in ("stands", "not-now")
        node.run(2)
    assert len(node.runs()) - runs <= 600 / INTERVAL + 2
    node.says(*BAD)
    node.run(ROUND)
    node.confirmed(number)
    node.run(2)
    assert node.confirmed(number) == "stands"


def test_an_application_that_a_migration_or_a_backup_slows_down_is_not_power_cycled_for_it():
    node, number = unhealthy()
    node.machine().job = "migration"
    for _ in range(30):
        assert node.confirmed(number) == "not-now"
        node.run(2)
    assert node.confirmed(number, acts=False) == "stands", "who informs is told"
    node.machine().job = ""
    said = []
    for _ in range(15):
        said.append(node.confirmed(number))
        node.run(1)
    assert "stands" in said


def test_whether_libvirt_is_at_work_on_a_guest_cannot_be_told_while_another_client_has_its_monitor():
    node, number = unhealthy()
    node.machine().blind = [(0, node.now + 30)]
    for _ in range(14):
        assert node.confirmed(number) == "not-now"
        node.run(2)


def test_a_guest_that_hangs_right_after_it_was_looked_at_for_a_check_is_found_as_soon_as_any():
    node, number = unhealthy()
    node.confirmed(number)
    node.run(0.5)
    node.machine().kernel = node.now
    node.run(TIMING.interval + TIMING.silence + 2 * TIMING.timeout)
    assert [verdict for _, verdict, _ in node.verdicts] == [UNHEALTHY, HUNG]


@pytest.mark.parametrize("hold", HOLDS)
def test_whatever_is_against_a_check_is_against_the_recovery(hold):
    node, number = unhealthy()
    assert node.confirmed(number) in ("not-now", "stands")
    node.run(2)
    assert node.confirmed(number) == "stands"
    HOLDS[hold](node)
    node.run(2)
    assert node.confirmed(number) == "not-now"


def test_a_guest_that_hangs_meanwhile_is_another_verdict_s_business():
    node, number = unhealthy()
    node.machine().agent = node.now
    node.run(30)
    assert node.confirmed(number) == "not-now"
    assert node.ledger.closed == []


def test_who_only_informs_is_told_whatever_keeps_recoveries_back():
    node, number = unhealthy()
    node.owner.held = "the cluster is in maintenance-mode"
    node.run(20)
    assert [node.confirmed(number, acts) for acts in (True, False)] == ["not-now", "stands"]


def test_a_recovery_that_the_settings_do_not_want_any_more_is_not_asked_for():
    node, number = unhealthy()
    node.confirmed(number)
    node.run(2)
    assert node.confirmed(number) == "stands"
    node.owner.timing = node.owner.timing._replace(actions={UNHEALTHY: RECORD})
    assert node.confirmed(number) == "not-now"
    node.run(2 * INTERVAL)
    assert [action for _, _, action in node.verdicts] == [RECOVER, RECORD]


def test_while_we_are_unfit_nobody_is_told_of_what_was_found_before():
    node, number = unhealthy()
    node.libvirt = 60.0
    node.run(5)
    assert [node.confirmed(number, acts) for acts in (True, False)] == ["not-now", "not-now"]


def test_a_recovery_that_came_to_nothing_is_asked_for_anew_within_the_budget():
    node, number = unhealthy()
    node.owner.call = lambda function: function()
    for _ in range(3):
        node.owner.again(UUID, number, "not recovered: Masakari has failed")
        number = node.ledger.opened[-1].id
    assert [action for _, _, action in node.verdicts] == [RECOVER] * 3 + [SUSPENDED]
    node.owner.again(UUID, number, "not recovered: Masakari has failed")
    assert len(node.verdicts) == 4


# A guest's own wish.


def test_a_guest_may_ask_for_its_own_recovery_where_the_operator_allows_it():
    node = Ward(checks=(APP._replace(reset=True),))
    node.says(1, "reset-me the journal is full")
    node.run(ROUND)
    assert node.verdicts == [(UUID, UNHEALTHY, RECOVER)]


def test_a_wish_that_the_operator_does_not_allow_is_a_text_as_any_other():
    node = Ward()
    node.says(1, "reset-me now")
    node.run(ROUND)
    assert node.verdicts == []
    assert node.status() == "unhealthy"


# Many at once.


def crowd(count: int, **about) -> Ward:
    machines = [Machine(f"25efc0bf-1659-4c83-b4e6-{number:012x}") for number in range(count)]
    return Ward(*machines, **about)


@pytest.mark.parametrize("failures", [1, 3])
def test_guests_that_become_unhealthy_together_are_not_recovered(failures):
    node = crowd(12, checks=(APP._replace(failures=failures),))
    for uuid in node.machines:
        node.says(*BAD, uuid)
    node.run(10 * INTERVAL)
    assert node.verdicts == []
    assert "still unhealthy" in node.owner.ward.diagnoses.breaker.trouble
    assert len(node.owner.guests.diagnoses.unhealthy) == 12
    for uuid in node.machines:
        node.says(*WELL, uuid)
    node.run(3 * INTERVAL)
    assert node.verdicts == []
    assert node.owner.ward.diagnoses.breaker.trouble == ""


def test_those_that_stay_behind_when_the_others_are_back_are_recovered():
    node = crowd(12)
    for uuid in node.machines:
        node.says(*BAD, uuid)
    node.run(5 * INTERVAL)
    first, *others = node.machines
    for uuid in others:
        node.says(*WELL, uuid)
    node.run(3 * INTERVAL)
    assert node.verdicts == [(first, UNHEALTHY, RECOVER)]


def test_one_unhealthy_guest_of_many_is_recovered():
    node = crowd(12, checks=(APP._replace(failures=1),))
    first = next(iter(node.machines))
    node.says(*BAD, first)
    node.run(4 * INTERVAL)
    assert node.verdicts == [(first, UNHEALTHY, RECOVER)]


def test_a_verdict_that_waits_for_what_the_others_say_waits_for_us_to_be_fit_as_well():
    node = crowd(12, checks=(APP._replace(failures=1),))
    first = next(iter(node.machines))
    node.says(*BAD, first)
    node.run(INTERVAL)
    assert node.owner.guests.diagnoses.unhealthy == (first,)
    node.libvirt = 60.0
    node.run(3 * INTERVAL)
    assert node.verdicts == []
    node.libvirt = 0.001
    node.run(4 * INTERVAL)
    assert node.verdicts == [(first, UNHEALTHY, RECOVER)]


def test_a_guest_that_hangs_while_its_verdict_waits_is_not_failed_twice():
    node = crowd(12, checks=(APP._replace(failures=1),))
    first = next(iter(node.machines))
    node.says(*BAD, first)
    node.run(INTERVAL)
    node.machine(first).kernel = node.now
    node.run(5 * INTERVAL)
    assert [verdict for _, verdict, _ in node.verdicts] == [HUNG]


def test_a_breaker_that_is_set_to_report_holds_nothing_back():
    node = crowd(12, begun=False)
    node.owner.condition.limits = node.owner.condition.limits._replace(hold=False)
    node.run(3 * INTERVAL)
    for uuid in node.machines:
        node.says(*BAD, uuid)
    node.run(5 * INTERVAL)
    assert len(node.verdicts) == 12
    assert node.owner.ward.diagnoses.breaker.trouble == ""


def test_what_is_only_recorded_is_told_of_however_many():
    node = crowd(12, checks=(APP._replace(action=RECORD),))
    for uuid in node.machines:
        node.says(*BAD, uuid)
    node.run(5 * INTERVAL)
    assert {action for _, _, action in node.verdicts} == {RECORD}
    assert len(node.verdicts) == 12


def test_recoveries_that_were_wanted_before_the_others_failed_wait_with_them():
    node, number = unhealthy_first(crowd(12))
    for uuid in list(node.machines)[1:]:
        node.says(*BAD, uuid)
    node.run(2 * INTERVAL)
    assert node.confirmed(number) == "not-now"
    node.run(2)
    assert node.confirmed(number) == "not-now"


def unhealthy_first(node: Ward) -> tuple[Ward, int]:
    node.says(*BAD, next(iter(node.machines)))
    node.run(4 * INTERVAL)
    return node, node.ledger.opened[0].id


def test_the_cluster_sees_how_many_are_unhealthy_and_that_nobody_is_recovered_because_of_it(tmp_path):
    node, path = crowd(12), tmp_path / "ours.conf"
    path.touch(0o600)
    reporting = Reporting(load(str(path)), "", Hostname("compute-1", ""), node.ledger, node.wall)
    first, *others = node.machines

    def shown() -> tuple[str, str, str]:
        reporting.show(node.owner.guests, "", node.owner.condition, "")
        values = reporting._values()
        return values["qga-state"], values["qga-failed"], values["qga-unhealthy"]

    assert shown() == ("ok", "0", "0")
    node.says(*BAD, first)
    node.run(5 * INTERVAL)
    assert shown() == ("failed", "1", "1")
    for uuid in others:
        node.says(*BAD, uuid)
    node.run(5 * INTERVAL)
    state, failed, unhealthy = shown()
    assert "12 of 12 guests are still unhealthy of those that became so together" in state
    assert (failed, unhealthy) == ("1", "12")
