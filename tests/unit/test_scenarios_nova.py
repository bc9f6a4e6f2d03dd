"""Nova as a witness of intentions: what is missing, what should not be here, what is being worked on, who opts in."""

from __future__ import annotations

import pytest

from heartbeat import status
from heartbeat.configuration import load
from heartbeat.holds import CEILINGS, TASK
from heartbeat.hostname import Hostname
from heartbeat.incident import HUNG, MISSING, RECORD, RECOVER, SUSPENDED, UNEXPECTED, Incident
from heartbeat.observation import Gap, Stopped
from heartbeat.outlook import Case
from heartbeat.reporting import Reporting
from heartbeat.settings import PRESETS
from heartbeat.terms import ACTION, NO_INSTANCE, Consent, Instance, Wish
from heartbeat.watch import EXEMPT, HEALTHY, SUSPECT
from heartbeat.why import explain
from tests.harness.intent import Cloud
from tests.harness.memory_ledger import MemoryLedger
from tests.harness.observations import OPENED, OTHER, RUN, UUID
from tests.harness.simulation import Machine

NOVA = "[nova]\nenabled = yes\n"
ACTING = NOVA + "[verdicts]\nmissing = recover\n"
OPT_IN = NOVA + "[watch]\nguests = opt-in\n"
DWELL = 300.0
HOUR = 3600.0


@pytest.fixture
def cloud(tmp_path):
    def cloud(text: str = NOVA, *machines: Machine, ledger: MemoryLedger | None = None) -> Cloud:
        """Two guests, both of Nova's, that are well."""
        found = Cloud(tmp_path, text, *(machines or (Machine(), Machine(OTHER))), ledger=ledger)
        for uuid in found.node.machines:
            found.server(uuid)
        return found
    return cloud


def test_where_nova_and_libvirt_agree_nothing_is_recorded(cloud):
    assert cloud(ACTING).run(2 * HOUR).recorded == []


def test_a_guest_that_is_gone_from_libvirt_is_missing_after_the_dwell_and_recorded(cloud):
    it = cloud().run(HOUR)
    it.vanish()
    it.run(DWELL)
    assert it.recorded == []
    it.run(180)
    assert it.recorded == [(MISSING, RECORD)]
    assert it.node.owner.guests.failed() == []


def test_it_is_recovered_where_that_is_set_and_nothing_but_a_failure_explains_it(cloud):
    it = cloud(ACTING).run(HOUR)
    it.vanish()
    it.run(600)
    assert it.recorded == [(MISSING, RECOVER)]
    assert it.node.owner.guests.failed() == [UUID]


def test_the_report_stands_only_as_long_as_both_say_so(cloud):
    it = cloud(ACTING).run(HOUR)
    it.vanish()
    it.run(600)
    owner, number = it.node.owner, it.node.ledger.opened[0].id
    answered = []
    owner.call = lambda function: function()
    answered.append(owner.confirm(number))
    owner.held = "maintenance"
    answered.append(owner.confirm(number))
    answered.append(owner.confirm(number, acts=False))
    owner.held = ""
    it.answers = False
    it.run(60)
    answered.append(owner.confirm(number))
    assert answered == ["stands", "not-now", "stands", "not-now"]
    it.answers = True
    it.node.machines[UUID] = Machine(run="boot-300-3")
    it.run(120)
    assert owner.confirm(number) == "gone"
    assert [closed.why for closed in it.node.ledger.closed] == ["Nova and libvirt agree about it again"]
    assert owner.guests.failed() == []


@pytest.mark.parametrize(("text", "action"), [
    (ACTING + "[watch]\nmode = observe\n", "observed"), (ACTING + "[watch]\naction = record\n", RECORD),
])  # fmt: skip
def test_observing_and_the_ceiling_of_all_actions_hold_for_the_missing_too(cloud, text, action):
    it = cloud(text).run(HOUR)
    it.vanish()
    assert it.run(600).recorded == [(MISSING, action)]


