"""Metrics as they leave the helper: over HTTP, as a file, or not at all, and what is said of it."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client.parser import text_string_to_metric_families

from heartbeat import configuration, settings
from heartbeat.figures import Bundles, Owed, Volume
from heartbeat.holds import Hold
from heartbeat.incident import ACTIONS, Incident
from heartbeat.inspection import metrics as inspection
from heartbeat.inspection.finding import OK, WARNING
from heartbeat.metrics import Metrics, outlet, places
from heartbeat.metrics.table import FAMILIES, STATE
from heartbeat.probe import Answer
from heartbeat.snapshot import Books, Loop, Snapshot
from heartbeat.tally import Tally
from heartbeat.watch import HEALTHY, VERDICTS, Watch
from tests.harness.observations import guest
from tests.harness.wait import until

NOW = "2026-11-20T05:10:00.000000+00:00"
UUID = "25efc0bf-1659-4c83-b4e6-4e0e6d0f0b01"


def loop(**about: object) -> Loop:
    watches = (
        Watch(guest(uuid=UUID), "i1", 0.0, 0.0, HEALTHY), Watch(guest(uuid="b"), "i1", 0.0, 0.0, "hung"),
        Watch(guest(uuid="c"), "i1", 0.0, 0.0, "paused", holds=(Hold("crash dump", "", 0, 9), Hold("job", "", 0, 9))),
    )  # fmt: skip
    usual = Loop(watches, (), 2, 7, 1, 3, True, False, False, True, 0.0015, True, False, ACTIONS, None)
    return usual._replace(**about)


def snapshot(**about: object) -> Snapshot:
    incidents = [Incident(1, UUID, "vm<x>", "i1", "hung", "recover", NOW, "{}"),
                 Incident(2, "b", "vm", "i1", "agent-down", "record", NOW, "{}"),
                 Incident(3, "c", "vm", "i1", "panicked", "suspended", NOW, "{}")]  # fmt: skip
    books = Books(incidents, {"masakari": Owed(2, "2026-11-20T05:00:00.000000+00:00")}, 1, Volume(30, 40960))
    tally = Tally()
    tally.answered(Answer.ALIVE, 0.003)
    tally.answered(Answer.SILENT, 5.0)
    tally.opened("hung", "recover")
    tally.opened("panicked", "observed")
    tally.delivery("masakari", "failed")
    tally.late(0.02)
    usual = Snapshot(NOW, 1.5, 0.25, loop(), books, tally, {"masakari": True, "My_Own": False, "attributes": False},
                     ["d"])  # fmt: skip
    return usual._replace(**about)


def values(text: str) -> dict[str, float]:
    """Series, written as PromQL writes them, labels in order, without the prefix."""
    found = {}
    for family in text_string_to_metric_families(text):
        for it in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(it.labels.items()))
            found[it.name.replace("masakari_qga_", "") + (f"{{{labels}}}" if labels else "")] = it.value
    return found


@contextlib.contextmanager
def running(take, listen: str = "", textfile: str = ""):
    metrics = Metrics(take)
    metrics.configure(listen, textfile)
    try:
        yield metrics
    finally:
        metrics.stop()


def free_port(host: str = "127.0.0.1") -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as it:
        it.bind((host, 0))
        return int(it.getsockname()[1])


def get(listen: str, **headers: str) -> str:
    request = urllib.request.Request(f"http://{listen}/metrics", headers=headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return str(answer.read().decode())


def scraped(listen: str, **headers: str) -> str:
    return until(lambda: get(listen, **headers), f"metrics at {listen}", despite=(OSError,))


@pytest.fixture
def listen():
    return f"127.0.0.1:{free_port()}"


def exported(tmp_path, **about: object) -> str:
    path = tmp_path / "m.prom"
    with running(lambda: snapshot(**about), textfile=str(path)):
        return until(lambda: path.exists() and path.read_text(), "the file")


TOLD = {
    "up": 1, "start_time_seconds": 1.5, "loop_stalled_seconds": 0.25, "snapshot_timestamp_seconds": 1795151400,
    "guests{state=healthy}": 1, "guests{state=hung}": 1, "guests{state=suspect}": 0, "guests_watched": 2,
    "guests_held{reason=crash-dump}": 1, "guests_held{reason=job}": 1, "guests_held{reason=by-hand}": 0,
    "answers_total{class=alive}": 1, "answers_total{class=silent}": 1, "answers_total{class=not-connected}": 0,
    "answer_seconds_bucket{le=0.0025}": 0, "answer_seconds_bucket{le=0.005}": 1, "answer_seconds_bucket{le=+Inf}": 1,
    "answer_seconds_count": 1, "answer_seconds_sum": 0.003, "loop_lateness_seconds_count": 1, "suspicions_total": 7,
    "verdicts_total{action=recover,verdict=hung}": 1, "verdicts_total{action=recover,verdict=qemu-died}": 0,
    "verdicts_total{action=observed,verdict=panicked}": 1, "observed_recoveries_total{verdict=panicked}": 1,
    "observed_recoveries_total{verdict=hung}": 0, "incidents_open{action=record,verdict=agent-down}": 1,
    f"guest_failed{{action=recover,uuid={UUID},verdict=hung}}": 1,
    "guest_failed{action=suspended,uuid=c,verdict=panicked}": 1,
    "guests_needing_human{reason=suspended}": 1, "guests_needing_human{reason=unrecovered}": 1,
    "deliveries_total{backend=masakari,result=failed}": 1, "deliveries_total{backend=My_Own,result=delivered}": 0,
    "deliveries_pending{backend=masakari}": 2, "deliveries_pending{backend=My_Own}": 0,
    "oldest_undelivered_seconds{backend=masakari}": 600, "oldest_undelivered_seconds{backend=My_Own}": 0,
    "backend_trouble{backend=masakari}": 1, "backend_trouble{backend=attributes}": 0, "recoveries_in_flight": 1,
    "questions_in_flight": 1, "local_health_points": 3, "fit_to_judge": 1, "breaker_open": 0, "node_held": 0,
    "observe_mode": 0, "libvirt_connected": 1, "libvirt_answer_seconds": 0.0015, "ledger_readable": 1,
    "ledger_writable": 1, "ledger_size_bytes": 40960, "ledger_incidents": 30,
}


def test_a_snapshot_is_told_in_full(tmp_path):
    found = values(exported(tmp_path))
    assert {name: found.get(name) for name in TOLD} == TOLD
    assert "guest_failed{action=record,uuid=b,verdict=agent-down}" not in found
    assert "deliveries_pending{backend=attributes}" not in found


def test_no_series_holds_a_guest_s_name(tmp_path):
    assert "vm" not in exported(tmp_path)


def test_what_is_switched_off_in_the_helper_has_no_series(tmp_path):
    names = {name.partition("{")[0] for name in values(exported(tmp_path))}
    assert names.isdisjoint({"nova_answering", "health_checks", "evidence_bundles", "evidence_captures_total"})
    more = snapshot(loop=loop(nova=False), checks={"healthy": 3, "cannot check": 1},
                    bundles=Bundles(2, 4096, {"complete": 2}))  # fmt: skip
    path = tmp_path / "more.prom"
    with running(lambda: more, textfile=str(path)):
        found = values(until(lambda: path.exists() and path.read_text(), "the file"))
    assert {name: found.get(name) for name in (
        "nova_answering", "health_checks{status=healthy}", "health_checks{status=cannot-check}", "evidence_bundles",
        "evidence_size_bytes", "evidence_captures_total{result=complete}")} == {
        "nova_answering": 0, "health_checks{status=healthy}": 3, "health_checks{status=cannot-check}": 1,
        "evidence_bundles": 2, "evidence_size_bytes": 4096, "evidence_captures_total{result=complete}": 2}  # fmt: skip


def test_a_stuck_loop_and_a_ledger_that_cannot_be_read_are_told_and_nothing_is_told_as_0_instead(tmp_path):
    found = values(exported(tmp_path, loop=None, books=None))
    assert (found["up"], found["ledger_readable"], found["loop_stalled_seconds"]) == (0, 0, 0.25)
    names = {name.partition("{")[0] for name in found}
    assert names.isdisjoint({"guests", "guests_watched", "guests_held", "fit_to_judge", "ledger_writable",
                             "guest_failed", "ledger_size_bytes", "oldest_undelivered_seconds", "deliveries_pending",
                             "guests_needing_human", "incidents_open", "libvirt_connected"})  # fmt: skip
    assert found["answers_total{class=alive}"] == 1


def test_every_state_of_a_guest_is_among_those_that_are_told():
    assert set(STATE) > VERDICTS
    assert len(STATE) == len(set(STATE))


def test_promtool_finds_nothing_to_say_about_the_metrics(tmp_path):
    text = exported(tmp_path, loop=loop(nova=True), checks={"healthy": 1}, bundles=Bundles(1, 1, {"complete": 1}))
    told = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert told == {family.full for family in FAMILIES}
    done = subprocess.run(["promtool", "check", "metrics"], input=text, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "")


# Over HTTP.


def test_metrics_are_served_to_this_host_with_those_of_the_process(listen):
    with running(snapshot, listen) as metrics:
        found = values(scraped(listen))
        assert found["guests{state=healthy}"] == 1
        assert found["process_resident_memory_bytes"] > 1e6
        assert found["process_open_fds"] > 0
        assert "python_info" not in found
        assert metrics.trouble == ""
        assert get(listen, Accept="application/openmetrics-text; version=1.0.0").endswith("# EOF\n")
        names = get(f"{listen}/?name[]=masakari_qga_up&x=")
        assert values(names) == {"up": 1}


def test_metrics_are_served_on_the_other_loopback_too():
    listen = f"[::1]:{free_port('::1')}"
    with running(snapshot, listen):
        assert values(scraped(listen))["up"] == 1


def test_each_scrape_looks_anew(listen):
    taken = []

    def take() -> Snapshot:
        taken.append(1)
        return snapshot(stalled=float(len(taken)))

    with running(take, listen):
        first = values(scraped(listen))["loop_stalled_seconds"]
        assert values(get(listen))["loop_stalled_seconds"] == first + 1


def test_a_port_that_is_taken_is_told_with_the_remedy_and_tried_again(monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr(outlet, "RETRY", 0.05)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        with running(snapshot, listen) as metrics:
            until(lambda: metrics.trouble, "the trouble")
            assert metrics.trouble.startswith("metrics.listen: Address already in use, ss -ltnp tells who")
            other.close()
            assert values(scraped(listen))["up"] == 1
            until(lambda: not metrics.trouble, "the trouble to pass")
    said = [it.getMessage() for it in caplog.records if it.name == "heartbeat.metrics.outlet"]
    assert [line.partition(": ")[2][:12] for line in said] == ["Address alre", "works now"]


def test_a_client_that_says_nothing_is_cut_off_and_the_next_one_served(listen, monkeypatch):
    monkeypatch.setattr("heartbeat.metrics.server.CLIENT", 0.3)
    with running(snapshot, listen):
        scraped(listen)
        host, _, port = listen.rpartition(":")
        with socket.create_connection((host, int(port)), 20) as mute:
            mute.sendall(b"GET /metrics HTT")
            assert values(get(listen))["up"] == 1
            assert mute.recv(1) == b""


def test_who_asks_without_end_leaves_the_owner_loop_its_time(listen):
    from heartbeat.metrics import server

    served = server.Server(listen, snapshot)
    assert served.turn() == 0.0
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(get, listen)
        assert served.turn() == server.PAUSE > 0
        assert values(answer.result())["up"] == 1
    served.close()


def test_a_defect_in_a_snapshot_costs_the_scrape_and_not_the_server(listen, caplog):
    broken = [True]

    def take() -> Snapshot:
        if broken:
            raise ValueError("nonsense")
        return snapshot()

    with running(take, listen):
        until(lambda: places.listening(listen) != places.NOBODY, "the port")
        with pytest.raises(OSError, match="closed connection"):
            get(listen)
        broken.clear()
        assert values(get(listen))["up"] == 1
    assert any("ValueError('nonsense')" in it.getMessage() for it in caplog.records)


# As a file.


def test_the_file_is_for_everybody_to_read_whole_at_any_time_and_gone_in_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr("heartbeat.metrics.textfile.EVERY", 0.0)
    path, before = tmp_path / "m.prom", os.umask(0o077)
    try:
        with running(snapshot, textfile=str(path)) as metrics:
            until(path.exists, "the file")
            assert stat.S_IMODE(path.stat().st_mode) == 0o644
            inodes = set()
            for _ in range(200):
                text = path.read_text()
                inodes.add(path.stat().st_ino)
                assert text.endswith("\n")
                assert len(values(text)) > 100
            assert len(inodes) > 1
            assert metrics.trouble == ""
            assert "process_resident_memory_bytes" not in text  # node_exporter has one of its own
    finally:
        os.umask(before)
    assert list(tmp_path.iterdir()) == []


def test_a_link_that_lies_in_wait_where_the_new_file_is_made_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / ".m.prom.new").symlink_to(victim)
    assert "masakari_qga_up 1.0" in exported(tmp_path)
    assert victim.read_text() == "precious"


@pytest.mark.skipif(os.geteuid() != 0, reason="takes another user")
def test_a_directory_that_the_user_cannot_write_is_told_with_the_remedy():
    script = f"""
