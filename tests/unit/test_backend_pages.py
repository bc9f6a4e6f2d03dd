"""What we ship beside the code says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from heartbeat import plugins
from heartbeat.backends import Report
from heartbeat.backends.command import variables
from heartbeat.backends.mistral import execution
from heartbeat.backends.vitrage import alarm
from heartbeat.incident import HUNG
from heartbeat.settings import BY_KEY, VERDICTS

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs/backends"
REPORT = Report(
    7, "25efc0bf-1659-4c83-b4e6-4e0e6d0f0b01", HUNG, "2026-11-20T05:00:00+00:00", "compute1", False, kind="cleared",
)  # fmt: skip


def test_every_backend_has_a_page_that_the_readme_names():
    readme = (ROOT / "README.rst").read_text()
    for name in plugins.OURS:
        assert (PAGES / f"{name}.rst").exists()
        assert f"<docs/backends/{name}.rst>" in readme


def test_every_verdict_is_in_the_mapping_for_vitrage():
    mapped = re.findall(r"alertname: (\w+)\}", (PAGES / "vitrage_prometheus.yaml").read_text())
    assert mapped == [alarm(verdict) for verdict, *_ in VERDICTS]


def test_the_example_workflow_takes_what_we_give():
    text = (PAGES / "mistral_workflow.yaml").read_text()
    inputs = re.search(r"  input:\n((?:    - .*\n)+)", text)[1]
    given = execution(REPORT, "masakari_qga")
    assert re.findall(r"- (\w+)", inputs) == list(given["input"])
    assert f"\n{given['workflow_name']}:\n" in text
    assert BY_KEY["mistral.workflow"].default == given["workflow_name"]


def test_every_variable_of_the_command_is_on_its_page():
    page = (PAGES / "command.rst").read_text()
    assert [name for name in variables(REPORT) if name not in page] == []