def test_a_guest_that_has_been_recovered_too_often_is_not_recovered_again_for_being_missing(cloud):
    ledger = MemoryLedger()
    it = cloud(ACTING, ledger=ledger).run(HOUR)
    ledger.opened += [Incident(n, UUID, "vm", RUN, HUNG, RECOVER, it.node.wall(), "{}") for n in range(3)]
    it.vanish()
    it.run(600)
    assert it.recorded[-1] == (MISSING, SUSPENDED)
    assert it.node.owner.guests.suspended() == [UUID]


@pytest.mark.parametrize("text", [NOVA + "[verdicts]\nmissing = ignore\n", "[verdicts]\nmissing = recover\n"])
def test_whoever_does_not_want_to_know_is_not_told(cloud, text):
    it = cloud(text).run(HOUR)
    it.vanish()
    assert it.run(HOUR).recorded == []


@pytest.mark.parametrize("why", ["shutdown", "destroyed", "unknown", "migrated", "saved"])
def test_a_guest_that_somebody_may_have_stopped_is_never_recovered_for_it(cloud, why):
    it = cloud(ACTING).run(HOUR)
    it.shut[UUID] = Stopped(False, why)
    del it.node.machines[UUID]
    assert it.run(600).recorded == [(MISSING, RECORD)]


def test_a_guest_whose_death_is_recorded_already_is_not_missing_as_well(cloud):
    it = cloud(ACTING).run(HOUR)
    it.shut[UUID] = Stopped(True, "failed")
    del it.node.machines[UUID]
    it.run(HOUR)
    assert [verdict for verdict, _ in it.recorded] == ["qemu-died"]


def test_a_live_migration_is_no_absence(cloud):
    it = cloud(ACTING).run(HOUR)
    it.server(task="migrating")
    it.run(120)
    it.vanish()
    it.run(HOUR)  # the last word of this host's Nova may come late
    it.server(host="compute-2")
    assert it.run(HOUR).recorded == []


def test_a_guest_that_arrives_by_migration_may_still_be_elsewhere_for_nova_but_not_for_long(cloud):
    it = cloud(ACTING).run(HOUR)
    it.server(host="compute-2")
    it.run(DWELL - 60)
    it.server()
    assert it.run(HOUR).recorded == []
    it.server(host="compute-2")
    it.run(1300)  # a guest that is elsewhere shows only in a whole list
    assert it.recorded == [(UNEXPECTED, RECORD)]


@pytest.mark.parametrize("what", ["unknown to Nova", "shut off in Nova"])
def test_a_guest_that_should_not_run_here_is_recorded_and_watched_as_before(cloud, what):
    it = cloud(NOVA).run(HOUR)
    if what == "unknown to Nova":
        del it.servers[UUID]
    else:
        it.server(state="stopped")
    it.run(1300)  # a guest that is unknown shows only in a whole list
    assert it.recorded == [(UNEXPECTED, RECORD)]
    assert it.node.state() == HEALTHY
    it.node.machines[UUID].kernel = it.node.now
    it.run(120)
    assert (HUNG, RECOVER) in it.recorded


def test_a_guest_that_nova_deletes_is_recorded_by_nobody(cloud):
    it = cloud(ACTING).run(HOUR)
    it.server(task="deleting")
    it.run(60)
    del it.servers[UUID]
    it.vanish()
    assert it.run(HOUR).recorded == []


def test_nothing_counts_in_the_first_minutes_after_our_start_or_after_novas(cloud):
    it = cloud(ACTING, Machine(OTHER))
    it.server(UUID)
    assert it.run(DWELL).recorded == []
    it.answers = False
    it.run(HOUR)
    it.answers = True
    assert it.run(DWELL).recorded == []
    assert it.run(180).recorded == [(MISSING, RECOVER)]


def test_a_nova_that_answers_now_and_then_is_no_witness(cloud):
    it = cloud(ACTING).run(HOUR)
    it.vanish()
    for turn in range(40):
        it.answers = turn % 4 != 0
        it.run(60)
    assert it.recorded == []


