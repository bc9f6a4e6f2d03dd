"""masakari-qga, the operator's command: what the helper of this node sees, for people."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable

from heartbeat import __version__, settings
from qga_ra import check, evidence, holds, incidents, probe, status
from qga_ra.enquiry import Failed, ask
from qga_ra.supervision import ENVIRONMENT, Places
from qga_ra.terminal import complain, plain, show


def why(options: argparse.Namespace, places: Places) -> int:
    reply = ask({"do": "why", "uuid": options.guest}, places)
    if options.json:
        show(reply)
    else:
        lines = reply.get("lines")
        print("\n".join(plain(line, 1000) for line in (lines if isinstance(lines, list) else [])))
    return 0


def helper(*arguments: str) -> Callable[[argparse.Namespace, Places], int]:
    """A subcommand that the helper's own program answers."""

    def answer(options: argparse.Namespace, places: Places) -> int:
        command = [places.python, "-I", places.code, "--config", options.config, *arguments]
        return subprocess.call(command, cwd="/", env={**ENVIRONMENT, "TERM": os.environ.get("TERM", "dumb")})

    return answer


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="masakari-qga", description="Asks the helper of this node about its guests.")
    top.add_argument("--version", action="version", version=f"masakari-qga {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    status.add(commands)
    sub = commands.add_parser("why", help="why a guest is judged or not, what each witness says, and what comes next")
    sub.add_argument("guest", metavar="GUEST", help="its uuid, the first characters of that, or its libvirt name")
    sub.add_argument("--json", action="store_true", help="everything, for programs")
    sub.set_defaults(call=why)
    evidence.add(incidents.add(commands))
    holds.add(commands)
    probe.add(commands)
    check.add(commands)
    text = "every option's value and origin, the resource's parameters apart"
    sub = commands.add_parser("show-config", help=text)
    sub.add_argument("--config", default=settings.CONFIG, metavar="PATH", help="default: %(default)s")
    sub.set_defaults(call=helper("--show-config"))
    return top


def main(arguments: list[str] | None = None, places: Places | None = None) -> int:
    """The exit code: 0, or 1 if the helper cannot be asked or refuses; 2 after a wrong command line. A check and a
    probe have their own."""
    options = parser().parse_args(arguments)
    try:
        code: int = options.call(options, places or Places())
        sys.stdout.flush()
    except Failed as error:
        code = complain(str(error))
    except BrokenPipeError:  # status | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 0
    return code
