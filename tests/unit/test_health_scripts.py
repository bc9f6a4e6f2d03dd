"""The scripts for guests that we ship: the one for Linux is run, in each shell that is here; the one for Windows has
nobody to run it, so it is held to the same words."""

from __future__ import annotations

import http.server
import re
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from heartbeat.health import program
from heartbeat.health.progress import Status
from heartbeat.health.statement import of_output

HERE = Path(__file__).resolve().parents[2] / "docs/health-checks"
SHELLS = [shell for shell in (["sh"], ["bash"], ["busybox", "sh"]) if shutil.which(shell[0])]
HEALTHY, UNHEALTHY, INITIALISING, UNKNOWN = range(4)

# Answers as `systemctl show` does; what a unit is stands in its name.
SYSTEMCTL = """#!/bin/sh
for unit; do :; done
case $unit in
    hung.service) exec sleep 60 ;;
    away.service) exit 1 ;;
    nowhere.service) printf 'LoadState=not-found\\nActiveState=inactive\\n' ;;
    *) printf 'LoadState=loaded\\nActiveState=%s\\n' "${unit%.service}" ;;
esac
"""


@pytest.fixture(params=SHELLS, ids=" ".join)
def check(request, tmp_path):
    """Runs the script with these arguments; its exit code and what it printed."""
    (tmp_path / "bin").mkdir()
    systemctl = tmp_path / "bin/systemctl"
    systemctl.write_text(SYSTEMCTL)
    systemctl.chmod(0o755)

    def run(*arguments: str) -> tuple[int, str]:
        ran = subprocess.run([*request.param, str(HERE / "check.sh"), *arguments], capture_output=True, text=True,
                             env={"PATH": f"{tmp_path}/bin:/usr/bin:/bin"}, timeout=60)  # fmt: skip
        assert ran.stderr == ""
        assert ran.stdout.count("\n") == 1
        assert ran.stdout.endswith("\n")
        assert len(ran.stdout) <= 201
        assert ran.stdout[:-1].isprintable()
        return ran.returncode, ran.stdout[:-1]

    return run


@pytest.fixture
def port():
    """A TCP port on which something listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield str(listening.getsockname()[1])


@pytest.fixture
def closed():
    """One that is taken, so that nobody else listens on it meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield str(taken.getsockname()[1])


@pytest.fixture
def site():
    """Answers with the status in its path."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = b"x" * 100_000
            self.send_response(int(self.path[1:]))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_guest_in_which_all_is_as_it_should_be_is_healthy(check, port, site):
    arguments = ("--unit", "active.service", "--port", port, "--url", f"{site}/200")
    assert check(*arguments) == (HEALTHY, f"active.service is active, port {port} listens, {site}/200 answers 200")


@pytest.mark.parametrize(("unit", "code", "text"), [
    ("failed.service", UNHEALTHY, "failed.service is failed"),
    ("inactive.service", UNHEALTHY, "inactive.service is inactive"),
    ("activating.service", INITIALISING, "activating.service is activating"),
    ("nowhere.service", UNKNOWN, "there is no unit nowhere.service"),
    ("away.service", UNKNOWN, "systemd does not answer"),
])  # fmt: skip
def test_a_units_state_has_an_exit_code(check, unit, code, text):
    assert check("--unit", "active.service", "--unit", unit) == (code, text)


def test_what_hangs_is_not_waited_for(check):
    assert check("--unit", "hung.service", "--seconds", "1") == (UNKNOWN, "systemd does not answer")


def test_a_port_on_which_nothing_listens_is_unhealthy(check, port, closed):
    assert check("--port", port, "--port", closed) == (UNHEALTHY, f"nothing listens on port {closed}")


def test_an_address_that_answers_with_an_error_or_not_at_all_is_unhealthy(check, site, closed):
    assert check("--url", f"{site}/503") == (UNHEALTHY, f"{site}/503 answers 503")
    nowhere = f"http://127.0.0.1:{closed}/"
    assert check("--url", nowhere) == (UNHEALTHY, f"{nowhere} does not answer")


def test_the_worst_counts_and_unhealthy_is_worse_than_unknown_which_is_worse_than_initialising(check):
    order = ("active", "activating", "nowhere", "failed")
    codes = (HEALTHY, INITIALISING, UNKNOWN, UNHEALTHY)
    for worse, code in enumerate(codes):
        for milder in order[: worse + 1]:
            for pair in ((order[worse], milder), (milder, order[worse])):
                assert check(*(word for unit in pair for word in ("--unit", f"{unit}.service")))[0] == code


def test_what_is_not_well_is_initialising_as_long_as_the_application_says_that_it_starts(check, closed, tmp_path):
    starting = tmp_path / "starting"
    arguments = ("--port", closed, "--starting", str(starting))
    assert check(*arguments)[0] == UNHEALTHY
    starting.touch()
    assert check(*arguments) == (INITIALISING, f"nothing listens on port {closed}")


def test_a_guest_asks_for_its_recovery_with_a_file_whatever_else_is_well(check, port, tmp_path):
    reset = tmp_path / "reset"
    arguments = ("--port", port, "--reset", str(reset))
    assert check(*arguments)[0] == HEALTHY
    assert check(*arguments[2:]) == (HEALTHY, "no reset is asked for")
    reset.write_text("its \x1b[31mpool\u202e is lost\nand more\n" + "x" * 10**6)
    code, text = check(*arguments)
    assert (code, text) == (UNHEALTHY, "reset-me its [31mpool is lost")
    assert of_output(text).status == Status.RESET.value


@pytest.mark.parametrize(("arguments", "text"), [
    ((), "check.sh: nothing was asked for; give --unit, --port or --url"),
    (("--unit",), "check.sh: --unit takes a value"),
    (("--pot", "80"), "check.sh: there is no option --pot"),
    (("--port", "http"), "check.sh: --port takes a number"),
    (("--port", "22; reboot"), "check.sh: --port takes a number"),
])  # fmt: skip
def test_a_mistake_in_the_command_is_unknown_and_never_a_reason_to_recover(check, arguments, text):
    assert check(*arguments) == (UNKNOWN, text)


def test_however_much_there_is_to_say_one_short_line_is_said(check):
    code, text = check(*(word for number in range(60) for word in ("--unit", f"failed{number}\x1b[31m\n.service")))
    assert code == UNHEALTHY
    assert len(text) == 200


def test_an_exit_code_of_the_scripts_means_to_us_what_it_means_to_them():
    said = {HEALTHY: Status.HEALTHY, UNHEALTHY: Status.UNHEALTHY, INITIALISING: Status.INITIALISING,
            UNKNOWN: Status.UNKNOWN}  # fmt: skip
    assert said == program._BY_EXIT
    assert "\nHEALTHY=0 UNHEALTHY=1 INITIALISING=2 UNKNOWN=3\n" in (HERE / "check.sh").read_text()
    assert "\n$Healthy, $Unhealthy, $Initialising, $Unknown = 0, 1, 2, 3\n" in (HERE / "check.ps1").read_text()


def test_both_scripts_can_do_the_same():
    options = [re.findall(pattern, (HERE / name).read_text().partition("\n\n")[0].lower(), re.M)
               for name, pattern in (("check.sh", r"^# --(\w+)  "), ("check.ps1", r"^# -(\w+)  "))]  # fmt: skip
    assert options == [["unit", "port", "url", "starting", "reset", "seconds"],
                       ["service", "port", "url", "starting", "reset", "seconds"]]  # fmt: skip
    # What has no mark is to Windows PowerShell 5.1 of the local code page.
    assert all((HERE / name).read_bytes().isascii() for name in ("check.sh", "check.ps1"))
