"""How evidence is taken: what is in it, what is not and why, what becomes of reports meanwhile, and what may fail."""

from __future__ import annotations

import json
import logging
import os
import threading
from pathlib import Path

import pytest

from heartbeat.budget import Budget
from heartbeat.evidence import archive, collection
from heartbeat.evidence.archive import Archive, Limits
from heartbeat.evidence.collection import Collection, Rules
from heartbeat.evidence.portrait import Portrait, Wanted
from heartbeat.evidence.scene import OFF, ON, OPT_IN, scene, weighed
from heartbeat.incident import AGENT_SILENT, HUNG, IO_ERROR, PANICKED, QEMU_DIED, QEMU_STUCK, RECORD, RECOVER
from heartbeat.ledger import LedgerError
from heartbeat.outlook import Case, dates
from heartbeat.probe import Answer
from heartbeat.terms import Terms
from heartbeat.verdict import begin
from heartbeat.watch import HEALTHY
from tests.harness.observations import FIT, OPENED, RUN, TIMING, UUID, guest, incident, sample
from tests.harness.simulation import Machine, Node
from tests.harness.wait import until
from tests.unit.test_picture import ppm
from tests.unit.test_redaction import DOMAIN, SECRET

SHOWN = Portrait(xml=DOMAIN, picture=ppm(4, 2))
CONSOLE = ("Kernel panic - not syncing\n", "")


class Ledger:
    """The ledger, as far as evidence asks it. trouble: what it raises."""

    trouble: Exception | None = None

    def followed(self):
        if self.trouble:
            raise self.trouble
        return []

    def holds(self, now):
        return []

    def fates(self, incident):
        return ()

    def recoveries(self, uuid, since):
        return 1


class Hypervisor:
    """shows: what it shows. hangs: until this is set nobody gets an answer."""

    def __init__(self) -> None:
        self.shows, self.asked, self.hangs = SHOWN, [], threading.Event()
        self.hangs.set()

    def portray(self, uuid, wanted):
        self.asked.append((uuid, wanted))
        return wanted

    def portrait(self, wanted, seconds):
        assert self.hangs.wait(60)
        if wanted.no_picture:
            return self.shows._replace(picture=b"", no_picture=wanted.no_picture)
        return self.shows


class Desk:
    """A collection and all that it asks."""

    def __init__(self, folder: Path, **rules) -> None:
        self.folder, self.now, self.hypervisor, self.ledger = folder, 1000.0, Hypervisor(), Ledger()
        self.console, self.done = CONSOLE, []
        self.collection = Collection(
            str(folder), Rules(**rules), self.ledger, self.hypervisor, lambda uuid: self.console,
            lambda: self.done.append(1), lambda: OPENED, lambda: self.now,
        )

    def take(self, it, number: int = 1) -> None:
        """One incident's evidence, to its end."""
        before = len(self.done)
        self.collection.begin(it)
        until(lambda: len(self.done) > before, "the capture to end")

    def names(self) -> list[str]:
        return sorted(os.listdir(self.folder / "evidence"))


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


def failed(verdict: str = HUNG, number: int = 1, screenshot: str = ON, terms: Terms | None = None, **watch):
    it = incident(verdict, RECOVER, number=number)
    samples = {"first": sample(990.0), "last": sample(999.0)}
    after = begin(guest(), RUN, True, it, 900.0)._replace(**{"state": verdict, **samples, **watch})
    case = Case(after, 1000.0, dates(OPENED, 1000.0), TIMING, FIT, 1010.0, (), Budget(), 0, (), terms)
    return scene(it, case, "998.0 agent: no answer\n999.0 hung, was suspect\n", screenshot)


def test_a_bundle_has_every_part_and_says_of_what_it_is(desk):
    desk.take(failed())
    bundle = Archive(str(desk.folder)).read(1)
    assert set(bundle.files) == set(archive.FILES)
    assert bundle.manifest["missing"] == {}
    assert bundle.manifest["incident"] == {
        "id": 1, "uuid": UUID, "name": "vm", "incarnation": RUN, "verdict": HUNG, "action": RECOVER, "opened": OPENED,
        "evidence": {},
    }
    assert bundle.manifest["screenshot"] == {"width": 4, "height": 2}
    assert bundle.files[archive.CONSOLE].decode() == CONSOLE[0]
    assert bundle.files[archive.EVENTS].decode().splitlines() == [
        "2026-11-20T04:59:58+00:00 agent: no answer", "2026-11-20T04:59:59+00:00 hung, was suspect"]
    assert bundle.files[archive.ERRORS].decode().splitlines() == ["2026-11-20T04:59:58+00:00 agent: no answer"]
    why = bundle.files[archive.WHY].decode()
    assert f"guest     {UUID}" in why
    assert "1 of 3 recoveries" in why
    counters = json.loads(bundle.files[archive.COUNTERS])
    assert (counters["first"]["at"], counters["last"]["at"]) == (990.0, 999.0)
    assert counters["witnesses"]["window"] == 9.0
    assert SECRET not in bundle.files[archive.DOMAIN].decode()


