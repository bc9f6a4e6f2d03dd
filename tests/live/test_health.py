"""Applications in guests that answer for their own health: what a guest's checks say, what becomes of it, and that no
check harms anybody else."""
from __future__ import annotations

import json
import re
import time
from functools import partial

import pytest

from qga_ra import command
from qga_ra.supervision import Places
from tests.harness.applications import PROGRAM, STATUS
from tests.harness.wait import until
from tests.harness.ward import payloads, settle, together

INTERVAL = 5
SOON = {"interval": INTERVAL, "timeout": 3, "failures": 2, "grace": 0}
CHECKS = {
    "web": {"kind": "exec", "command": f"{PROGRAM} flip", "action": "recover", **SOON},
    "asks": {"kind": "exec", "command": f"{PROGRAM} flip", "action": "recover", **SOON, "reset": "yes", "failures": 99},
    "push": {"kind": "file", "path": STATUS, "fresh": 5, **SOON},
    "hang": {"kind": "exec", "command": f"{PROGRAM} hang", "overdue": "unhealthy", **SOON},
    "flood": {"kind": "exec", "command": f"{PROGRAM} flood 20", **SOON},
    "garbage": {"kind": "exec", "command": f"{PROGRAM} garbage 7", **SOON},
    "cpus": {"kind": "builtin", "measure": "vcpus", "limit": 1, **SOON},
    "quick": {"kind": "builtin", "measure": "answer-time", "limit": 2000, **SOON},
    "agent": {"kind": "builtin", "measure": "agent-version", "limit": "7.2", **SOON},
}
# Each guest asks for the checks that its part needs.
PARTS = {"web": "web", "wedged": "asks", "push": "push", "bare": "web, push, cpus, quick, agent", "hang": "hang",
         "flood": "flood", "garbage": "garbage", "neighbour": "cpus", "syncmute": "cpus", "escape": "cpus"}
FORBIDDEN = ("guest-exec", "guest-exec-status", "guest-file-open", "guest-file-close", "guest-file-read",
             "guest-file-write", "guest-file-seek", "guest-file-flush")


@pytest.fixture(scope="module")
def ward(module_ward):
    ward = module_ward(**{f"check {name}": check for name, check in CHECKS.items()})
    for part, names in PARTS.items():
        # a flood of output lies in the memory of the guest's agent
        ward.add(part, balloon_period=1, memory=320 if part == "flood" else 96,
                 properties={"masakari_qga_checks": names})
    together(*(guest.start for guest in ward.guests.values()))
    together(*(partial(guest.wait_agent, 180) for guest in ward.guests.values()))
    ward["bare"].forbid(*FORBIDDEN)
    ward["push"].keeps_writing("healthy", "42 connections")
    ward.begun = time.monotonic()
    ward.watch()
    together(*(partial(ward[mode].evil, mode) for mode in ("syncmute", "escape")))
    return ward


def checks(ward, part: str) -> dict[str, dict]:
    return {it["name"]: it for it in ward.seen(part).get("checks", [])}


def wait(ward, part: str, name: str, status: str, seconds: float = 60.0) -> dict:
    """Until a guest's check says this."""
    return until(lambda: (it := checks(ward, part).get(name, {})).get("status") == status and it,
                 f"check {name} of {part} to be {status}", seconds, 0.2)


def evidence(ward, part: str) -> dict:
    """Of the last incident of a guest."""
    return json.loads(ward.ledger("SELECT evidence FROM incident WHERE uuid = ? ORDER BY id DESC LIMIT 1",
                                  ward[part].uuid)[0][0])


def test_an_application_that_fails_is_reported_and_so_is_its_end(ward):
    assert wait(ward, "web", "web", "healthy")["text"] == "all is well"
    ward["web"].says(1, "no quorum")
    until(lambda: ward.incidents("web") and ward.incidents("web")[0][3] == "delivered", "the report", 60)
    assert wait(ward, "web", "web", "unhealthy")["text"] == "no quorum"
    assert ward.incidents("web") == [("unhealthy", "recover", "", "delivered")]
    said = evidence(ward, "web")
    assert (said["check"], said["status"], said["text"]) == ("web", "unhealthy", "no quorum")
    assert said["failures"] >= 2
    ward["web"].says(0, "quorum again")
    until(lambda: ward.incidents("web")[0][2], "the incident's end", 60)
    assert ward.incidents("web") == [("unhealthy", "recover", "healthy again", "delivered")]
    assert wait(ward, "web", "web", "healthy")["text"] == "quorum again"
    assert len(payloads(ward.stored("web"))) == 1
    assert ward.state("web") == "healthy"       # of its agent and its kernel nothing else was ever said


def test_an_application_that_initialises_or_does_not_know_is_not_reported(ward):
    before = ward.incidents("web")
    for code, status in ((2, "initialising"), (3, "unknown"), (9, "unknown"), (0, "healthy")):
        ward["web"].says(code, "wait")
        wait(ward, "web", "web", status)
    assert ward.incidents("web") == before


def test_a_guest_that_asks_for_its_recovery_gets_it_at_once(ward):
    wait(ward, "wedged", "asks", "healthy")
    ward["wedged"].says(1, "reset-me: all workers hang")
    until(lambda: ward.stored("wedged"), "the report", 60)
    assert ward.incidents("wedged")[0][:2] == ("unhealthy", "recover")
    assert evidence(ward, "wedged")["status"] == "reset-me"
    ward["wedged"].says(0)
    until(lambda: ward.incidents("wedged")[0][2], "the incident's end", 60)


