"""A real Prometheus scrapes a real helper while one of its guests hangs: the series follow what happens."""
from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from tests.harness.metrics_page import queries
from tests.harness.prometheus import Prometheus, exported, free_port
from tests.harness.wait import until

# Panels that show nothing, since nothing of the kind has happened or is switched on.
OF_OTHERS = {"Recoveries that mode observe did not ask for", "Guests held, by reason", "Recoveries in flight",
             "Points of local health", "Health checks, by status", "Nova answers", "Evidence bundles on disk",
             "Bytes of evidence", "Evidence captured", "Starts of the helper"}


@pytest.fixture
def scraped(new_ward, tmp_path):
    """Two sound guests, and a Prometheus; metrics were switched on while the helper ran."""
    ward = new_ward()
    ward.boot("sound", "hangs")
    ward.watch()
    listen = f"127.0.0.1:{free_port()}"
    ward.reset(metrics={"listen": listen, "textfile": tmp_path / "qga.prom"})
    with Prometheus(tmp_path / "prometheus", listen) as prometheus:
        yield ward, prometheus


def threads(pid: int) -> list[str]:
    return [it.read_text().strip() for it in Path(f"/proc/{pid}/task").glob("*/comm")]


def test_the_series_follow_a_guest_that_hangs_is_reported_late_and_comes_back(scraped, tmp_path):
    ward, prometheus = scraped
    hangs = ward["hangs"].uuid
    prometheus.wait('up{job="masakari-qga"}', 1)
    prometheus.wait('masakari_qga_guests{state="healthy"}', 2)
    assert prometheus.value("masakari_qga_guests_watched") == 2
    assert prometheus.value("masakari_qga_up") == 1
    assert prometheus.value("masakari_qga_libvirt_connected") == 1
    assert prometheus.value("masakari_qga_fit_to_judge") == 1
    assert 0 < prometheus.value("masakari_qga_libvirt_answer_seconds") < 5
    assert prometheus.value("process_resident_memory_bytes") > 10e6
    answers = prometheus.value('masakari_qga_answers_total{class="alive"}')
    until(lambda: prometheus.value('masakari_qga_answers_total{class="alive"}') >= answers + 4, "more answers")
    until(lambda: prometheus.ask("rate(masakari_qga_answer_seconds_bucket[1m])"), "the rate of answers")
    assert 0 < prometheus.value("histogram_quantile(0.5, sum by (le) (masakari_qga_answer_seconds_bucket))") < 1
    assert prometheus.ask("ALERTS") == []

    ward.endpoint.refuse()
    ward["hangs"].halt()
    prometheus.wait('masakari_qga_guests{state="hung"}', 1, 90)
    assert prometheus.value('max_over_time(masakari_qga_guests{state="suspect"}[5m])') == 1
    assert prometheus.value("masakari_qga_suspicions_total") >= 1
    assert prometheus.value('masakari_qga_answers_total{class="silent"}') >= 1
    prometheus.wait(f'masakari_qga_guest_failed{{uuid="{hangs}", verdict="hung", action="recover"}}', 1)
    assert prometheus.value('increase(masakari_qga_verdicts_total{verdict="hung", action="recover"}[5m])') > 0
    prometheus.wait('masakari_qga_deliveries_pending{backend="masakari"}', 1)
    prometheus.wait('masakari_qga_backend_trouble{backend="masakari"}', 1)
    until(lambda: prometheus.value('masakari_qga_oldest_undelivered_seconds{backend="masakari"}') > 3, "its age")
    until(lambda: prometheus.value('masakari_qga_deliveries_total{backend="masakari", result="failed"}'), "an attempt")
    pending = f'ALERTS{{alertname="MasakariQgaGuestFailed", uuid="{hangs}", alertstate="pending"}}'
    prometheus.wait(pending, 1)
    empty = {title for title, query in queries() if not prometheus.ask(query)}
    assert empty <= OF_OTHERS, "all other panels of the dashboard show something"

    ward.endpoint.open()
    prometheus.wait('masakari_qga_deliveries_total{backend="masakari", result="delivered"}', 1)
    prometheus.wait('masakari_qga_oldest_undelivered_seconds{backend="masakari"}', 0)
    prometheus.wait("masakari_qga_recoveries_in_flight", 1)
    ward["hangs"].domain.reset()
    prometheus.wait('masakari_qga_guests{state="healthy"}', 2, 90)
    prometheus.wait(f'masakari_qga_guest_failed{{uuid="{hangs}"}}', None)
    prometheus.wait("masakari_qga_recoveries_in_flight", 0)
    prometheus.wait(pending, None)
    assert prometheus.value("masakari_qga_ledger_incidents") == 1
    assert prometheus.value("masakari_qga_ledger_size_bytes") > 4096

    text = until((tmp_path / "qga.prom").read_text, "the file", despite=(FileNotFoundError,))
    subprocess.run(["promtool", "check", "metrics"], input=text, text=True, check=True)
    told, log = exported(tmp_path)
    assert {"node_textfile_scrape_error 0", "masakari_qga_up 1"} <= {*told.splitlines()}
    assert "process_open_fds" in told, "node_exporter's own"
    assert "level=error" not in log
    stored = prometheus.ask('{__name__=~"masakari_qga_.*"}')
    assert ward["hangs"].name not in str(stored)


def test_a_helper_that_stands_still_is_down_and_was_late_and_one_that_is_told_to_serves_no_more(scraped, tmp_path):
    ward, prometheus = scraped
    prometheus.wait('up{job="masakari-qga"}', 1)
    prometheus.wait('masakari_qga_guests{state="healthy"}', 2)
    ward.helper.signal(signal.SIGSTOP)
    prometheus.wait('up{job="masakari-qga"}', 0)
    prometheus.wait('ALERTS{alertname="MasakariQgaDown", alertstate="pending"}', 1)
    ward.helper.signal(signal.SIGCONT)
    prometheus.wait('up{job="masakari-qga"}', 1)
    until(lambda: prometheus.value("masakari_qga_loop_lateness_seconds_sum") > 1, "the lateness")
    assert prometheus.value('masakari_qga_guests{state="healthy"}') == 2

    until((tmp_path / "qga.prom").exists, "the file")
    before = len(threads(ward.helper.pid))
    ward.reset(metrics={"listen": "", "textfile": ""})
    prometheus.wait('up{job="masakari-qga"}', 0)
    assert not (tmp_path / "qga.prom").exists()
    until(lambda: len(threads(ward.helper.pid)) <= before - 2, "its two threads to end")
    assert ward.helper.status()["state"] == "ok"
