"""The page on health checks: what it shows can be configured as it stands there, and all that there is, is in it."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from heartbeat import configuration
from heartbeat.health import freshness, measures, options, program, replies
from heartbeat.health.definition import KINDS
from heartbeat.health.progress import Status
from heartbeat.health.statement import of_file, of_output
from heartbeat.settings import example
from heartbeat.terms import CHECKS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/health-checks.rst").read_text()
WORDS = " ".join(PAGE.split())
BLOCKS = [textwrap.dedent(found) for found in re.findall(r"::\n\n((?:(?: {4}[^\n]*)?\n)+)", PAGE)]
SAMPLES = [block for block in BLOCKS if block.startswith("[")]


@pytest.mark.parametrize("text", [*SAMPLES, example()], ids=lambda text: text.partition("\n")[0])
def test_a_section_in_the_page_can_be_taken_as_it_stands_there(text, tmp_path):
    path = tmp_path / "masakari-qga.conf"
    path.write_text(text)
    assert len(configuration.load(str(path)).checks) == len(re.findall(r"^\[check ", text, re.M))


def test_there_is_a_section_of_each_kind_in_the_page(tmp_path):
    path = tmp_path / "masakari-qga.conf"
    path.write_text("".join(SAMPLES))
    checks = configuration.load(str(path)).checks
    assert {check.kind for check in checks} == set(KINDS)
    words = {re.split(r"[/\\]", word)[-1] for check in checks for word in check.command}
    assert {it.name for it in (ROOT / "docs/health-checks").iterdir()} <= words


def test_every_kind_measure_and_status_is_explained():
    for word in (*KINDS, *measures.MEASURES, *(status.value for status in Status)):
        assert f"``{word}``" in PAGE, word


def test_every_exit_code_has_the_status_of_the_table():
    table = dict(re.findall(r"^(\d) +``([a-z]+)``", PAGE, re.M))
    assert {int(code): word for code, word in table.items()} == {
        code: status.value for code, status in program._BY_EXIT.items()
    }


def test_what_an_agent_has_to_allow_is_named():
    asked = [*program.COMMANDS, *freshness.COMMANDS, *(it for m in measures.MEASURES.values() for it in m.commands)]
    for command in {*asked} - {"guest-sync", "guest-info"}:
        assert f"``{command}``" in PAGE, command


def test_the_bounds_in_the_page_are_those_of_the_code():
    assert f"at most {options.NAME_LENGTH} lower-case letters, digits and hyphens" in WORDS
    assert f"there may be {options.MOST} checks" in WORDS
    assert f"{replies.SHOWN} characters" in WORDS
    assert f"at most {replies.LOOKED_AT * 3 // 4} bytes" in WORDS  # it comes in base64
    assert freshness.AHEAD == 60
    assert "from the future by more than a minute" in WORDS


def test_documents_as_the_page_shows_them_are_understood():
    line, document = next(block for block in BLOCKS if block.startswith("healthy ")).splitlines()[:2]
    assert of_file(line) == of_file(document) == ("healthy", 1789000000, "3 workers, 12 jobs")
    for shown in re.findall(r"``(\{.*?\})``", WORDS):
        assert of_output(shown).text
    assert of_output('{"status": "reset-me", "text": "the pool is lost"}').status == Status.RESET.value
    assert '``{"status": "reset-me", "text": "the pool is lost"}``' in PAGE


def test_the_key_that_asks_for_checks_is_on_both_pages_and_the_page_is_named_where_one_looks_first():
    assert f"--property {CHECKS}=web,disks" in PAGE
    assert f"``{CHECKS}``" in (ROOT / "docs/opt-in.rst").read_text()
    for page in ("README.rst", "docs/operating.rst", "docs/opt-in.rst"):
        assert "health-checks.rst" in (ROOT / page).read_text()
