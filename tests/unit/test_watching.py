"""masakari-qga status --watch, in a real terminal: what stands on it, what ends it, and how the terminal is left."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from heartbeat.control import Control
from qga_ra import client, command
from qga_ra.supervision import Places
from tests.harness.terminal import Terminal
from tests.harness.wait import until

ROOT = Path(__file__).resolve().parents[2]
NOW, THEN = "2026-11-20T05:00:00+00:00", "2026-11-20T04:57:30+00:00"
DEADLINE = 30.0
# The patience of client is a default: whether anybody waits for a helper that hangs is to be seen without a clock.
RUN = """
import sys
from qga_ra import client, command, overview
from qga_ra.supervision import Places
client.ask.__defaults__ = (client.SOCKET, float(sys.argv[2]))
if sys.argv[3]:
    overview.table.fitted = lambda *_: 1 / 0
sys.exit(command.main(sys.argv[4:], Places(sys.argv[1])))
"""
SIZES = [(40, 12), (80, 24), (200, 50)]
EVIL = "\x1b]0;owned\x07\r\nnext \u202e \u0301\u6f22\u5b57\U0001f600\x9b2J" + "y" * 5000


def guest(number: int, **about: object) -> dict:
    usual = {"uuid": str(uuid.UUID(int=random.Random(number).getrandbits(128))), "name": f"instance-{number:08x}",
             "state": "healthy", "since": THEN, "last_answer": NOW, "armed": True, "detail": "", "holds": [],
             "incident": None, "recovery": None}  # fmt: skip
    return {**usual, **about}


def incident(verdict: str = "hung", action: str = "recover") -> dict:
    return {"id": 7, "verdict": verdict, "action": action, "opened": NOW, "deliveries": {"masakari": "pending"}}


def reply(*guests: dict, **about: object) -> dict:
    usual = {"state": "ok", "node": "node-1", "version": "0.1.0", "hostname": "compute-1", "time": NOW,
             "libvirt": {"connected": True, "since": THEN, "error": None}, "guests": list(guests), "backends": [],
             "fitness": {"able": True, "why": "", "stretch": 1.0}, "holds": [], "nova": None, "lost": []}  # fmt: skip
    return {**usual, **about}


class Helper:
    """Answers as the helper does. Does not while `hangs`; counts how often it was asked."""

    def __init__(self, run: Path) -> None:
        self.run, self.reply, self.asked, self.at = run, reply(guest(1)), 0, 0.0
        self.go = threading.Event()
        self.go.set()
        self._control: Control | None = None
        self.start()

    def start(self) -> None:
        self._control = Control(f"{self.run}/control.sock", "0.1.0", time.monotonic, {"status": self._status})

    def stop(self) -> None:
        control, self._control = self._control, None
        if control:
            control.close()

    def asked_again(self, times: int = 1) -> None:
        before = self.asked
        until(lambda: self.asked >= before + times, "the next questions")

    def _status(self, _: dict) -> dict:
        assert self.go.wait(DEADLINE)
        self.asked, self.at = self.asked + 1, time.monotonic()
        return self.reply


@pytest.fixture
def helper(tmp_path):
    helper = Helper(tmp_path)
    yield helper
    helper.go.set()
    helper.stop()


@pytest.fixture
def watching(helper):
    @contextmanager
    def watching(size=(80, 24), *, fails=False, patience=5.0, term="xterm", prepare=lambda: None, words=("1",),
                 **variables: str) -> Iterator[Terminal]:  # fmt: skip
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TERM": term, **variables}
        arguments = [sys.executable, "-c", RUN, str(helper.run), str(patience), "x" if fails else "", "status",
                     "--watch", *words]  # fmt: skip
        with Terminal(arguments, *size, environment, prepare) as terminal:
            yield terminal

    return watching


def hidden(lines: list[str]) -> int:
    """Of how many guests the last line says that they are not shown."""
    last = [line for line in lines if line][-1].split()
    return int(last[1]) if last[0] == "and" else 0


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("number", [0, 1, 500])
def test_every_guest_is_on_the_screen_or_counted_and_the_worst_is_first(helper, watching, size, number):
    ill = {number: guest(number, state="hung", incident=incident()), number - 1: guest(number - 1, state="suspect")}
    helper.reply = reply(*(ill.get(it, guest(it)) for it in range(1, number + 1)))
    with watching(size) as terminal:
        terminal.shows(f"{number} guests")
        helper.asked_again()
        lines = terminal.display()
        assert lines[0].startswith("node-1  ok")
        assert lines[0].endswith("Z")
        assert terminal.scrolled == 0
        rows = [line for line in lines if line.split(" ")[0] in
                {it["uuid"][:length] for it in helper.reply["guests"] for length in (8, 36)}]  # fmt: skip
        assert len(rows) + hidden(lines) == number
        if number:
            assert "hung" in rows[0]
        if number > 1:
            assert "suspect" in rows[1]
            assert len(rows) == size[1] - 5, "all of the screen is used: title, count, blank, heading, remainder"
        else:
            assert hidden(lines) == 0
        terminal.type(b"q")
        assert terminal.ends() == 0
        terminal.given_back()


@pytest.mark.parametrize(("end", "status"), [
    (b"q", 0), (b"\x03", 0), (b"\x04", 0), (signal.SIGINT, 0), (signal.SIGTERM, -signal.SIGTERM),
    (signal.SIGHUP, -signal.SIGHUP), (signal.SIGQUIT, -signal.SIGQUIT), (b"\x1c", -signal.SIGQUIT),
], ids=str)  # fmt: skip
def test_whatever_ends_it_the_terminal_is_as_it_was_before(watching, end, status):
    with watching() as terminal:
        terminal.shows("instance-00000001")
        assert terminal.alternate
        assert terminal.screen.cursor.hidden
        assert not terminal.restored
        if isinstance(end, bytes):
            terminal.type(end)
        else:
            terminal.process.send_signal(end)
        assert terminal.ends() == status
        terminal.given_back()
        assert "Traceback" not in terminal.raw.decode()


def test_a_failure_of_ours_is_told_on_a_terminal_that_is_as_it_was_before(watching):
    with watching(fails=True) as terminal:
        assert terminal.ends() == 1
        terminal.given_back()
        terminal.shows("ZeroDivisionError")
        assert terminal.raw.index(b"\x1b[?1049l") < terminal.raw.index(b"Traceback")


def test_a_terminal_that_goes_away_ends_it(watching):
    with watching() as terminal:
        terminal.shows("instance-00000001")
        os.close(terminal.master)
        os.close(terminal._slave)
        assert terminal.ends() == -signal.SIGHUP


def test_a_terminal_that_was_stopped_keeps_nobody_from_ending_and_is_given_back(helper, watching):
    with watching() as terminal:
        terminal.shows("instance-00000001")
        terminal.type(b"\x13")  # Ctrl-S
        until(lambda: time.monotonic() > helper.at + 3, "it to be kept from drawing")
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.ends() == -signal.SIGTERM
        terminal.given_back()


def test_a_terminal_that_nobody_reads_from_keeps_nobody_from_ending(helper, watching):
    with watching((200, 50)) as terminal:
        helper.reply = reply(*(guest(it) for it in range(500)))
        terminal.shows("and 455 more")
        terminal.listen(False)
        for _ in range(100):  # a screen full each
            terminal.type(b"\x0c")
            time.sleep(0.005)
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.ends() == -signal.SIGTERM


def test_who_was_told_to_outlive_a_hangup_does(helper, watching):
    with watching(prepare=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as terminal:
        terminal.shows("instance-00000001")
        terminal.process.send_signal(signal.SIGHUP)
        helper.asked_again(3)
        terminal.type(b"q")
        assert terminal.ends() == 0


def test_it_is_stopped_and_continued_by_a_shell_as_any_program(helper):
    program = [sys.executable, "-c", RUN, str(helper.run), "5", "", "status", "--watch"]
    script = '"$@"; echo "stopped $?"; read -r _; fg; echo "over $?"'
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TERM": "xterm"}
    with Terminal(["bash", "-mc", script, "bash", *program], 80, 24, environment) as terminal:
        terminal.shows("instance-00000001")
        terminal.type(b"\x1a")  # Ctrl-Z
        terminal.shows("stopped 148")
        assert not terminal.alternate
        assert not terminal.screen.cursor.hidden
        helper.reply = reply(guest(2))
        terminal.type(b"\n")
        terminal.shows("instance-00000002")
        assert terminal.alternate
        terminal.type(b"q")
        terminal.shows("over 0")
        assert terminal.ends() == 0
        terminal.given_back()


def test_it_follows_the_size_of_its_terminal_though_the_helper_hangs(helper, watching):
    helper.reply = reply(*(guest(it) for it in range(100)))
    with watching(patience=3600.0) as terminal:
        terminal.shows("and 81 more")
        helper.go.clear()
        for columns, lines, left in [(40, 12, 93), (200, 50, 55), (20, 3, 100), (80, 24, 81)]:
            terminal.resize(columns, lines)
            until(lambda left=left: any(f"and {left} m" in line for line in terminal.display()), f"{left} left out")
            assert all(len(line) <= columns for line in terminal.display())
        terminal.type(b"q")
        assert terminal.ends() == 0, "nobody waits for the helper"


def test_a_helper_that_goes_away_is_told_of_and_what_it_said_last_stays_until_it_is_back(helper, watching):
    with watching() as terminal:
        terminal.shows("instance-00000001")
        helper.stop()
        terminal.shows("the helper does not run on this node")
        assert "below is what it said" in " ".join(terminal.display())
        assert any("instance-00000001" in line for line in terminal.display())
        helper.reply = reply(guest(2))
        helper.start()
        terminal.shows("instance-00000002")
        assert "does not run" not in " ".join(terminal.display())


def test_without_a_helper_it_waits_for_one(helper, watching):
    helper.stop()
    with watching((40, 12)) as terminal:
        terminal.shows("Pacemaker starts it")
        helper.start()
        terminal.shows("1 guests: 1 healthy")


def test_what_is_wrong_beside_the_guests_stands_above_them_and_what_is_well_does_not(helper, watching):
    backend = {"name": "masakari", "pending": 0, "delivered": 3, "error": None}
    helper.reply = reply(guest(1), backends=[backend])
    with watching() as terminal:
        terminal.shows("instance-00000001")
        assert not any("backend" in line or "libvirt" in line for line in terminal.display())
        helper.reply = reply(
            guest(1, state="unknown"), state="libvirt: away", backends=[{**backend, "pending": 2}],
            libvirt={"connected": False, "since": NOW, "error": "away"},
        )  # fmt: skip
        terminal.shows("libvirt   not connected since 2026-11-20T05:00:00+00:00: away")
        terminal.shows("backend   masakari: 3 delivered, 2 pending")
        terminal.shows("1 guests: 1 unknown")
        helper.reply = reply(guest(1), backends=[backend])
        terminal.shows("1 guests: 1 healthy")
        assert not any("backend" in line or "libvirt" in line for line in terminal.display())


def test_nothing_that_a_guest_or_anybody_chose_reaches_the_terminal_raw(helper, watching):
    evil = guest(1, uuid=EVIL, name=EVIL, state=EVIL, since=EVIL, last_answer=EVIL, detail=EVIL, recovery=EVIL,
                 incident={"verdict": EVIL, "action": EVIL, "deliveries": {EVIL: EVIL}},
                 checks=[{"name": EVIL, "status": EVIL, "text": EVIL}])  # fmt: skip
    hold = dict.fromkeys(("id", "scope", "owner", "reason", "begun", "until"), EVIL)
    helper.reply = reply(
        evil, state=EVIL, node=EVIL, time=EVIL, backends=[dict.fromkeys(("name", "pending", "error"), EVIL)],
        libvirt={"connected": EVIL, "since": EVIL, "error": EVIL}, lost=[EVIL], holds=[hold],
        nova={"error": EVIL, "heard": EVIL, "servers": EVIL, "differences": [evil]},
        fitness={"able": False, "why": EVIL, "stretch": EVIL},
    )  # fmt: skip
    with watching((200, 50)) as terminal:
        terminal.shows("owned")
        helper.asked_again()
        terminal.type(b"q")
        assert terminal.ends() == 0
        assert terminal.foreign() == b""
        assert terminal.scrolled == 0


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"NO_COLOR": ""}, {}], ids=str)
def test_states_have_colours_unless_somebody_wants_none(helper, watching, variables):
    helper.reply = reply(guest(1, state="hung"), guest(2, state="suspect"), guest(3))
    with watching(**variables) as terminal:
        terminal.shows("instance-00000003")
        line = next(number for number, line in enumerate(terminal.display()) if "hung" in line and "inst" in line)
        at = terminal.display()[line].index("hung")
        colours = [terminal.screen.buffer[line + down][at].fg for down in range(3)]
    assert colours == (["default"] * 3 if variables.get("NO_COLOR") else ["red", "brown", "green"])


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_terminal_that_can_do_nothing_gets_one_table_after_the_other(helper, watching, term):
    with watching((80, 60), term=term) as terminal:
        until(lambda: terminal.raw.count(b"instance-00000001") >= 2, "two tables")
        terminal.type(b"\x03")
        assert terminal.ends() == 0
        assert b"\x1b" not in terminal.raw
        terminal.given_back()


def printing(helper: Helper, **more) -> subprocess.Popen:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TERM": "xterm"}
    program = [sys.executable, "-c", RUN, str(helper.run), "5", "", "status", "--watch", "1"]
    return subprocess.Popen(program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


def test_into_a_pipe_go_whole_tables_with_their_time_and_what_was_wrong_in_between(helper):
    with printing(helper) as process:
        lines = iter(process.stdout.readline, "")
        assert next(lines).startswith("time      20")
        assert next(line for line in lines if "instance-00000001" in line).startswith(guest(1)["uuid"])
        helper.stop()
        assert "the helper does not run" in next(line for line in lines if line.startswith("no answer: "))
        helper.start()
        assert next(line for line in lines if "instance-00000001" in line)
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=DEADLINE)
    assert (process.returncode, errors) == (0, "")
    assert "\x1b" not in rest


def test_who_reads_the_first_table_only_ends_it(helper):
    with printing(helper) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(DEADLINE) == 0
        assert process.stderr.read() == ""


@pytest.mark.parametrize("words", [["--watch=0"], ["--watch=0.5"], ["--watch", "x"], ["--watch=-1"], ["--watch=3601"],
                                   ["--watch=nan"], ["--watch=1e3"], ["--watch=\u0665"]])  # fmt: skip
def test_an_interval_that_is_none_is_explained(capsys, words):
    with pytest.raises(SystemExit) as end:
        command.main(["status", *words])
    assert end.value.code == 2
    assert "give 1 to 3600 seconds" in capsys.readouterr().err


def test_a_program_is_not_given_a_table_that_changes(capsys):
    with pytest.raises(SystemExit) as end:
        command.main(["status", "--watch", "--json"])
    assert end.value.code == 2
    assert "not allowed with argument --watch" in capsys.readouterr().err


def test_the_table_for_programs_is_still_that(monkeypatch, capsys):
    monkeypatch.setattr(client, "ask", lambda request, path: reply(guest(1)))
    assert command.main(["status", "--json"], Places("/nowhere")) == 0
    assert json.loads(capsys.readouterr().out) == reply(guest(1))
