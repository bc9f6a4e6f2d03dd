"""The table of the bench: what is called met, and how it is written."""
from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from tests.bench import measure, page
from tests.bench.__main__ import ALONE, ON_A_NODE, WITH_A_FLEET, chosen
from tests.bench.measure import Row

NAMES = [*ALONE, *ON_A_NODE, *WITH_A_FLEET]


@pytest.mark.parametrize(("row", "judged"), [
    (Row("last report", 30.0, "s"), ""),
    (Row("last report", 30.0, "s", 30), "met"),
    (Row("last report", 30.1, "s", 30), "missed"),
    (Row("last report", float("inf"), "s", 30), "missed"),
    (Row("last report, not waited for any longer", 20.0, "s", 30, over=True), "missed"),
    (Row("times sooner", 10.0, "", 10, least=True), "met"),
    (Row("times sooner", 9.9, "", 10, least=True), "missed"),
    (Row("times sooner than one that never reported", 12.0, "", 10, least=True, over=True), "met"),
    (Row("reports about others", 0, "", 0), "met"),
    (Row("reports about others", 1, "", 0), "missed"),
])
def test_a_promise_is_met_or_missed(row, judged):
    assert row.judged == judged
    assert row.kept == (judged != "missed")


def test_what_was_not_waited_for_is_shown_as_more_than_the_limit():
    assert Row("last report, peer", 600.0, "s", over=True).shown == "> 600.00 s"


def test_results_of_several_runs_make_one_page_in_the_usual_order(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "KEPT", tmp_path / "bench")
    monkeypatch.setattr(page, "PAGE", tmp_path / "bench.rst")
    page.keep("harm", [Row("another client's XMLDesc", 0.38, "ms")], "machine  slow")
    page.keep("ends", [Row("QEMU killed", 0.5, "s", 1)], "machine  quick")
    page.keep("harm", [Row("another client's XMLDesc", 0.40, "ms")], "machine  quick")
    page.write(NAMES)
    text = (tmp_path / "bench.rst").read_text()
    assert text.index("QEMU killed") < text.index("another client's XMLDesc")
    assert "0.40 ms" in text
    assert "0.38 ms" not in text


def test_a_measurement_is_chosen_by_its_name_or_the_beginning_of_it():
    assert chosen(["hangs"], NAMES) == ["hangs-1", "hangs-5", "hangs-20", "hangs-50", "hangs-high"]
    assert chosen(["hangs-5"], NAMES) == ["hangs-5"]
    assert chosen([], NAMES) == NAMES
    assert chosen(["hang"], NAMES) == []


def test_cpu_that_a_child_took_counts_with_its_parent_s_while_it_runs_and_after():
    child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    before = measure.usage(os.getpid())
    try:
        until_taken(child.pid)
        during = measure.usage(os.getpid())
    finally:
        child.kill()
        child.wait()
    after = measure.usage(os.getpid())
    assert during.cpu - before.cpu > 0.1
    assert during.resident > measure.memory(os.getpid())[0]
    assert after.cpu - before.cpu > 0.1


def until_taken(pid: int, seconds: float = 0.2) -> None:
    while time.clock_gettime(~pid << 3 | 2) < seconds:
        time.sleep(0.01)
