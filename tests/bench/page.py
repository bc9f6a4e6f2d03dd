"""The results of all measurements, each of its last run, as one table: build/bench.rst."""
from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path

from tests.bench.measure import Row

ROOT = Path(__file__).resolve().parents[2]
KEPT, PAGE = ROOT / "build/bench", ROOT / "build/bench.rst"
HEAD = """\
=====
Bench
=====

What it costs to watch guests, how soon a failure is reported, and what others notice of it: ``make bench``, or only
some of it, ``make bench ARGS="hangs harm"``. All of it takes 40 minutes and 12 GiB of memory. It fails if a promise
is missed. This page is a copy of ``build/bench.rst``, which every run writes anew.

The guests are real ones, each with its own QEMU and agent, restored from the image of one, ``tests/harness/fleet.py``.
A hang is a vCPU halted with interrupts off. Times run from the moment at which the first guest is told to hang, or from
libvirt's event as another client hears it, to the arrival of the POST. The helper has its defaults, but reports what
the breaker would hold and has room for all recoveries. The peer is masakari-monitors 22.0.0 from PyPI,
``masakari-introspectiveinstancemonitor`` with the same interval and timeout and its threshold of 3. The bare loop makes
the libvirt calls that the helper's questions take, from as many threads, and does nothing else. "Beside nobody" is the
same guests hung with neither running. Health checks are made of a hundred guests on paper, in logical time: three of
each, two programs and a measure of the agent's, and every call of one counts as a question. The numbers of one
measurement are of one run.
"""


def keep(name: str, rows: Sequence[Row], host: str) -> None:
    """Put the results of a measurement in the place of those of its last run. host: see machine.describe."""
    KEPT.mkdir(parents=True, exist_ok=True)
    said = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    when = datetime.now(timezone.utc).isoformat(" ", "minutes")[:16]
    load = f"{os.getloadavg()[1]:.1f}"
    document = {"revision": said.stdout.strip() or "unknown", "when": when, "host": host, "load": load, "rows": rows}
    (KEPT / f"{name}.json").write_text(json.dumps(document, indent=1))


def write(names: Iterable[str]) -> None:
    """The page, with the measurements in this order."""
    found = [(name, json.loads((KEPT / f"{name}.json").read_text())) for name in names
             if (KEPT / f"{name}.json").exists()]
    if not found:
        return
    rows = [Row(*row) for _, result in found for row in result["rows"]]
    host = max(found, key=lambda it: it[1]["when"])[1]["host"]
    runs = [("measurement", "revision", "when (UTC)", "load"),
            *((name, it["revision"], it["when"], it["load"]) for name, it in found)]
    indented = "\n".join("    " + line for line in host.splitlines())
    PAGE.write_text("\n\n".join((
        f"{HEAD}\nThe machine, with software emulation (TCG)::", indented, table(rows),
        "When each was measured, and the machine's load average over 5 minutes at its end:", _grid(runs))) + "\n")


def table(rows: Iterable[Row]) -> str:
    return _grid([("what", "measured", "promised", "kept"),
                  *((row.what, row.shown, row.promised, row.judged) for row in rows)])


def _grid(cells: Sequence[Sequence[str]]) -> str:
    """A simple table of reStructuredText. The first line is the heading."""
    widths = [max(map(len, column)) for column in zip(*cells)]
    rule = " ".join("=" * width for width in widths)
    head, *body = [" ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip() for line in cells]
    return "\n".join([rule, head, rule, *body, rule])
