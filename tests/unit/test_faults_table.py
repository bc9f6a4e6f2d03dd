"""The page on faults names tests: all of them are there."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
PAGE = TESTS.parent / "docs/faults.rst"


def test_every_test_that_the_page_names_is_there():
    named = re.findall(r"``(test_\w+)``", PAGE.read_text(encoding="utf-8"))
    there = {
        name
        for path in TESTS.rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert len(named) > 100
    assert sorted(set(named) - there) == []