def test_libvirt_gone_and_back_begins_the_dwell_anew(cloud):
    it = cloud(ACTING).run(HOUR)
    it.vanish()
    it.run(240)
    it.node.link_down()
    it.node.run(1)
    assert it.run(DWELL).recorded == []


def test_while_libvirt_is_away_nova_is_not_even_asked(cloud):
    it = cloud(ACTING)
    it.ask()
    assert it.questions == []


def test_a_guest_that_libvirt_cannot_describe_is_not_missing(cloud):
    it = cloud(ACTING).run(HOUR)
    it.shut[UUID] = Gap("its XML is not UTF-8", True)
    assert it.run(HOUR).recorded == []


def test_the_trouble_with_nova_is_shown_and_nothing_else_changes(cloud):
    it = cloud(ACTING).run(HOUR)
    differences = it.node.owner.guests.discrepancies
    assert differences.trouble == ""
    it.answers = False
    it.run(120)
    assert differences.trouble == "Nova answers 503"
    it.node.machines[UUID].kernel = it.node.now
    it.run(120)
    assert it.recorded == [(HUNG, RECOVER)]


def test_an_incident_of_an_earlier_life_ends_when_nova_and_libvirt_agree_again(cloud):
    known = Incident(7, UUID, "vm", "nova", MISSING, RECOVER, OPENED, "{}")
    it = cloud(ACTING, ledger=MemoryLedger(incidents=[known]))
    assert it.node.owner.guests.failed() == [UUID]
    it.run(120)
    assert [closed.id for closed in it.node.ledger.closed] == [7]
    assert it.recorded == []


def test_a_guest_that_nova_works_on_is_not_judged_until_that_is_over(cloud):
    it = cloud().run(HOUR)
    it.server(task="rebuilding")
    it.run(60)
    it.node.machines[UUID].kernel = it.node.now
    it.run(HOUR)
    assert it.recorded == []
    assert it.node.state() == SUSPECT
    assert it.node.owner.guests.watches[UUID].detail == "held: Nova is at it: rebuilding"
    it.server()
    it.run(180)
    assert it.recorded == [(HUNG, RECOVER)]


def test_a_task_without_end_is_warned_of_and_still_nobody_is_judged(cloud, caplog):
    it = cloud().run(HOUR)
    it.server(task="image_snapshot")
    it.run(CEILINGS[TASK] + 300)
    assert [line for line in caplog.messages if "Nova is at it: image_snapshot" in line]
    it.node.machines[UUID].kernel = it.node.now
    assert it.run(600).recorded == []


def test_a_nova_that_falls_silent_during_a_task_holds_nobody_for_ever(cloud):
    it = cloud().run(HOUR)
    it.server(task="rebuilding")
    it.run(60)
    it.answers = False
    it.node.machines[UUID].kernel = it.node.now
    it.run(240)
    assert it.recorded == []
    it.run(300)
    assert it.recorded == [(HUNG, RECOVER)]


@pytest.mark.parametrize("consent", [Consent(True), Consent(metadata=Wish(True)), Consent(specs=Wish(True))])
def test_who_opts_in_by_the_api_is_watched_and_nobody_else(cloud, consent):
    it = cloud(OPT_IN)
    it.server(UUID, consent=consent)
    it.run(300)
    assert (it.node.state(UUID), it.node.state(OTHER)) == (HEALTHY, EXEMPT)
    assert it.node.machines[OTHER].asked == []
    it.node.machines[UUID].kernel = it.node.machines[OTHER].kernel = it.node.now
    it.run(120)
    assert [it.uuid for it in it.node.ledger.opened] == [UUID]


def test_metadata_that_change_are_taken_within_a_round(cloud):
    it = cloud(OPT_IN)
    it.run(180)
    it.server(consent=Consent(True))
    it.run(180)
    assert it.node.state() == HEALTHY
    it.server(consent=Consent(None))
    it.run(120)
    assert it.node.state() == EXEMPT


