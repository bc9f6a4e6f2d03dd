"""Metrics of an installed helper, which is not root: what it may not write is told, and the remedy works."""
from __future__ import annotations

import json
import shlex
import shutil
import stat
import urllib.request
from pathlib import Path

import pytest

from tests.harness.cell import USER
from tests.harness.prometheus import free_port
from tests.harness.wait import until

DIRECTORY = Path("/run/exporter")
FILE = DIRECTORY / "qga.prom"
WHY = f"user {USER} may not write {DIRECTORY}"


@pytest.fixture
def listen(node):
    """Started by hand, with metrics in both ways. The directory is root's, as a package leaves it."""
    DIRECTORY.mkdir(mode=0o755)
    listen = f"127.0.0.1:{free_port()}"
    node.configure(metrics={"listen": listen, "textfile": FILE})
    started = node.agent("start")
    assert started.returncode == 0, started.stderr
    yield listen
    assert node.agent("stop").returncode == 0
    shutil.rmtree(DIRECTORY)


def found(node) -> list[tuple[str, str, str]]:
    """What `masakari-qga check` says of metrics."""
    said = json.loads(node.command("check", "--json").stdout)["findings"]
    return [(it["level"], it["text"], it["remedy"]) for it in said if it["step"] == "metrics"]


def get(listen: str) -> str:
    with urllib.request.urlopen(f"http://{listen}/", timeout=30) as answer:
        return answer.read().decode()


def test_a_directory_of_root_s_is_told_in_state_log_and_check_and_the_remedy_brings_the_file(node, listen):
    remedy = f"setfacl -m u:{USER}:rwx {DIRECTORY}"
    node.wait_attribute("qga-state", f"metrics.textfile: {WHY}: {remedy}")
    assert f"WARNING metrics.textfile = {FILE}: {WHY}: {remedy}" in node.log()
    assert f"metrics.textfile: {WHY}" in node.table()
    assert found(node) == [("ok", f"metrics are served at http://{listen}/metrics", ""),
                           ("warning", f"metrics.textfile is not written: {WHY}", remedy)]
    assert node.run(*shlex.split(found(node)[1][2])).returncode == 0
    until(FILE.exists, "the file, at the next attempt", 90)
    node.wait_attribute("qga-state", "ok")
    assert (FILE.owner(), stat.S_IMODE(FILE.stat().st_mode)) == (USER, 0o644)
    assert [level for level, _, _ in found(node)] == ["ok", "ok"]
    assert node.agent("stop").returncode == 0
    assert not FILE.exists()


def test_the_process_metrics_are_there_though_its_user_may_not_look_at_it(node, listen):
    text = until(lambda: get(listen), "metrics", despite=(OSError,))
    told = {line.split()[0] for line in text.splitlines() if not line.startswith("#")}
    assert told >= {"masakari_qga_up", "process_open_fds", "process_resident_memory_bytes", "process_cpu_seconds_total"}


def test_a_reload_moves_the_port_and_takes_the_file_away(node, listen):
    until(lambda: get(listen), "metrics", despite=(OSError,))
    other = f"127.0.0.1:{free_port()}"
    node.configure(metrics={"listen": other})
    assert node.agent("reload-agent").returncode == 0
    until(lambda: get(other), "metrics at the new port", despite=(OSError,))
    with pytest.raises(OSError, match="refused"):
        get(listen)
    node.wait_attribute("qga-state", "ok")
