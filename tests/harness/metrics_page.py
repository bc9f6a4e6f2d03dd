"""The table in docs/metrics.rst, made from the table of metrics: python3 -m tests.harness.metrics_page. And what the
dashboard beside it asks for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from heartbeat.metrics.table import FAMILIES, Family, slug

PATH = Path(__file__).resolve().parents[2] / "docs/metrics.rst"
HEAD = """.. list-table::
   :header-rows: 1

   * - Metric
     - Type
     - Labels
     - Meaning
"""


def table() -> str:
    cells = [(f"``{it.full}``", it.kind, _labels(it), it.help) for it in FAMILIES]
    return HEAD + "".join("   * - " + "\n     - ".join(row).replace("- \n", "-\n") + "\n" for row in cells)


def _labels(family: Family) -> str:
    found = {name: ", ".join(map(slug, words)) for name, words in family.labels.items()}
    return "; ".join(f"``{name}``" + (f" ({words})" if words else "") for name, words in found.items())


def page(text: str) -> str:
    """The page with its table made anew."""
    return re.sub(r"(?s)(?<=\n\.\. begin\n).*?(?=\.\. end\n)", lambda _: f"\n{table()}\n", text)


def dashboard() -> dict[str, Any]:
    return dict(json.loads((PATH.parent / "metrics/dashboard.json").read_text()))


def queries() -> Iterator[tuple[str, str]]:
    """Title of a panel, and each of its expressions, for all nodes and by the minute."""
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")


if __name__ == "__main__":
    PATH.write_text(page(PATH.read_text(encoding="utf-8")), encoding="utf-8")
