"""The manual pages name all that there is, and a formatter has nothing to say about them."""
from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from docs.man import pages, roff
from heartbeat import settings
from qga_ra import command, metadata
from qga_ra.parameters import TABLE

PAGES = pages.pages("2026-01-02")


def shown(page: str) -> str:
    """The text of a page as its reader sees it, without line breaks."""
    text = re.sub(r"(?m)^\.(SH|TP|IP|PP|RS|RE|nf|fi|br|nh|ad).*?( |$)", " ", PAGES[page])
    text = re.sub(r"\\f[BIR]|\\&", "", text).replace("\\-", "-").replace("\\e", "\\")
    return " ".join(text.split())


def test_every_command_and_its_options_are_in_the_operators_page():
    text = shown(pages.COMMAND)
    for name in ("status", "why", "incidents", "incidents show", "hold", "release", "show-config", "check", "probe"):
        assert f"masakari-qga {name}" in text
    for option in ("--json", "--watch [SECONDS]", "--for TIME", "--reason TEXT", "--guest GUEST", "--limit N",
                   "--config PATH", "--version", "--export FILE"):
        assert option in text
    with pytest.raises(SystemExit):
        command.parser().parse_args(["--help"])


def test_every_option_of_the_file_is_there_with_its_default_bounds_and_reason():
    whole = shown(pages.FILE)
    for option in (*settings.OPTIONS, *settings.CHECK_OPTIONS):
        section = f"{settings.CHECK} NAME" if option in settings.CHECK_OPTIONS else option.section
        text = whole.partition(f"SECTION [{section}]")[2]
        facts = f"{option.name} = {' '.join(option.reason.split())} Default: {option.text(option.default) or 'empty'}"
        assert facts in text, option.key
        if option.kind in ("integer", "seconds"):
            assert f"From {option.low:g} to {option.high:g}." in text.partition(facts)[2][:60], option.key
    for preset in settings.PRESETS.values():
        assert str(preset["budget.window"]) in whole


def test_every_parameter_action_and_attribute_of_the_agent_is_there():
    text = shown(pages.AGENT)
    for name, option in TABLE.items():
        assert f"{name} {' '.join(option.reason.split())} Default: {option.text(option.default) or 'empty'}" in text
    for action in metadata.ACTIONS:
        assert f"{action['name']} Suggested minimum timeout: {action['timeout']}." in text
    assert set(pages.ATTRIBUTES) == set(settings.ATTRIBUTES)
    for name in settings.ATTRIBUTES:
        assert f" {name} " in text


def test_no_secret_is_offered_as_a_parameter():
    assert not [option.key for option in settings.OPTIONS if option.secret and option.parameter]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.skipif(not shutil.which("man"), reason="man-db is not installed")
def test_a_formatter_has_nothing_to_say_about_a_page(page, tmp_path):
    path = tmp_path / page
    path.write_text(PAGES[page], encoding="ascii")
    ran = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(path)],
                         env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANROFFSEQ": "", "MANWIDTH": "80"},
                         capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_what_roff_would_take_for_its_own_is_shown_as_it_is():
    assert roff.plain(".so /etc/shadow\n'\\x--") == "\\&.so /etc/shadow\n\\&'\\ex\\-\\-"
    assert roff.paragraph("see **pcs**(8), *now*, at 3 * 4") == ".PP\nsee \\fBpcs\\fR(8), \\fInow\\fR, at 3 * 4\n"