def test_what_is_not_there_is_named_with_its_reason(desk):
    desk.console = ("", "Permission denied")
    desk.hypervisor.shows = Portrait(no_xml="no domain", no_picture="no video device")
    desk.take(failed(PANICKED, first=None, last=None))
    bundle = Archive(str(desk.folder)).read(1)
    missing = bundle.manifest["missing"]
    assert set(missing) == {archive.CONSOLE, archive.DOMAIN, archive.SCREENSHOT, archive.COUNTERS}
    assert (missing[archive.CONSOLE], missing[archive.DOMAIN], missing[archive.SCREENSHOT]) == (
        "Permission denied", "no domain", "no video device")


@pytest.mark.parametrize(("shows", "part"), [
    (SHOWN._replace(picture=b"\x89PNG broken"), archive.SCREENSHOT),
    (SHOWN._replace(picture=b"P6\n9 9\n255\n"), archive.SCREENSHOT),
    (SHOWN._replace(xml="<domain>"), archive.DOMAIN),
    (SHOWN._replace(xml="<!DOCTYPE d><domain/>"), archive.DOMAIN),
])
def test_a_part_that_is_garbage_costs_that_part_only(desk, shows, part):
    desk.hypervisor.shows = shows
    desk.take(failed())
    bundle = Archive(str(desk.folder)).read(1)
    assert set(archive.FILES) - set(bundle.files) == {part}
    assert bundle.manifest["missing"][part]


@pytest.mark.parametrize("it", [
    failed(QEMU_STUCK), failed(last=sample(999.0, process="T")), failed(last=sample(999.0, process="D")),
    failed(last=sample(999.0, stuck=True)), failed(QEMU_DIED), failed(screenshot=OFF), failed(screenshot=OPT_IN),
    failed(terms=Terms("", "medium", RECOVER, (), False)),
    failed(screenshot=OPT_IN, terms=Terms("", "medium", RECOVER, (), False)),
    failed(screenshot=OFF, terms=Terms("", "medium", RECOVER, (), True)),
])
def test_no_picture_is_asked_of_a_qemu_that_is_stuck_or_gone_or_where_it_is_not_wanted(desk, it):
    desk.take(it)
    assert desk.hypervisor.asked == [(UUID, Wanted(it.no_picture))]
    assert it.no_picture
    assert Archive(str(desk.folder)).read(1).manifest["missing"] == {archive.SCREENSHOT: it.no_picture}


@pytest.mark.parametrize("it", [
    failed(), failed(PANICKED), failed(IO_ERROR), failed(AGENT_SILENT),
    failed(screenshot=OPT_IN, terms=Terms("", "medium", RECOVER, (), True)),
])
def test_a_picture_is_taken_where_there_is_one_and_nobody_minds(desk, it):
    desk.take(it)
    assert archive.SCREENSHOT in Archive(str(desk.folder)).read(1).files
    assert desk.hypervisor.asked[0][1].disks == (it.incident.verdict == IO_ERROR)


def test_disks_that_failed_are_among_the_errors(desk):
    desk.hypervisor.shows = SHOWN._replace(disks=(("vda", "no space"),))
    desk.take(failed(IO_ERROR))
    assert Archive(str(desk.folder)).read(1).files[archive.ERRORS].decode().endswith("\ndisk vda: no space\n")


def test_samples_that_a_verdict_puts_away_are_those_that_are_kept():
    before = begin(guest(), RUN, True, None, 0.0)._replace(first=sample(1.0), last=sample(5.0), steady=3.0)
    later = sample(10.0)
    begun_anew = before._replace(first=later, last=later, steady=None)
    assert (weighed(before, begun_anew).first, weighed(before, begun_anew).last) == (before.first, later)
    forgotten = before._replace(first=None, last=None, steady=None)
    assert weighed(before, forgotten)[:] == before._replace(state=forgotten.state)[:]


# What it costs those who report.


