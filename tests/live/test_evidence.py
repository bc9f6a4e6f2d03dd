"""What is kept of real guests that fail: their screens, consoles and counters; and what it costs those who report."""
from __future__ import annotations

import io
import json
import stat
import tarfile
import time
from functools import partial
from pathlib import Path
from queue import SimpleQueue

import pytest

from heartbeat import procfs
from heartbeat.evidence.portrait import Wanted
from heartbeat.hypervisor import Hypervisor
from heartbeat.message import Inventory
from qga_ra import command
from qga_ra.supervision import Places
from tests.harness import screen
from tests.harness.failures import cramped
from tests.harness.wait import until
from tests.harness.ward import FAST, together

CONSOLE = "/var/lib/libvirt/instances/{uuid}/console.log"
PANIC = "Kernel panic - not syncing: sysrq triggered crash"


def bundle(ward, part: str) -> Path:
    """Its newest one, when it is whole."""
    def newest() -> Path | None:
        rows = ward.ledger("SELECT max(id) FROM incident WHERE uuid = ?", ward[part].uuid)
        path = ward.folder / "state/evidence" / str(rows[0][0])
        return path if path.exists() else None
    return until(newest, f"evidence of {part}")


def manifest(ward, part: str) -> dict:
    return json.loads((bundle(ward, part) / "incident.json").read_text())


def shown(ward, capsys, part: str, *arguments: str) -> str:
    places = Places(str(ward.folder / "run"))
    config = ["--config", str(ward.helper.config)]
    capsys.readouterr()
    assert command.main(["incidents", "show", bundle(ward, part).name, *config, *arguments], places) == 0
    return capsys.readouterr().out


@pytest.fixture(scope="module")
def ward(module_ward):
    """Guests that have failed, each in its way, with their evidence taken."""
    ward = module_ward({**FAST, "io_error": 5}, evidence={"console": CONSOLE})
    common = {"vga": True, "console": CONSOLE}
    ward.boot("panicked", panic_device=True, on_crash="preserve", **common)
    ward.boot("hung", "qemu killed", "qemu stopped", "agent frozen", **common)
    ward.boot("disk full", disk=str(cramped(Path("/run/cramped"))), **common)
    ward.boot("without a screen", console=CONSOLE)
    ward.boot("says no", properties={"masakari_qga_screenshot": "no"}, **common)
    ward.fonts = {part: screen.font(ward[part]) for part in ("panicked", "hung")}
    ward["panicked"].run("echo 128 >/proc/sys/kernel/tainted")     # as after an oops: a panic prints no second trace
    together(*(partial(guest.run, "echo alive >/dev/ttyS0") for guest in ward.guests.values()))
    ward["hung"].run("printf '\\033[2J\\033[Hlogin of somebody' >/dev/tty0")
    ward.watch()
    ward.broken_at = time.monotonic()
    together(
        ward["panicked"].panic, ward["qemu killed"].kill_qemu, ward["qemu stopped"].stop_qemu, ward["hung"].halt,
        ward["agent frozen"].freeze_agent, ward["disk full"].fill_disk, ward["without a screen"].halt,
        ward["says no"].halt,
    )
    return ward


def test_the_panic_can_be_read_off_the_screenshot_of_a_panicked_guest(ward):
    ward.wait("panicked", "panicked")
    kept = bundle(ward, "panicked")
    assert PANIC in screen.text((kept / "screenshot.png").read_bytes(), ward.fonts["panicked"])
    assert PANIC in (kept / "console.log").read_text()
    assert manifest(ward, "panicked")["screenshot"] == {"width": 720, "height": 400}


def test_both_are_in_what_an_operator_is_shown_and_in_what_he_exports(ward, capsys, tmp_path):
    ward.wait("panicked", "panicked")
    out = shown(ward, capsys, "panicked")
    assert PANIC in out
    assert "screenshot.png: " in out
    assert ", 720 x 400 pixels" in out
    assert f"in {bundle(ward, 'panicked')}," in out
    shown(ward, capsys, "panicked", "--export", str(tmp_path / "out.tar"))
    number = bundle(ward, "panicked").name
    with tarfile.open(fileobj=io.BytesIO((tmp_path / "out.tar").read_bytes())) as tar:
        read = {it.name.partition("/")[2]: tar.extractfile(it).read() for it in tar.getmembers()}
        assert {it.name.partition("/")[0] for it in tar.getmembers()} == {f"incident-{number}"}
    assert PANIC in screen.text(read["screenshot.png"], ward.fonts["panicked"])
    assert PANIC in read["console.log"].decode()
    assert json.loads(read["incident.json"])["ledger"]["verdict"] == "panicked"


def test_a_hung_guests_screen_is_what_it_last_showed_and_its_counters_are_those_that_convicted_it(ward):
    ward.wait("hung", "hung")
    kept = bundle(ward, "hung")
    assert "login of somebody" in screen.text((kept / "screenshot.png").read_bytes(), ward.fonts["hung"])
    counters = json.loads((kept / "counters.json").read_text())
    assert counters["first"]["at"] < counters["last"]["at"]
    assert counters["witnesses"]["vcpu"]["says"] == "still"
    assert counters["first"]["balloon"] == counters["last"]["balloon"] > 0
    assert "suspect, was healthy" in (kept / "events.txt").read_text()
    assert "agent: " in (kept / "errors.txt").read_text()
    assert "hung: agent silent" in (kept / "why.txt").read_text()
    xml = (kept / "domain.xml").read_text()
    assert ward["hung"].uuid in xml
    assert "console=tty0" not in xml    # the kernel's command line may hold anything


