"""Nova's word against libvirt's: what is a contradiction, when it counts, and all that is no opinion."""

from __future__ import annotations

import pytest

from heartbeat.expectation import (
    ELSEWHERE,
    MISSES,
    SHUT_OFF,
    STALE,
    STRANGER,
    VERDICT,
    WHOLE,
    Answer,
    Expectation,
    Presence,
    Server,
    compared,
    contradiction,
    failed,
    findings,
    fresh,
    learned,
    question,
    tasks,
)
from heartbeat.incident import MISSING, UNEXPECTED
from heartbeat.terms import Consent
from tests.harness.observations import OTHER, UUID

HERE, DWELL = "compute-1", 300.0
RUNS, GONE = Presence(True), None
NOTHING = Expectation()
DATE = "2026-11-20T05:00:00Z"


def server(uuid: str = UUID, host: str = HERE, state: str = "active", task: str = "", up: bool | None = True,
           asked: float = 0.0) -> Server:
    return Server(uuid, host, state, task, up, Consent(), asked)


def knows(*servers: Server, at: float = 0.0, whole: bool = True, known: Expectation = NOTHING,
          singles: tuple[Server, ...] = ()) -> Expectation:
    return learned(known, Answer(at, whole, servers, singles, DATE))


def found(known: Expectation, present: dict[str, Presence], listed: float, share: float = 30, number: int = 3) -> list:
    return findings(known, present, listed, DWELL, share, number)


@pytest.mark.parametrize(("said", "presence", "kind"), [
    (server(), RUNS, ""), (server(), GONE, MISSES), (server(), Presence(False, "failed"), MISSES),
    (server(state="stopped"), RUNS, SHUT_OFF), (server(state="stopped"), GONE, ""),
    (server(state="stopped"), Presence(False, "shutdown"), ""),
    (server(host="compute-2"), RUNS, ELSEWHERE), (server(host="compute-2"), GONE, ""),
    (server(state="deleted", host=""), RUNS, STRANGER), (server(state="deleted", host=""), GONE, ""),
    (server(state="paused"), RUNS, ""), (server(state="paused"), GONE, ""), (server(state="error"), GONE, ""),
    (server(state="error"), RUNS, ""),
])  # fmt: skip
def test_what_contradicts_what(said, presence, kind):
    present = {UUID: presence} if presence else {}
    assert contradiction(knows(said), UUID, present.get(UUID), HERE) == kind


@pytest.mark.parametrize("said", [
    *(server(task=it) for it in ("migrating", "rebuilding", "powering-off", "resize_migrating", "image_snapshot")),
    *(server(host=it, task="migrating") for it in (HERE, "compute-2")),
    *(server(state=it) for it in ("building", "resized", "shelved", "shelved_offloaded", "rescued", "soft-delete")),
    server(up=False), server(up=False, state="stopped"), server(up=False, host="compute-2"),
], ids=lambda it: f"{it.vm_state} {it.task} {it.up}")  # fmt: skip
@pytest.mark.parametrize("presence", [RUNS, GONE, Presence(False, "failed")])
def test_a_server_that_is_worked_on_or_whose_compute_service_is_down_contradicts_nothing(said, presence):
    assert contradiction(knows(said), UUID, presence, HERE) is None


@pytest.mark.parametrize("presence", [Presence(None), Presence(False, "failed", True), Presence(True, "", True)])
@pytest.mark.parametrize("said", [server(), server(state="stopped"), server(host="compute-2")])
def test_a_guest_that_cannot_be_read_or_has_an_incident_already_contradicts_nothing(said, presence):
    assert contradiction(knows(said), UUID, presence, HERE) is None


def test_a_guest_of_which_nova_has_said_nothing_is_asked_for_and_not_judged():
    known = knows(server(OTHER))
    present = {UUID: RUNS, OTHER: RUNS}
    assert contradiction(known, UUID, RUNS, HERE) is None
    assert question(known, present, 60).singles == (UUID,)
    assert compared(known, present, HERE, 60).doubts == {}


def lasting(said: Server, present: dict[str, Presence], *others: Server) -> Expectation:
    """A contradiction from second 0 on, asked about once a minute, until 360."""
    known = Expectation()
    for now in range(0, 361, 60):
        asked = said._replace(asked=float(now))
        known = knows(asked, *others, at=now, known=known, singles=(asked,))
        known = compared(known, present, HERE, now)
    return known


def test_a_guest_that_is_missing_for_the_dwell_by_the_word_of_both_counts():
    known = lasting(server(), {OTHER: RUNS}, server(OTHER))
    (finding,) = found(known, {OTHER: RUNS}, listed=355)
    assert (finding.uuid, finding.verdict, finding.since, finding.certain) == (UUID, MISSING, 0, True)


@pytest.mark.parametrize(("said", "presence"), [
    (server(state="stopped"), RUNS), (server(host="compute-2"), RUNS), (server(state="deleted", host=""), RUNS),
])  # fmt: skip
def test_a_guest_that_should_not_be_here_is_recorded_and_never_certain(said, presence):
    present = {OTHER: RUNS, UUID: presence}
    (finding,) = found(lasting(said, present, server(OTHER)), present, listed=355)
    assert (finding.verdict, finding.certain) == (UNEXPECTED, False)


def test_nothing_counts_on_a_list_of_libvirts_or_an_answer_of_novas_from_before_the_dwell_was_over():
    known = lasting(server(), {OTHER: RUNS}, server(OTHER))
    assert found(known, {OTHER: RUNS}, listed=299) == []
    early = known._replace(servers={**known.servers, UUID: server(asked=299)})
    assert found(early, {OTHER: RUNS}, listed=355) == []


