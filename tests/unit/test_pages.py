"""The operator's pages: what becomes of each command is said, and what the code has is in them."""
from __future__ import annotations

import pytest

from heartbeat import configuration, inherited, settings
from heartbeat.settings import VERDICTS
from tests.harness.pages import CONFIGURATION, HERE, NOT_RUN, PAGES, RUN, blocks


def words(page: str) -> str:
    return " ".join((HERE / f"docs/{page}.rst").read_text().split())


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_whether_a_test_runs_it_or_why_not(page):
    found = blocks(page)
    assert found
    for block in found:
        fate, _, reason = block.fate.partition(":")
        assert fate in (RUN, CONFIGURATION) or (fate == NOT_RUN and reason), f"docs/{page}.rst line {block.line}"
    assert len(found) == (HERE / f"docs/{page}.rst").read_text().count("\n::\n")


def test_a_configuration_in_a_page_is_one_that_is_taken(tmp_path):
    given = [block.text for page in PAGES for block in blocks(page) if block.fate == CONFIGURATION]
    assert given
    for text in given:
        path = tmp_path / "masakari-qga.conf"
        path.write_text(text)
        path.chmod(0o640)
        assert configuration.load(str(path)).text("masakari.username")


def test_every_option_of_the_old_monitor_that_is_translated_is_in_the_table():
    page = words("migrating")
    for key, names in inherited.NAMES.items():
        for name in names:
            assert f"``{name}``" in page
        option = settings.BY_KEY[key]
        assert f"``{option.name}`` ({option.default} {option.unit})" in page
    for name in inherited.NOT_NEEDED:
        assert f"``{name}``" in page
    assert f"{inherited.SECONDS_PER_SILENT_QUESTION} s for each failure" in page


def test_every_verdict_and_attribute_says_what_it_asks_of_an_operator():
    page = words("operating")
    for name, _, _ in VERDICTS:
        assert f"``{name}``" in page
    for name in (*settings.ATTRIBUTES, settings.HEALTH):
        assert f"``{name}``" in page


def test_every_preset_is_explained_with_its_own_times():
    page = words("operating")
    for word, preset in settings.PRESETS.items():
        explained = page.partition(f"``{word}``")[2][:120]
        assert f"every {preset['watch.interval']} s" in explained, word
        assert f"hung after {preset['watch.silence']} s" in explained, word