def test_all_of_it_is_the_helpers_alone(ward):
    ward.wait("panicked", "panicked")
    kept = bundle(ward, "panicked")
    assert {stat.filemode(path.stat().st_mode) for path in (kept, kept.parent)} == {"drwx------"}
    assert {stat.filemode(path.stat().st_mode) for path in kept.iterdir()} == {"-rw-------"}
    assert len({path.stat().st_uid for path in (kept, kept.parent, *kept.iterdir())}) == 1


def test_a_qemu_that_died_leaves_its_console_and_its_domain_and_no_screen(ward):
    ward.wait("qemu-died", "qemu killed")
    kept, said = bundle(ward, "qemu killed"), manifest(ward, "qemu killed")
    assert said["missing"]["screenshot.png"] == "its QEMU has ended"
    assert (kept / "console.log").read_text().endswith("alive\n")
    assert ward["qemu killed"].uuid in (kept / "domain.xml").read_text()


def test_a_stopped_qemu_is_asked_for_nothing_and_the_reason_is_there(ward):
    ward.wait("qemu-stuck", "qemu stopped")
    assert ward["qemu stopped"].process_state == "T"
    said = manifest(ward, "qemu stopped")
    assert said["missing"]["screenshot.png"] == "its QEMU does not react, so it is not asked"
    assert {"console.log", "domain.xml", "counters.json", "why.txt"} <= said["files"].keys()
    assert "no picture of it" not in ward.helper.log()


def test_a_guest_whose_disk_failed_has_a_screen_and_the_disk_by_its_name(ward):
    ward.wait("io-error", "disk full")
    kept = bundle(ward, "disk full")
    assert (kept / "screenshot.png").exists()
    assert (kept / "errors.txt").read_text().endswith("disk vda: no space\n")


def test_a_verdict_that_is_only_recorded_has_its_evidence_as_well(ward):
    ward.wait("agent-silent", "agent frozen")
    kept = bundle(ward, "agent frozen")
    assert (kept / "screenshot.png").exists()
    witnesses = json.loads((kept / "counters.json").read_text())["witnesses"]
    assert witnesses["window"] > 0
    assert witnesses["kernel"]["says"] == "moving"


@pytest.mark.parametrize(("part", "why"), [
    ("without a screen", "no screens"),
    ("says no", "its flavor, image or server says masakari:qga_screenshot = no"),
])
def test_without_a_screen_or_a_wish_there_is_no_picture_but_a_reason(ward, part, why):
    ward.wait("hung", part)
    assert why in manifest(ward, part)["missing"]["screenshot.png"]
    assert (bundle(ward, part) / "console.log").exists()


def test_every_guest_was_reported_all_the_same(ward):
    for part in ("panicked", "hung", "qemu killed", "without a screen", "says no"):
        until(lambda part=part: ward.stored(part), f"the report of {part}")


# What libvirt does not give back.


@pytest.fixture
def hypervisor(libvirtd):
    """Ours, with no owner loop: what it posts is kept."""
    posted = SimpleQueue()
    ours = Hypervisor("qemu:///system", 60, posted.put)
    ours.start()
    until(lambda: isinstance(posted.get(timeout=30), Inventory), "the first list of guests")
    yield ours
    ours.stop()


def test_a_qemu_that_was_just_stopped_is_seen_to_be_and_not_asked(new_guest, hypervisor):
    guest = new_guest(vga=True, console=CONSOLE).start()
    guest.wait_agent()
    until(lambda: hypervisor._link.runs(guest.uuid), "its process to be known")
    guest.stop_qemu()
    portrait = hypervisor.portrait(hypervisor.portray(guest.uuid, Wanted()), 60)
    assert portrait.no_picture == "its QEMU process is in state T"
    assert guest.uuid in portrait.xml
    guest.cont_qemu()


def test_a_picture_that_never_comes_costs_a_worker_and_no_other_guest(new_guest, hypervisor, monkeypatch):
    """QEMU is stopped in the very moment in which it is asked."""
    guests = [new_guest(vga=True, console=CONSOLE).start() for _ in range(2)]
    together(*(guest.wait_agent for guest in guests))
    stuck, well = guests
    monkeypatch.setattr(procfs, "state", lambda process: "S")
    stuck.stop_qemu()
    portrait = hypervisor.portrait(hypervisor.portray(stuck.uuid, Wanted()), 1.0)
    assert portrait.no_picture == "QEMU's monitor, or libvirt, did not answer"
    assert stuck.uuid in portrait.xml       # which came before
    again = hypervisor.portrait(hypervisor.portray(stuck.uuid, Wanted()), 60)
    assert again.no_picture == "an earlier call about it has not returned"
    assert hypervisor.portrait(hypervisor.portray(well.uuid, Wanted()), 60).picture
    stuck.cont_qemu()
    until(lambda: hypervisor.portrait(hypervisor.portray(stuck.uuid, Wanted()), 60).picture,
          "the one that was stuck to be had again")