@pytest.mark.parametrize("interruption", [
    lambda known, now: failed(known, "503"),
    lambda known, now: knows(server(task="rebooting"), at=now, known=known),
    lambda known, now: knows(server(host="compute-2"), at=now, known=known),
    lambda known, now: knows(server(up=False), at=now, known=known),
    lambda known, now: knows(server(state="stopped"), at=now, known=known),
])  # fmt: skip
def test_whatever_interrupts_the_contradiction_begins_the_dwell_anew(interruption):
    known = compared(interruption(lasting(server(), {}), 361), {}, HERE, 361)
    assert known.doubts == {}
    known = compared(knows(server(asked=420), at=420, known=known), {}, HERE, 420)
    assert known.doubts[UUID].since == 420
    assert found(known, {}, listed=425) == []


def test_what_nova_said_too_long_ago_is_no_opinion():
    known = lasting(server(), {})
    assert compared(known, {}, HERE, 360 + STALE).doubts
    assert compared(known, {}, HERE, 361 + STALE).doubts == {}
    assert not fresh(known, 361 + STALE)


@pytest.mark.parametrize(("presence", "certain"), [
    (GONE, True), (Presence(False, "failed"), True), (Presence(False, "crashed"), True),
    (Presence(False, "shutdown"), False), (Presence(False, "destroyed"), False), (Presence(False, "unknown"), False),
])  # fmt: skip
def test_only_a_guest_that_can_but_have_failed_is_certain(presence, certain):
    present = {OTHER: RUNS, **({UUID: presence} if presence else {})}
    (finding,) = found(lasting(server(), present, server(OTHER)), present, listed=355)
    assert finding.certain is certain


def test_where_nova_does_not_say_that_its_compute_service_is_up_nothing_is_certain():
    (finding,) = found(lasting(server(up=None), {OTHER: RUNS}, server(OTHER)), {OTHER: RUNS}, listed=355)
    assert finding.certain is False


def test_under_a_wrong_host_name_where_no_guest_of_novas_runs_here_nothing_is_certain():
    (finding,) = found(lasting(server(), {}), {}, listed=355)
    assert (finding.verdict, finding.certain) == (MISSING, False)


def test_many_missing_at_once_are_the_fault_of_something_else():
    def missing(many: int) -> set[bool]:
        known, present = Expectation(), {f"here-{n}": RUNS for n in range(4)}
        names = [f"gone-{n}" for n in range(many)]
        for now in range(0, 361, 60):
            servers = [server(it, asked=float(now)) for it in (*present, *names)]
            known = compared(knows(*servers, at=now, known=known), present, HERE, now)
        return {it.certain for it in found(known, present, listed=355)}
    assert missing(3) == {True}
    assert missing(4) == {False}


def test_changes_are_asked_for_between_two_whole_lists():
    known = knows(server(), at=100)
    assert question(known, {UUID: RUNS}, 160).since == DATE
    assert question(known, {UUID: RUNS}, 100 + WHOLE).since == ""


@pytest.mark.parametrize("known", [
    Expectation(), failed(knows(server()), "503"), knows(server())._replace(date=""),
], ids=["first", "after a failure", "without a date"])  # fmt: skip
def test_a_whole_list_is_asked_for_first_after_a_failure_and_where_nova_gives_no_date(known):
    assert question(known, {UUID: RUNS}, 60).since == ""


def test_changes_add_to_what_is_known_and_a_whole_list_replaces_it():
    known = knows(server(), server(OTHER))
    changed = knows(server(state="stopped", asked=60), at=60, whole=False, known=known)
    assert {uuid: it.vm_state for uuid, it in changed.servers.items()} == {UUID: "stopped", OTHER: "active"}
    assert set(knows(server(OTHER), at=120, known=changed).servers) == {OTHER}


def test_a_guest_that_was_moved_away_is_no_change_on_this_host_and_is_asked_for_before_it_is_missed():
    known = compared(knows(server(), server(OTHER)), {OTHER: RUNS}, HERE, 10)
    assert known.doubts[UUID].kind == MISSES
    assert question(known, {OTHER: RUNS}, 60).singles == (UUID,)
    known = knows(at=60, whole=False, known=known, singles=(server(host="compute-2", asked=60),))
    assert compared(known, {OTHER: RUNS}, HERE, 60).doubts == {}


def test_a_bounded_number_is_asked_for_one_by_one_and_all_get_their_turn():
    present = {f"{number:02}": RUNS for number in range(50)}
    known, asked = knows(), set()
    for now in range(60, 600, 60):
        singles = question(known, present, now).singles
        assert len(singles) == 20
        asked |= set(singles)
        unknown = tuple(server(it, "", "deleted", asked=float(now)) for it in singles)
        known = compared(knows(at=now, whole=False, known=known, singles=unknown), present, HERE, now)
    assert asked == set(present)


def test_the_task_of_a_guest_holds_only_as_long_as_novas_word_is_fresh():
    known = knows(server(task="migrating"))
    assert tasks(known, [UUID, OTHER], STALE) == {UUID: "migrating", OTHER: ""}
    assert tasks(known, [UUID], STALE + 1) == {UUID: ""}


def test_every_kind_has_a_verdict():
    assert VERDICT == {MISSES: MISSING, STRANGER: UNEXPECTED, ELSEWHERE: UNEXPECTED, SHUT_OFF: UNEXPECTED}