import os, sys
sys.path[:0] = {sys.path!r}
import heartbeat.metrics.textfile
from heartbeat.metrics import Metrics
from tests.unit.test_metrics import snapshot, until
os.setgid(65534); os.setuid(65534)
metrics = Metrics(snapshot)
metrics.configure("", "/usr/share/m.prom")
print(until(lambda: metrics.trouble, "the trouble"))
"""
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True)
    remedy = "setfacl -m u:nobody:rwx /usr/share"
    assert done.stdout == f"metrics.textfile: user nobody may not write /usr/share: {remedy}\n"


def test_a_directory_that_is_missing_is_told_and_taken_when_it_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr(outlet, "RETRY", 0.05)
    path = tmp_path / "later" / "m.prom"
    with running(snapshot, textfile=str(path)) as metrics:
        until(lambda: metrics.trouble, "the trouble")
        assert f"there is no directory {tmp_path}/later: make it" in metrics.trouble
        path.parent.mkdir()
        until(path.exists, "the file")
        until(lambda: not metrics.trouble, "the trouble to pass")


# Switched on, off and over.


def threads() -> set[str]:
    return {it.name for it in threading.enumerate() if it.name.startswith("metrics")}


def test_a_reload_moves_keeps_and_stops_them(tmp_path, listen):
    other, path = f"127.0.0.1:{free_port()}", tmp_path / "m.prom"
    with running(snapshot, listen) as metrics:
        scraped(listen)
        kept = next(it for it in threading.enumerate() if it.name == "metrics.listen")
        metrics.configure(listen, str(path))
        until(path.exists, "the file")
        assert kept.is_alive()
        metrics.configure(other, "")
        assert not kept.is_alive()
        assert places.listening(listen) == places.NOBODY
        assert not path.exists()
        assert values(scraped(other))["up"] == 1
        metrics.configure("", "")
        assert threads() == set()
        assert places.listening(other) == places.NOBODY
        assert (metrics.trouble, metrics._outlets) == ("", ())


def test_off_loads_nothing_and_without_the_library_it_is_told_which_package_brings_it(tmp_path, listen):
    script = f"""