def test_a_file_that_is_not_kept_fresh_is_noticed(ward):
    assert wait(ward, "push", "push", "healthy")["text"] == "42 connections"
    ward["push"].stops_writing()
    found = wait(ward, "push", "push", "unhealthy")
    assert re.fullmatch(rf"{STATUS} is \d+ s old, good up to 5", found["text"])
    until(lambda: ward.incidents("push"), "the incident")
    assert ward.incidents("push")[0][:3] == ("unhealthy", "record", "")
    ward["push"].keeps_writing("healthy", "again")
    until(lambda: ward.incidents("push")[0][2] == "healthy again", "the incident's end", 60)
    assert ward.attempts("push") == []
    assert STATUS not in ward["push"].run("ls -l /proc/$(cat /run/qemu-ga.pid)/fd")


def test_a_probe_by_hand_says_how_a_guest_is_now_and_changes_nothing(ward, capsys):
    def probe(part: str, *words: str) -> tuple[int, str]:
        code = command.main(["probe", ward[part].uuid, *words], Places(run=str(ward.folder / "run")))
        return code, capsys.readouterr().out
    begun = len(ward["neighbour"].checkups("flip"))
    code, said = probe("neighbour")
    assert (code, bool(re.search(r": answered after \d\.\d+ s", said))) == (0, True), said
    code, said = probe("neighbour", "--check", "web")       # not one of its own
    assert (code, "healthy" in said, "all is well" in said) == (0, True, True), said
    ward["neighbour"].says(1, "no quorum")
    for _ in range(3):
        code, said = probe("neighbour", "--check", "web")
        assert (code, "unhealthy" in said, "no quorum" in said) == (1, True, True), said
    ward["neighbour"].says(3)
    assert probe("neighbour", "--check", "web")[0] == 3
    assert probe("neighbour", "--check", "nothing")[0] == 3
    assert len(ward["neighbour"].checkups("flip")) - begun == 5
    assert ward.incidents("neighbour") == []


def test_where_programs_and_files_are_blocked_the_agent_itself_is_asked(ward):
    for name in ("cpus", "quick", "agent"):
        wait(ward, "bare", name, "healthy")
    for name in ("web", "push"):
        found = wait(ward, "bare", name, "cannot check")
        assert "does not allow it" in found["text"]
    assert ward.incidents("bare") == []
    assert ward["bare"].checkups("flip") == []
    ward["bare"].forbid()
    wait(ward, "bare", "web", "healthy")    # asked again what it allows, since its agent has connected anew


def test_a_program_that_hangs_is_one_process_and_says_so(ward):
    found = wait(ward, "hang", "hang", "unhealthy")
    assert "still running" in found["text"]
    until(lambda: ward.incidents("hang"), "the incident", 60)
    settle(ward.begun, 8 * INTERVAL)
    assert len(ward["hang"].checkups("hang")) == 1
    assert ward.incidents("hang")[0][:2] == ("unhealthy", "record")


def test_garbage_is_unknown_and_shown_without_its_sting(ward):
    found = wait(ward, "garbage", "garbage", "unknown")
    assert found["text"].isascii()
    assert found["text"].isprintable()
    assert ward.incidents("garbage") == []


def test_an_agent_that_means_harm_decides_nothing_and_shows_nothing(ward):
    until(lambda: checks(ward, "syncmute")["cpus"]["text"] == "no answer in time", "the call to be given up", 60)
    assert checks(ward, "syncmute")["cpus"]["status"] == "unknown"
    until(lambda: "</a>&" in checks(ward, "escape")["cpus"]["text"], "the agent's error to be shown", 60)
    found = checks(ward, "escape")["cpus"]
    assert found["status"] == "unknown"
    assert r"\x1b[2J" in found["text"]
    assert found["text"].isprintable()
    assert ward.state("escape") == "healthy"
    for part in ("syncmute", "escape"):
        assert "unhealthy" not in [it[0] for it in ward.incidents(part)]


def test_no_check_disturbs_a_neighbour_nor_has_anybody_recovered(ward):
    settle(ward.begun, 8 * INTERVAL)
    assert ward["flood"].checkups("flood")
    ward.answers("neighbour", "web", "push", "hang", "garbage", rounds=4)
    wait(ward, "neighbour", "cpus", "healthy")
    assert ward.incidents("neighbour") == []
    for part in ("hang", "flood", "garbage", "neighbour", "bare", "push", "syncmute", "escape"):
        assert "recover" not in [it[1] for it in ward.incidents(part)], part
        assert ward.attempts(part) == []


def test_a_flood_costs_its_guest_the_agent_until_somebody_in_it_begins_that_anew(ward):
    assert ward.state("flood") != "healthy"
    ward["flood"].kill_agent()
    until(lambda: ward["flood"].channel == "disconnected", "libvirt to see the agent gone")
    ward["flood"].start_agent()
    ward.wait("healthy", "flood")
    # its output is not asked for again
    assert wait(ward, "flood", "flood", "healthy")["text"] == "its output is too much to be read"


def test_the_log_stays_plain_and_says_what_changed_only(ward):
    lines = (ward.folder / "log").read_bytes().splitlines()
    assert [line for line in lines if not re.fullmatch(rb"[ -~]*", line)] == []
    assert max(map(len, lines)) <= 500
    assert b"Traceback" not in b"".join(lines)
    assert (ward.folder / "stderr").read_bytes() == b""
