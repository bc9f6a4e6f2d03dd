"""The tools that read or try the agent: pcs, crm_resource, ocf-tester, and a controller that has nothing to run it."""
from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from heartbeat import settings
from tests.harness.cluster import PATH
from tests.harness.node import AGENT, CONFIG, RESOURCE, RUN

PACKAGES = Path("/usr/lib/python3/dist-packages")


def test_ocf_tester_finds_the_agent_in_order(node):
    ran = node.run("ocf-tester", "-v", "-n", "qga-test", AGENT, OCF_ROOT="/usr/lib/ocf")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{AGENT} passed all tests" in ran.stdout
    assert "skipping" not in ran.stdout, "xmllint is missing"
    assert node.helpers() == []
    assert not (RUN / "control.sock").exists()


def test_ocf_tester_finds_it_in_order_with_every_parameter_given(node):
    given = {"config": CONFIG, "interval": "5", "timeout": "3", "backends": "attributes", "hostname": "c-1.example",
             "sensitivity": "low", "mode": "observe"}
    assert given.keys() == {"config", *settings.PARAMETERS}
    words = [word for name, value in given.items() for word in ("-o", f"{name}={value}")]
    ran = node.run("ocf-tester", "-v", "-n", "qga-test", *words, AGENT, OCF_ROOT="/usr/lib/ocf")
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_pcs_describes_every_parameter(node):
    described = node.run("pcs", "resource", "describe", "ocf:masakari:qga")
    assert described.returncode == 0, described.stderr
    assert described.stderr == ""
    for name in ("config", *settings.PARAMETERS):
        assert re.search(rf"^  {name}(:| |$)", described.stdout, re.M), name    # pcs 0.12 has no colon


def test_crm_resource_shows_the_meta_data(node):
    shown = node.run("crm_resource", "--show-metadata", "ocf:masakari:qga")
    assert shown.returncode == 0, shown.stderr
    root = ElementTree.fromstring(shown.stdout)
    assert (root.get("name"), root.findtext("version")) == ("qga", "1.1")
    interval = root.find("parameters/parameter[@name='interval']")
    assert (interval.get("reloadable"), interval.find("content").get("default")) == ("1", "10")


@pytest.mark.parametrize(("given", "why"), [
    ("interval=1", "parameter interval = '1': out of range; give 2 to 300 s"),
    ("interval=often", "parameter interval = 'often': not a number; give 2 to 300 s"),
    ("backends=pager", "parameter backends = 'pager': unknown; did you mean vitrage? give a comma separated"),
    ("hostname=a b", "parameter hostname = 'a b': give at most 255 letters, digits, dots, hyphens and underscores"),
    ("config=qga.conf", "parameter config = 'qga.conf': give an absolute path"),
])
def test_pcs_refuses_a_wrong_value_with_our_reason(node, given, why):
    ran = node.run("pcs", "resource", "create", RESOURCE, "ocf:masakari:qga", given, "--agent-validation", "clone")
    assert ran.returncode != 0
    assert why in ran.stderr
    assert node.cluster.resources() == []


def test_pcs_takes_a_good_value_and_the_helper_works_with_it(node):
    node.cluster.pcs("resource", "create", RESOURCE, "ocf:masakari:qga", "interval=7", "hostname=c-1",
                     "--agent-validation", "clone", "--wait=60")
    try:
        assert node.status()["hostname"] == "c-1"
        words = Path(f"/proc/{node.helper()}/cmdline").read_bytes().decode().split("\0")
        assert {"interval=7", "hostname=c-1"} <= set(words)
        assert words[words.index("--node") + 1] == node.cluster.node
    finally:
        node.discard()


def test_pcs_validates_a_resource_on_a_node_that_could_not_run_it(node):
    """A controller: no configuration file, no libvirt. Level 0 looks at no host."""
    good = CONFIG.read_bytes()
    CONFIG.unlink()
    node.libvirtd.stop()
    try:
        ran = node.run("crm_resource", "--validate", "--class", "ocf", "--provider", "masakari", "--agent", "qga",
                       "--option", "interval=5")
        assert ran.returncode == 0, ran.stdout + ran.stderr
    finally:
        node.libvirtd.start()
        CONFIG.write_bytes(good)
        CONFIG.chmod(0o640)


def test_the_meta_data_needs_nothing_but_python(tmp_path):
    """As on a controller, where none of our dependencies is installed: not one of Debian's Python packages is there."""
    hidden = "! /usr/bin/python3 -Ic 'import libvirt' 2>/dev/null"
    line = f"mount --bind {tmp_path} {PACKAGES} && {hidden} && exec env -i {AGENT} meta-data"
    ran = subprocess.run(["unshare", "--mount", "sh", "-c", line], env=PATH, stdin=subprocess.DEVNULL,
                         capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ElementTree.fromstring(ran.stdout).get("name") == "qga"


def test_a_start_without_a_module_that_we_need_says_which_one(node, tmp_path):
    line = f"mount --bind {tmp_path} {PACKAGES} && exec {AGENT} start"
    ran = node.run("unshare", "--mount", "sh", "-c", line, OCF_ROOT="/usr/lib/ocf", OCF_RESOURCE_INSTANCE="qga")
    assert ran.returncode == 5, ran.stderr
    why = "ocf-exit-reason:python module (libvirt|requests) cannot be loaded; install the package that has it"
    assert re.fullmatch(why, ran.stderr.strip())
    assert node.helpers() == []


def test_nothing_of_the_package_is_importable_by_others():
    """`heartbeat` and `ocf` are names too general to claim."""
    code = "import importlib.util as u; print([n for n in ('heartbeat', 'qga_ra', 'ocf') if u.find_spec(n)])"
    ran = subprocess.run(["/usr/bin/python3", "-Ic", code], env=PATH, capture_output=True, text=True, cwd="/")
    assert ran.stdout == "[]\n"
    assert os.access(AGENT, os.X_OK)
