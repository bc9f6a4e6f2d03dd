"""The check script that we ship, in a real guest: what it says arrives as it means it."""
from __future__ import annotations

import base64
import gzip
from pathlib import Path

import pytest

from tests.harness.wait import until

SCRIPT = Path(__file__).resolve().parents[2] / "docs/health-checks/check.sh"
PLACE = "/usr/local/lib/qga/check.sh"
COMMAND = f"{PLACE} --port 7000 --starting /run/shop/starting --reset /run/shop/reset"
CHECK = {"kind": "exec", "command": COMMAND, "action": "recover", "reset": "yes", "interval": 5, "timeout": 4,
         "failures": 99, "grace": 0, "names": "*"}  # fmt: skip


@pytest.fixture
def ward(new_ward):
    ward = new_ward(**{"check shop": CHECK})
    ward.boot("shop")
    text = base64.b64encode(gzip.compress(SCRIPT.read_bytes(), mtime=0)).decode()
    ward["shop"].run(f"mkdir -p {Path(PLACE).parent} /run/shop && echo {text} | base64 -d | gunzip >{PLACE}"
                     f" && chmod 0755 {PLACE} && ip link set lo up")
    ward.watch()
    return ward


def wait(ward, status: str) -> str:
    """Until the check has this status; its text."""
    def said():
        return next((it for it in ward.seen("shop").get("checks", []) if it["status"] == status), None)
    return until(said, f"check shop to be {status}", 60, 0.2)["text"]


def test_what_the_shipped_script_finds_in_a_guest_is_what_its_check_says(ward):
    guest = ward["shop"]
    assert wait(ward, "unhealthy") == "nothing listens on port 7000"
    guest.run("touch /run/shop/starting")
    assert wait(ward, "initialising") == "nothing listens on port 7000"
    guest.run("(nc -l -p 7000 >/dev/null 2>&1 &)")
    assert wait(ward, "healthy") == "port 7000 listens"
    assert ward.attempts("shop") == []
    guest.run("echo 'the pool is lost' >/run/shop/reset")
    assert wait(ward, "reset-me") == "reset-me the pool is lost"
    until(lambda: ward.stored("shop"), "the report", 60)
    assert ward.incidents("shop")[0][:2] == ("unhealthy", "recover")