import sys
sys.path[:0] = {sys.path!r}
from heartbeat import daemon
from heartbeat.metrics import Metrics
metrics = Metrics(None)
metrics.configure("", "")
heavy = ("prometheus_client", "http.server", "heartbeat.metrics.server")
assert not any(name.startswith(heavy) for name in sys.modules)
import threading
assert threading.active_count() == 1
sys.modules["prometheus_client"] = None
metrics.configure({listen!r}, {str(tmp_path / "m.prom")!r})
import time
while metrics.trouble.count("install") < 2: time.sleep(0.01)
print(metrics.trouble)
"""
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True, timeout=60)
    assert done.stdout.count("the Python module prometheus_client is missing: install python3-prometheus-client") == 2


@pytest.mark.parametrize(("option", "text", "why"), [
    ("metrics.listen", "0.0.0.0:9770", "give 127.0.0.1:PORT or [::1]:PORT"),
    ("metrics.listen", ":9770", "give 127.0.0.1:PORT"),
    ("metrics.listen", "9770", "give 127.0.0.1:PORT"),
    ("metrics.listen", "127.0.0.1", "give 127.0.0.1:PORT"),
    ("metrics.listen", "127.0.0.1:80", "from 1024 to 65535"),
    ("metrics.listen", "127.0.0.1:65536", "from 1024 to 65535"),
    ("metrics.listen", "::1:9770", "[::1]:PORT"),
    ("metrics.listen", "compute1:9770", "nothing that others can reach"),
    ("metrics.textfile", "m.prom", "absolute path"),
    ("metrics.textfile", "/var/lib/node-exporter/m.txt", "ends in .prom"),
    ("metrics.textfile", "/var/lib/node-exporter/.prom", "ends in .prom"),
])  # fmt: skip
def test_a_place_that_cannot_be_meant_is_refused_with_what_is_expected(option, text, why):
    with pytest.raises(settings.BadValue) as refused:
        settings.BY_KEY[option].parse(text)
    assert why in refused.value.why


# What `masakari-qga check` says.


def found(config, running: bool = True):
    return [(it.level, it.text, it.remedy) for it in inspection.look(config, running, inspection.obstacle(config))]


def config(tmp_path, listen: str = "", textfile: str = "") -> configuration.Configuration:
    path = tmp_path / "ours.conf"
    path.write_text(f"[metrics]\nlisten = {listen}\ntextfile = {textfile}\n[state]\nuser = root\n")
    path.chmod(0o640)
    return configuration.load(str(path))


def test_check_says_nothing_of_metrics_that_nobody_wants(tmp_path):
    assert found(config(tmp_path)) == []


def test_check_asks_the_port_and_looks_at_the_file(tmp_path, listen):
    wanted = config(tmp_path, listen, str(tmp_path / "m.prom"))
    free = found(wanted, running=False)
    assert [it[0] for it in free] == [OK, OK]
    assert [it[0] for it in found(wanted)] == [WARNING, WARNING]
    assert f"nobody answers at {listen}" in found(wanted)[0][1]
    with running(snapshot, listen, str(tmp_path / "m.prom")):
        scraped(listen)
        until((tmp_path / "m.prom").exists, "the file")
        assert [it[0] for it in found(wanted)] == [OK, OK]
        os.utime(tmp_path / "m.prom", (1, 1))
        assert [it[0] for it in found(wanted)] == [OK, WARNING]


def test_check_names_another_program_on_the_port_and_a_directory_that_is_missing(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()

        def refuse() -> None:
            other.accept()[0].close()

        threading.Thread(target=refuse, daemon=True).start()
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        port, file = found(config(tmp_path, listen, f"{tmp_path}/none/m.prom"))
    assert (port[0], port[1]) == (WARNING, f"{listen} is another program's")
    assert (file[0], file[1]) == (WARNING, f"metrics.textfile is not written: there is no directory {tmp_path}/none")
    assert "make it" in file[2]


def test_another_program_on_the_port_that_never_ends_its_answer_keeps_nobody(listen, monkeypatch):
    monkeypatch.setattr(places, "PATIENCE", 0.3)
    host, _, port = listen.rpartition(":")
    with socket.create_server((host, int(port))) as other, ThreadPoolExecutor(1) as pool:

        def drip() -> None:
            with other.accept()[0] as client, contextlib.suppress(OSError):
                while True:
                    client.sendall(b"x")
                    time.sleep(0.01)

        pool.submit(drip)
        assert places.listening(listen) == places.OTHERS


def test_check_says_which_package_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    ((level, text, remedy),) = found(config(tmp_path, "127.0.0.1:9770"))
    assert (level, "prometheus_client is missing" in text) == (WARNING, True)
    assert remedy.startswith("install python3-prometheus-client")
