"""masakari-qga status --watch beside a real helper: what an operator sees while things fail and come back."""
from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from tests.harness.terminal import Terminal
from tests.harness.wait import until

ROOT = Path(__file__).resolve().parents[2]
RUN = ("import sys; from qga_ra import command; from qga_ra.supervision import Places;"
       " sys.exit(command.main(sys.argv[2:], Places(sys.argv[1])))")


def test_a_screen_that_is_left_open_shows_what_fails_and_that_it_is_back(new_ward, libvirtd):
    ward = new_ward()
    ward.boot("lives", "dies")
    ward.watch()
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TERM": "xterm"}
    arguments = [sys.executable, "-c", RUN, str(ward.folder / "run"), "status", "--watch", "1"]
    with Terminal(arguments, 100, 20, environment) as terminal:
        def first() -> str:
            """The guest on top."""
            lines = terminal.display()
            return lines[1 + next(number for number, line in enumerate(lines) if line.startswith("UUID"))]

        terminal.shows("2 guests: 2 healthy")
        os.kill(ward["dies"].pid, signal.SIGKILL)
        until(lambda: first().startswith(ward["dies"].uuid[:8]) and "qemu-died, recover" in first(), "who has failed")
        libvirtd.stop()
        terminal.shows("libvirt   not connected since")
        libvirtd.start()
        until(lambda: "not connected" not in "\n".join(terminal.display()), "libvirt's line to go", 60)
        terminal.shows("1 healthy")
        ward.helper.kill()
        terminal.shows("the helper does not run on this node")
        assert ward["lives"].uuid[:8] in "\n".join(terminal.display())
        ward.helper.start()
        until(lambda: "does not run" not in "\n".join(terminal.display()), "the helper to be back")
        terminal.shows("1 healthy")
        terminal.type(b"q")
        assert terminal.ends() == 0
        terminal.given_back()
        assert terminal.foreign() == b""
