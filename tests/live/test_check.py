"""A check beside real guests: it says who answers and why the others do not, with a helper and without, and nobody is
disturbed by it."""
from __future__ import annotations

import json
import re
import subprocess
import time

import pytest

from heartbeat.hypervisor.rollcall import call
from qga_ra import check, command
from qga_ra.supervision import Places
from tests.harness.helper import CODE
from tests.harness.wait import until

PARTS = ("sound", "mute", "closed", "suspended", "off")


@pytest.fixture(scope="module")
def ward(module_ward):
    ward = module_ward()
    ward.boot(*PARTS)
    ward.boot("agentless", agent=False)
    ward["off"].destroy()
    ward["mute"].freeze_agent()
    ward["closed"].stop_agent()
    ward["suspended"].domain.suspend()
    until(lambda: ward["closed"].channel == "disconnected", "the closed channel")
    return ward


def found(ward, capsys, *arguments: str) -> tuple[int, list[dict]]:
    places = Places(str(ward.folder / "run"), str(CODE), "/usr/bin/python3")
    code = command.main(["check", "--json", "--config", str(ward.helper.config), *arguments], places)
    return code, json.loads(capsys.readouterr().out)["findings"]


def guests(findings: list[dict]) -> dict[str, str]:
    """By kind, the line that names them."""
    lines = [it["text"] for it in findings if it["step"] == "guests"]
    return {re.split(": |, ", line)[0]: line for line in lines}


def test_without_a_helper_each_guest_is_asked_once_and_those_that_do_not_answer_are_named(ward, capsys):
    code, findings = found(ward, capsys)
    lines = guests(findings)
    assert lines["6 guests"] == ("6 guests, asked just now: 1 answers, 1 channel closed, 1 no channel, 2 not running, "
                                 "1 silent")
    assert lines["silent"] == f"silent: {ward['mute'].uuid}"
    assert lines["channel closed"] == f"channel closed: {ward['closed'].uuid}"
    assert lines["no channel"] == f"no channel: {ward['agentless'].uuid}"
    assert [it["level"] for it in findings if it["step"] in ("helper", "libvirt", "token", "segment")] \
        == ["note", "ok", "ok", "ok"]
    assert code in (1, 2)       # silent guests; and a cell has no syslog
    assert ward.endpoint.attempts == []


def test_who_cannot_be_asked_in_time_is_said_to_be_that(ward):
    answers = call("qemu:///system", 0.0)
    assert answers[ward["sound"].uuid] == "not asked"
    assert answers[ward["off"].uuid] == "not running"


def test_no_connection_of_a_check_stays_open(ward):
    def clients() -> int:
        listed = subprocess.run(["virt-admin", "client-list", "libvirtd"], capture_output=True, text=True, check=True)
        return len(listed.stdout.splitlines())
    before = clients()
    call("qemu:///system", time.monotonic() + 60)
    until(lambda: clients() <= before, "the end of the connections of a check")


def test_with_a_helper_its_word_is_told_and_no_guest_is_asked(ward, capsys):
    ward["mute"].thaw_agent()
    ward["mute"].wait_agent()
    helper = ward.helper
    helper.start()
    helper.wait_state(ward["sound"].uuid, "healthy")
    helper.wait_state(ward["mute"].uuid, "healthy")
    ward["mute"].freeze_agent()
    helper.wait_state(ward["mute"].uuid, "suspect", "agent-silent")
    _, findings = found(ward, capsys)
    assert [it["text"] for it in findings if it["step"] == "helper"] \
        == [f"it runs, process {helper.pid}, version {check.__version__}"]
    lines = guests(findings)
    # It has no word for one that was off when it began.
    assert lines["5 guests"] == ("5 guests, as the helper sees them: 1 answers, 1 no answer yet, 1 no channel, "
                                 "1 not running, 1 silent")
    assert lines["silent"] == f"silent: {ward['mute'].uuid}"
    assert lines["no answer yet"] == f"no answer yet: {ward['closed'].uuid}"
    assert helper.state(ward["sound"].uuid) == "healthy"
    assert "defect" not in json.dumps(findings)