def test_a_report_waits_for_a_capture_that_goes_on_and_not_for_one_that_hangs(desk):
    desk.hypervisor.hangs.clear()
    desk.collection.begin(failed())
    assert desk.collection.awaited(1, 1000.0)
    assert desk.collection.awaited(1, 1000.0 + collection.WAIT - 0.01)
    assert not desk.collection.awaited(1, 1000.0 + collection.WAIT + 0.01)
    assert not desk.collection.awaited(2, 1000.0)
    desk.hypervisor.hangs.set()
    until(lambda: desk.done, "the capture to end")
    assert not desk.collection.awaited(1, 1000.0)
    assert desk.names() == ["1"]  # late, and kept all the same


def test_so_many_failures_at_once_that_captures_pile_up_cost_bundles_and_no_report(desk, caplog):
    desk.hypervisor.hangs.clear()
    for number in range(1, collection.MOST_WAITING + 11):
        desk.collection.begin(failed(number=number))
    assert desk.collection.awaited(collection.MOST_WAITING, 1000.0)
    assert not desk.collection.awaited(collection.MOST_WAITING + 1, 1000.0)
    assert sum("evidence is not kept" in it.message for it in caplog.records) == 1
    desk.now += collection.LATE + 1  # whoever comes so late would see a guest that is being recovered
    desk.hypervisor.hangs.set()
    until(lambda: len(desk.done) == collection.MOST_WAITING, "all captures to end")
    assert len(desk.names()) == collection.MOST_WAITING
    late = Archive(str(desk.folder)).read(collection.MOST_WAITING)
    assert late.manifest["missing"] == {archive.SCREENSHOT: "there were too many incidents at once"}


def test_a_guest_that_opens_incident_after_incident_leaves_others_their_evidence(desk):
    def opened(number: int, uuid: str = UUID, action: str = RECORD):
        it = failed(AGENT_SILENT, number)
        return it._replace(incident=it.incident._replace(uuid=uuid, action=action), case=it.case._replace(now=desk.now))

    for number in range(1, 20):
        desk.now += 10.0
        desk.collection.begin(opened(number))
    desk.take(opened(20, uuid="another"))
    desk.take(opened(21, action=RECOVER))
    until(lambda: len(desk.done) == collection.OFTEN + 2, "all captures to end")
    assert desk.names() == ["1", "2", "20", "21", "3", "4"]
    desk.now += collection.HOUR
    desk.collection.turn(desk.now)
    desk.take(opened(22))
    assert "22" in desk.names()


def test_a_disk_that_does_not_come_back_costs_bundles_and_holds_up_nobody(desk, monkeypatch):
    back, begun = threading.Event(), []

    def put(*_):
        begun.append(1)
        assert back.wait(60)

    monkeypatch.setattr(Archive, "put", put)
    owner = threading.Thread(target=lambda: [
        desk.collection.begin(failed(number=number)) for number in range(1, collection.MOST_WAITING + 11)
    ], daemon=True)  # fmt: skip
    desk.collection.begin(failed(number=0))
    until(lambda: begun, "a bundle to be written")
    owner.start()
    owner.join(30)
    assert not owner.is_alive()
    assert desk.collection.volume().captured == {"kept": 0, "failed": 11}
    back.set()
    until(lambda: len(desk.done) == collection.MOST_WAITING, "all captures to end")


