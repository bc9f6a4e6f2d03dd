"""docs/metrics.rst and what is shipped beside it say what the helper really exports, and what to do about it."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import heatmap, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models.common import GraphFieldConfig, TableFieldOptions
from grafana_foundation_sdk.models.dashboard import Dashboard

from heartbeat.metrics.table import COUNTER, FAMILIES, HISTOGRAM
from tests.harness.metrics_page import PATH, dashboard, page, queries

DIRECTORY = PATH.parent / "metrics"
FIELDS = ("expr", "severity", "summary", "description", "runbook")
# What a scrape or node_exporter adds, and what a histogram's series have.
LABELS = {"instance", "job"}
OTHERS = {"up", "process_resident_memory_bytes", "process_cpu_seconds_total", "ALERTS"}


def rules() -> dict[str, str]:
    """Name of an alert -> its rule, as text."""
    text = (DIRECTORY / "alerts.yml").read_text()
    _, *parts = re.split(r"\n +- alert: (\w+)\n", text)
    return dict(zip(parts[::2], parts[1::2]))


def promtool(*words: str, cwd: Path = DIRECTORY) -> None:
    done = subprocess.run(["promtool", *words], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout


def selectors(text: str) -> Iterator[tuple[str, set[str]]]:
    """Each metric that stands in an expression, with the labels that it is selected by."""
    for found in re.finditer(r"\b(masakari_qga_\w+|up|process_\w+|ALERTS)(?:\{([^}]*)\})?(?![\w(\"-])", text):
        yield found[1], set(re.findall(r"(\w+) *[=!]~?\"", found[2] or ""))


def known() -> dict[str, set[str]]:
    """Series -> labels."""
    series = {}
    for it in FAMILIES:
        names = [f"{it.full}{part}" for part in ("_bucket", "_sum", "_count")] if it.kind == HISTOGRAM else [it.full]
        series.update({name: LABELS | set(it.labels) | ({"le"} if it.kind == HISTOGRAM else set()) for name in names})
    return {**series, **{name: LABELS | {"alertname", "alertstate"} for name in OTHERS}}


def test_the_page_has_the_table_that_the_code_has():
    text = PATH.read_text(encoding="utf-8")
    assert text == page(text), "make it again: python3 -m tests.harness.metrics_page"


def test_every_metric_is_named_as_prometheus_wants_it_and_explained():
    for it in FAMILIES:
        assert re.fullmatch(r"[a-z][a-z_]*[a-z]", it.name)
        assert it.name.endswith("_total") == (it.kind == COUNTER), it.name
        assert it.kind != HISTOGRAM or it.name.endswith("_seconds"), it.name
        assert 20 < len(it.help) < 200, it.name
        assert it.help.endswith("."), it.name
    assert len({it.name for it in FAMILIES}) == len(FAMILIES)


def test_every_alert_has_a_severity_says_what_is_wrong_and_where_it_says_what_to_do():
    assert len(rules()) > 20
    for name, rule in rules().items():
        assert all(f"{field}:" in rule for field in FIELDS), name
        assert re.search(r"severity: (warning|critical)\}", rule), name
        assert f'runbook: "docs/metrics.rst, {name}"' in rule


def test_the_page_says_what_each_alert_asks_of_an_operator_and_of_no_other():
    asked = re.findall(r"^\*\*(MasakariQga\w+)\*\*\n((?:    .+\n)+)", PATH.read_text(), re.M)
    assert [name for name, _ in asked] == list(rules())
    assert all(len(text) > 100 for _, text in asked)


def test_promtool_takes_the_alerts():
    promtool("check", "rules", "alerts.yml")


def test_each_alert_fires_when_it_should_and_none_when_it_should_not():
    promtool("test", "rules", "alerts_test.yml")
    text = (DIRECTORY / "alerts_test.yml").read_text()
    fires = set(re.findall(r'alertname="(MasakariQga\w+)"', text))
    assert fires == set(rules())
    assert text.count("exp_samples: []") > len(fires)


def test_alerts_and_dashboard_ask_for_series_and_labels_that_exist():
    series = known()
    texts = [*((name, rule.partition("annotations:")[0]) for name, rule in rules().items()), *queries()]
    for where, text in texts:
        found = list(selectors(text))
        assert found, where
        for name, labels in found:
            assert name in series, f"{where}: {name}"
            assert labels <= series[name], f"{where}: {name} has no label {labels - series[name]}"


def test_the_dashboard_shows_every_metric():
    shown = {name for _, text in queries() for name, _ in selectors(text)}
    assert {it.full for it in FAMILIES} == {re.sub("_bucket$", "", name) for name in shown} - OTHERS


def test_prometheus_takes_every_expression_of_the_dashboard(tmp_path):
    assert not any("$" in text for _, text in queries())
    one = "".join(f"      - record: x\n        expr: >-\n          {text}\n" for _, text in queries())
    (tmp_path / "queries.yml").write_text(f"groups:\n  - name: all\n    rules:\n{one}")
    promtool("check", "rules", "queries.yml", cwd=tmp_path)


def lost(ours: object, theirs: object, path: str = "") -> Iterator[str]:
    """What of one document another does not have in the same place."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            yield from lost(value, theirs[key], f"{path}.{key}") if key in theirs else [f"{path}.{key}"]
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, (one, other) in enumerate(zip(ours, theirs)):
            yield from lost(one, other, f"{path}[{number}]")
    elif ours != theirs:
        yield path


def test_grafana_s_own_model_of_a_dashboard_knows_every_field_of_ours():
    ours = dashboard()
    theirs = json.loads(json.dumps(Dashboard.from_json(ours), cls=JSONEncoder))
    assert list(lost(ours, theirs)) == []
    ours["panels"][1]["fieldConfig"]["defaults"]["unti"] = "s"
    assert list(lost(ours, theirs)) == [".panels[1].fieldConfig.defaults.unti"]


def known_by(model: type, ours: dict) -> list[str]:
    """What a model of Grafana's does not know of a part of ours."""
    return list(lost(ours, json.loads(json.dumps(model.from_json(ours), cls=JSONEncoder))))  # type: ignore[attr-defined]


def test_each_kind_of_panel_takes_its_options_and_each_query_is_one_for_prometheus():
    kinds = {"timeseries": timeseries, "stat": stat, "table": table, "heatmap": heatmap,
             "state-timeline": statetimeline}  # fmt: skip
    for panel in dashboard()["panels"]:
        if panel["type"] == "row":
            continue
        kind = kinds[panel["type"]]
        assert known_by(kind.Options, panel["options"]) == [], panel["title"]
        custom = panel["fieldConfig"]["defaults"].get("custom", {})
        model = {timeseries: GraphFieldConfig, table: TableFieldOptions}.get(kind) or getattr(kind, "FieldConfig", None)
        assert known_by(model, custom) == [] if model else custom == {}, panel["title"]
        for target in panel["targets"]:
            assert known_by(prometheus.Dataquery, target) == [], panel["title"]


def test_the_panels_have_numbers_of_their_own_and_lie_side_by_side():
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: dict[tuple[int, int], str] = {}
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        for cell in ((x, y) for x in range(place["x"], place["x"] + place["w"])
                     for y in range(place["y"], place["y"] + place["h"])):  # fmt: skip
            assert taken.setdefault(cell, panel["title"]) == panel["title"]