def test_what_opted_in_stays_watched_while_nova_is_away_and_after_our_restart(cloud):
    ledger = MemoryLedger()
    it = cloud(OPT_IN, ledger=ledger)
    it.server(consent=Consent(True))
    it.run(300)
    it.answers = False
    it.run(HOUR)
    assert it.node.state() == HEALTHY
    again = cloud(OPT_IN, ledger=ledger)
    again.answers = False
    again.run(120)
    assert (again.node.state(UUID), again.node.state(OTHER)) == (HEALTHY, EXEMPT)


def test_who_has_not_opted_in_is_neither_missing_nor_unexpected(cloud):
    it = cloud(OPT_IN + "[verdicts]\nmissing = recover\n").run(HOUR)
    it.vanish()
    it.server(OTHER, state="stopped")
    assert it.run(HOUR).recorded == []


@pytest.mark.parametrize("image", [Wish(True), Wish(True, action="ignore")])
def test_who_opted_in_by_its_image_alone_is_missed_on_the_terms_that_held_for_it(cloud, image):
    it = cloud(OPT_IN)
    it.instances[UUID] = Instance("f", properties=image)
    it.run(HOUR)
    it.vanish()
    it.run(600)
    assert it.recorded == ([] if image.action else [(MISSING, RECORD)])


def test_opting_in_needs_no_api_where_nova_writes_it_into_the_domain(cloud):
    it = cloud("[watch]\nguests = opt-in\nflavors = ha.*\n")
    it.instances = {UUID: Instance(specs=Wish(True)), OTHER: Instance("ha.small")}
    it.run(120)
    assert (it.node.state(UUID), it.node.state(OTHER)) == (HEALTHY, HEALTHY)
    it.instances[UUID] = Instance("ha.small", properties=Wish(False))
    it.run(120)
    assert it.node.state(UUID) == EXEMPT


def test_a_reload_takes_guests_in_and_out_at_once(cloud):
    it = cloud("")
    it.run(120)
    it.reload("[watch]\nguests = opt-in\n")
    it.node.run(1)
    assert it.node.state() == EXEMPT
    it.reload("")
    it.node.run(20)
    assert it.node.state() == HEALTHY


def test_each_guest_is_asked_and_judged_at_its_own_pace(cloud):
    slow, fast = Machine(), Machine(OTHER)
    it = cloud("", slow, fast)
    it.instances = {UUID: Instance(properties=Wish(sensitivity="low")), OTHER: Instance(specs=Wish(None, "high"))}
    it.run(600)
    for machine, interval in ((slow, PRESETS["low"]["watch.interval"]), (fast, PRESETS["high"]["watch.interval"])):
        gaps = [later - earlier for earlier, later in zip(machine.asked[1:], machine.asked[2:])]
        assert all(abs(gap - interval) < 1 for gap in gaps)
    slow.kernel = fast.kernel = it.node.now
    it.run(59)
    assert [incident.uuid for incident in it.node.ledger.opened] == [OTHER]
    it.run(120)
    assert [incident.uuid for incident in it.node.ledger.opened] == [OTHER, UUID]


def test_guests_on_the_same_terms_share_them(cloud):
    it = cloud("").run(120)
    timings = {id(it.node.owner.guests.timing(uuid, it.node.owner.timing)) for uuid in (UUID, OTHER)}
    assert timings == {id(it.node.owner.timing)}
    assert it.node.owner.guests.choices.timing(UUID, NO_INSTANCE, False, it.node.owner.timing) is it.node.owner.timing


@pytest.mark.parametrize(("flavor", "image", "action"), [
    (Wish(), Wish(action="record"), RECORD), (Wish(action="record"), Wish(action="recover"), RECORD),
    (Wish(action="recover"), Wish(), RECOVER),
])  # fmt: skip
def test_what_a_hang_causes_is_lowered_by_tenants_and_raised_by_flavors_only(cloud, flavor, image, action):
    text = "" if flavor == Wish() else "[watch]\naction = record\n"
    it = cloud(text)
    it.instances[UUID] = Instance("f", flavor, image)
    it.run(120)
    it.node.machines[UUID].kernel = it.node.now
    assert it.run(120).recorded == [(HUNG, action)]


