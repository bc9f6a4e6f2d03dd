"""A check of the installed package on a node of a real cluster: before the resource is there, while it runs, and when
things are as they must not be."""
from __future__ import annotations

import json
from pathlib import Path

from tests.harness.node import CONFIG, LOG

FINE = ("modules", "config", "user", "run", "log", "libvirt", "guests", "name", "token", "endpoint", "segment", "clock",
        "cluster")


def check(node, *arguments: str) -> tuple[int, dict[str, dict]]:
    """Exit status, and by step its gravest finding."""
    ran = node.command("check", "--json", *arguments)
    assert "secret" not in ran.stdout + ran.stderr
    findings = json.loads(ran.stdout)["findings"]
    order = ("ok", "note", "warning", "failed")
    return ran.returncode, {it["step"]: it for it in sorted(findings, key=lambda it: order.index(it["level"]))}


def test_before_the_resource_is_there_all_but_the_helper_is_well(node):
    before = node.cluster.attributes()
    code, steps = check(node)
    assert {name: steps[name]["level"] for name in FINE} == dict.fromkeys(FINE, "ok"), steps
    assert steps["helper"]["text"] == "the helper does not run on this node"
    assert steps["state"]["level"] == "warning", "a cell keeps it in memory"
    assert code == 1
    assert steps["cluster"]["text"] == f"a node attribute of {node.cluster.node} can be written and is read back"
    assert node.cluster.attributes() == before, "nobody sees it, and none is left"
    assert node.endpoint.attempts == []


def test_beside_a_running_helper_its_own_file_and_parameters_are_looked_at(node):
    try:
        node.create("interval=4", "backends=masakari,attributes")
        code, steps = check(node)
        assert (code, steps["helper"]["level"]) == (1, "ok")
        assert steps["config"]["text"] == "as the resource sets them: interval, backends"
        assert steps["guests"]["text"] == "0 guests, as the helper sees them"
        assert "can be written" in steps["cluster"]["text"]
        node.wait_attribute("qga-state", "ok")
        assert node.cluster.failures() == []
    finally:
        node.discard()


def test_for_people_each_line_says_what_and_the_next_what_to_do(node):
    CONFIG.chmod(0o644)
    node.libvirtd.stop()
    try:
        code, steps = check(node)
        shown = node.command("check")
    finally:
        node.libvirtd.start()
        CONFIG.chmod(0o640)
    assert code == shown.returncode == 2
    assert (steps["config"]["level"], steps["libvirt"]["level"]) == ("failed", "failed")
    lines = shown.stdout.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("FAILED   config"))
    assert lines[place + 1].strip() == f"-> chmod 0640 {CONFIG}"
    assert lines[-1].startswith("2 failed, ")


def test_maintenance_of_the_cluster_is_told(node):
    node.cluster.pcs("property", "set", "maintenance-mode=true")
    try:
        _, steps = check(node)
    finally:
        node.cluster.pcs("property", "set", "maintenance-mode=false")
    assert steps["cluster"]["text"] == "nothing would be recovered now: the cluster is in maintenance-mode"


def test_a_node_whose_cluster_is_away_is_told_and_that_is_no_failure(node):
    node.cluster.stop()
    try:
        code, steps = check(node)
    finally:
        node.cluster.start()
    assert code == 1
    assert steps["cluster"]["level"] == "note"
    assert steps["cluster"]["remedy"] == "pcs cluster start"


def test_a_log_that_everybody_can_read_is_a_warning(node):
    log = Path(LOG)
    log.touch()
    before = log.stat().st_mode
    log.chmod(0o644)
    try:
        assert check(node)[1]["log"]["remedy"] == f"chmod 0640 {LOG}"
    finally:
        log.chmod(before)
