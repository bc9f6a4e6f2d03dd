"""What is kept of real guests that fail: their screens, consoles and counters; and what it costs those who report."""
from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from qga_ra import command
from qga_ra.supervision import Places
from tests.harness import screen
from tests.harness.wait import until
from tests.harness.ward import together

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
    ward = module_ward(evidence={"console": CONSOLE})
    common = {"vga": True, "console": CONSOLE}
    ward.boot("panicked", panic_device=True, on_crash="preserve", **common)
    ward.boot("hung", "qemu killed", "qemu stopped", "agent frozen", **common)
    ward.boot("without a screen", console=CONSOLE)
    ward.boot("says no", properties={"masakari_qga_screenshot": "no"}, **common)
    ward.fonts = {part: screen.font(ward[part]) for part in ("panicked", "hung")}
    ward["hung"].run("printf '\\033[2J\\033[Hlogin of somebody' >/dev/tty0")
    ward.watch()
    ward.broken_at = time.monotonic()
    together(
        ward["panicked"].panic, ward["qemu killed"].kill_qemu, ward["qemu stopped"].stop_qemu, ward["hung"].halt,
        ward["agent frozen"].freeze_agent, ward["without a screen"].halt, ward["says no"].halt,
    )
    return ward


def test_the_panic_can_be_read_off_the_screenshot_of_a_panicked_guest(ward):
    ward.wait("panicked", "panicked")
    kept = bundle(ward, "panicked")
    assert PANIC in screen.text((kept / "screenshot.png").read_bytes(), ward.fonts["panicked"])
    assert PANIC in (kept / "console.log").read_text()
    assert manifest(ward, "panicked")["screenshot"] == {"width": 720, "height": 400}