def test_a_disk_that_is_full_costs_the_bundle_and_one_warning(desk, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(archive, "RESERVE", 1 << 62)
    for number in (1, 2, 3):
        desk.take(failed(number=number))
        assert not desk.collection.awaited(number, 1000.0)
    assert desk.names() == []
    warnings = [it.message for it in caplog.records if it.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert "incident 1: evidence is not kept, reports go on" in warnings[0]
    monkeypatch.setattr(archive, "RESERVE", 0)
    desk.take(failed(number=4))
    until(lambda: "evidence can be kept again" in caplog.text, "the end of the trouble to be told")
    assert desk.names() == ["4"]


def test_a_directory_that_cannot_be_written_costs_the_bundle_and_one_warning(tmp_path, caplog):
    (tmp_path / "evidence").write_text("")
    desk = Desk(tmp_path)
    desk.take(failed())
    desk.take(failed(number=2))
    assert sum(it.levelno >= logging.WARNING for it in caplog.records) == 1
    assert not desk.collection.awaited(2, 1000.0)


def test_a_ledger_that_fails_costs_what_only_it_knows(desk):
    desk.ledger.trouble = LedgerError("/ledger", "the disk is full")
    desk.take(failed())
    assert "0 of 3 recoveries" in Archive(str(desk.folder)).read(1).files[archive.WHY].decode()


def test_a_bug_costs_the_bundle_and_no_report(desk, caplog):
    desk.hypervisor.portray = None
    desk.take(failed())
    assert "because of a bug" in caplog.text
    assert not desk.collection.awaited(1, 1000.0)
    assert not (desk.folder / "evidence").exists()


def test_no_number_of_bundles_is_no_evidence_and_no_wait(tmp_path):
    desk = Desk(tmp_path, limits=Limits(number=0))
    desk.collection.begin(failed())
    assert not desk.collection.awaited(1, 1000.0)
    assert desk.hypervisor.asked == []


def test_what_is_too_much_goes_with_each_new_one_and_what_is_too_old_without_one(tmp_path):
    desk = Desk(tmp_path, limits=Limits(number=2))
    for number in (1, 2, 3):
        desk.take(failed(number=number))
    until(lambda: desk.names() == ["2", "3"], "the oldest to go")
    (tmp_path / "evidence/.9.new").mkdir()
    os.utime(tmp_path / "evidence/2", (0, 0))
    desk.collection.turn(desk.now)
    until(lambda: desk.names() == [".9.new", "3"], "the one of 1970 to go, and not what is being written")
    desk.collection.configure(Rules(limits=Limits(number=0)))
    desk.collection.turn(desk.now)
    until(lambda: desk.names() == [".9.new"], "those that are too many now to go")


def test_what_a_killed_helper_left_is_gone_after_our_start(tmp_path):
    (tmp_path / "evidence/.9.new").mkdir(parents=True)
    desk = Desk(tmp_path)
    desk.collection.turn(desk.now)
    until(lambda: desk.names() == [], "the remains to go")


# In the owner loop.


class Kept:
    """Stands in for the collection: notes what it is given."""

    def __init__(self) -> None:
        self.rules, self.scenes, self.waiting, self.turns = Rules(), [], True, 0

    def begin(self, it) -> None:
        self.scenes.append(it)

    def awaited(self, incident: int, now: float) -> bool:
        return self.waiting

    def turn(self, now: float) -> None:
        self.turns += 1


@pytest.fixture
def node():
    node = Node(Machine())
    node.owner.evidence = Kept()
    node.inventory()
    node.run(100)
    node.owner.call = lambda function: function()
    return node


def test_a_hang_is_handed_over_with_its_samples_and_its_history(node):
    node.machines[UUID].kernel = node.now
    node.run(40)
    (it,) = node.owner.evidence.scenes
    assert (it.incident.verdict, it.incident.id) == (HUNG, node.ledger.opened[0].id)
    assert it.case.watch.incident == it.incident
    assert it.case.watch.first.at < it.case.watch.last.at
    assert it.no_picture == ""
    assert f"agent: {Answer.SILENT.value}" in it.history
    assert it.history.splitlines()[-1].partition(" ")[2].startswith("hung, was suspect")
    assert node.owner.evidence.turns > 30


def test_an_agent_that_is_silent_in_a_guest_that_works_is_handed_over_with_its_window(node):
    node.machines[UUID].agent = node.now
    node.run(60)
    (it,) = node.owner.evidence.scenes
    assert it.incident.verdict == AGENT_SILENT
    assert it.case.watch.last.at - it.case.watch.first.at > TIMING.silence / 2


def test_a_recovery_is_not_asked_for_before_its_evidence_is_taken_and_who_informs_does_not_wait(node):
    node.dies()
    node.run(5)
    number = node.ledger.opened[0].id
    assert [node.owner.confirm(number, acts) for acts in (True, False)] == ["soon", "stands"]
    node.owner.evidence.waiting = False
    assert node.owner.confirm(number, True) == "stands"


def test_a_hold_is_told_before_evidence_that_is_being_taken(node):
    node.dies()
    node.run(5)
    node.owner.held = "the cluster is in maintenance-mode"
    assert node.owner.confirm(node.ledger.opened[0].id, True) == "not-now"


def test_a_bug_in_the_taking_of_evidence_costs_no_verdict(node):
    node.owner.evidence.begin = None
    node.dies()
    node.run(5)
    assert node.verdicts == [(UUID, QEMU_DIED, RECOVER)]


def test_a_guest_that_stays_healthy_has_a_history_of_two_lines_at_most(node):
    node.run(5000)
    assert node.state() == HEALTHY
    assert len(node.owner.guests.histories[UUID].splitlines()) <= 2
    node.machines.clear()
    node.inventory()
    node.run(1)
    assert node.owner.guests.histories == {}
