"""The page on scenarios: each of the forty is on it once, with a test that there is and that says so."""

from __future__ import annotations

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs/scenarios.rst"
ROW = re.compile(r"^   \* - (\d+)\n(?:     .*\n)*?     - ``(test_\w+)``$", re.MULTILINE)


def rows() -> list[tuple[int, str]]:
    return [(int(number), test) for number, test in ROW.findall(PAGE.read_text(encoding="utf-8"))]


def numbered() -> dict[str, int]:
    """The tests whose docstring begins with a scenario's number."""
    found = {}
    for path in HERE.glob("test_scenarios_*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            match = isinstance(node, ast.FunctionDef) and re.match(r"Scenario (\d+): ", ast.get_docstring(node) or "")
            if match:
                assert node.name not in found
                found[node.name] = int(match[1])
    return found


def test_each_of_the_forty_scenarios_is_on_the_page_once():
    assert [number for number, _ in rows()] == list(range(1, 41))


def test_each_scenario_has_the_test_that_the_page_names():
    assert {test: number for number, test in rows()} == numbered()


def test_every_row_has_its_five_cells():
    text = PAGE.read_text(encoding="utf-8")
    for row in text.split("   * - ")[1:]:
        assert len(re.findall(r"^     - \S", row, re.MULTILINE)) == 4, row