def test_no_flavor_raises_what_a_verdict_causes_above_what_is_set_for_it(cloud):
    it = cloud("[verdicts]\nhung = record\n")
    it.instances[UUID] = Instance("f", Wish(action="recover"))
    it.run(120)
    it.node.machines[UUID].kernel = it.node.now
    assert it.run(120).recorded == [(HUNG, RECORD)]


def told(it: Cloud, uuid: str = UUID) -> dict[str, str]:
    """What `masakari-qga why` says of a guest, by heading."""
    owner, now = it.node.owner, it.node.now
    guests = owner.guests
    case = Case(
        guests.watches[uuid], now, str, guests.timing(uuid, owner.timing), owner.fitness_of(uuid), now, (),
        guests.budget, 0, (), guests.choices.terms(uuid), guests.discrepancies.word(uuid, now),
    )  # fmt: skip
    return {line[:10].strip(): line[10:] for line in explain(case)["lines"]}


def test_why_says_that_a_guest_is_not_watched_who_said_so_and_novas_word_on_it(cloud):
    it = cloud(OPT_IN)
    it.instances = {OTHER: Instance("f", Wish(True, "low", odd=(ACTION,)), Wish(sensitivity="high"))}
    it.server(task="rebuilding")
    it.run(120)
    lines = told(it)
    assert lines["watched"] == "no: not opted in"
    assert lines["rule"] == "a guest that is not watched is not asked, and nothing is concluded of it"
    assert lines["nova"] == "active on this host, at work: rebuilding, 59 s ago"
    assert told(it, OTHER)["watched"] == (
        "yes, sensitivity low, at most recover; opted in: its flavor says masakari:qga = yes; its flavor says"
        " sensitivity low; its image says sensitivity high, which lowers nothing; its flavor has a value for"
        " masakari:qga_action that is not understood"
    )


def test_why_says_how_long_nova_and_libvirt_have_disagreed_and_that_nova_is_silent(cloud):
    it = cloud().run(HOUR)
    it.server(state="stopped")
    it.run(150)
    assert "; it runs here, and Nova has it shut off for " in told(it)["nova"]
    assert told(it)["nova"].endswith(" s, which counts after 300 s")
    it.answers = False
    it.run(60)
    assert told(it)["nova"].endswith("; no answer since: Nova answers 503")


def test_the_nodes_state_says_that_nova_is_silent(cloud, tmp_path):
    it = cloud().run(HOUR)
    it.answers = False
    it.run(60)
    node = it.node
    reporting = Reporting(load(str(tmp_path / "ours.conf")), "", Hostname("compute-1", ""), node.ledger, node.wall)
    reporting.show(node.owner.guests, "", node.owner.condition, "")
    assert reporting.state == "nova: Nova answers 503"


def test_status_shows_what_differs_when_nova_was_heard_and_what_is_wrong_with_it(cloud):
    it = cloud(ACTING).run(HOUR)
    it.vanish()
    it.run(600)
    differences, incidents = it.node.owner.guests.discrepancies, it.node.ledger.opened
    shown = status.nova(differences, {incidents[0].id: {"masakari": "pending"}}, str)
    assert (shown["error"], shown["servers"], len(shown["differences"])) == (None, 2, 1)
    assert shown["differences"][0]["uuid"] == UUID
    assert shown["differences"][0]["deliveries"] == {"masakari": "pending"}
    assert status.incidents(it.node.owner.guests.watches, differences.incidents) == [incidents[0].id]
    it.answers = False
    it.run(60)
    assert status.nova(differences, {}, str)["error"] == "Nova answers 503"
    it.reload("")
    it.node.run(2)
    assert status.nova(differences, {}, str) is None
    assert [closed.why for closed in it.node.ledger.closed] == ["Nova is not asked any more"]
