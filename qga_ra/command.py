"""masakari-qga, the operator's command: what the helper of this node sees, for people."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from heartbeat import __version__, settings
from qga_ra import client
from qga_ra.supervision import ENVIRONMENT, Places

COLUMNS = ("UUID", "NAME", "STATE", "SINCE", "LAST ANSWER", "REPORTED")
WIDEST = 48  # characters of one cell; names of guests are their owners' to choose
TROUBLES_FIRST = ("hung", "qemu-died", "suspect", "agent-silent", "agent-down", "unknown")


def status(options: argparse.Namespace, places: Places) -> int:
    """Asks the running helper. 1 where there is no answer."""
    try:
        reply = client.ask({"do": "status"}, f"{places.run}/control.sock")
    except client.Refused as error:
        return complain(f"the helper refuses: {plain(error, 200)}")
    except client.Unanswered as error:
        code, why = client.state(places.run, patience=1) if error.absent else (1, "")
        if code == client.NOT_RUNNING:
            return complain("the helper does not run on this node. With Pacemaker: pcs resource; its log: syslog")
        return complain(why or error.why)
    if options.json:
        print(json.dumps(reply, indent=2, sort_keys=True))  # ASCII: what a guest said comes out escaped
    else:
        print("\n".join([*header(reply), "", *table(reply)]))
    return 0


def helper(*arguments: str) -> Callable[[argparse.Namespace, Places], int]:
    """A subcommand that the helper's own program answers."""

    def answer(options: argparse.Namespace, places: Places) -> int:
        command = [places.python, "-I", places.code, "--config", options.config, *arguments]
        return subprocess.call(command, cwd="/", env={**ENVIRONMENT, "TERM": os.environ.get("TERM", "dumb")})

    return answer


def header(reply: Mapping[str, Any]) -> list[str]:
    """The node and its surroundings, a line each."""
    libvirt = record(reply.get("libvirt"))
    connection = "connected" if libvirt.get("connected") is True else "not connected"
    lines = [
        f"node      {plain(reply.get('node'))}, known to Masakari as {plain(reply.get('hostname'))}",
        f"state     {plain(reply.get('state'), 200)} (helper {plain(reply.get('version'))})",
        f"libvirt   {connection} since {plain(libvirt.get('since'))}{because(libvirt)}",
    ]
    for backend in records(reply.get("backends")):
        counts = f"{plain(backend.get('delivered'))} delivered, {plain(backend.get('pending'))} pending"
        lines.append(f"backend   {plain(backend.get('name'))}: {counts}{because(backend)}")
    return lines


def table(reply: Mapping[str, Any]) -> Iterable[str]:
    """The guests, those in trouble first."""
    guests = sorted(records(reply.get("guests")), key=urgency)
    if not guests:
        return ["no guests"]
    rows = [COLUMNS, *(row(guest) for guest in guests)]
    widths = [max(len(cells[number]) for cells in rows) for number in range(len(COLUMNS))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip() for cells in rows]


def urgency(guest: Mapping[str, Any]) -> tuple[bool, int, str]:
    state = plain(guest.get("state"))
    rank = TROUBLES_FIRST.index(state) if state in TROUBLES_FIRST else len(TROUBLES_FIRST)
    return not record(guest.get("incident")), rank, plain(guest.get("name"))


def row(guest: Mapping[str, Any]) -> tuple[str, ...]:
    state = plain(guest.get("state"))
    if guest.get("armed") is False and state == "healthy":
        state += " (not armed)"
    words = [plain(guest.get(name)) for name in ("uuid", "name")]
    times = [plain(guest.get(name)) for name in ("since", "last_answer")]
    return (*words, state, *times, reported(record(guest.get("incident"))))


def reported(incident: Mapping[str, Any]) -> str:
    """verdict, action and how far each backend is; "-" where nothing is being reported."""
    if not incident:
        return "-"
    deliveries = record(incident.get("deliveries"))
    ways = ", ".join(f"{plain(name, 20)} {plain(state, 20)}" for name, state in list(deliveries.items())[:8])
    return f"{plain(incident.get('verdict'))}, {plain(incident.get('action'))}" + (f": {ways}" if ways else "")


def because(part: Mapping[str, Any]) -> str:
    return f": {plain(part['error'], 200)}" if part.get("error") else ""


def plain(value: object, widest: int = WIDEST) -> str:
    """Anything as bounded, printable ASCII: a terminal obeys what a guest's owner may have put into a name."""
    if value is None or value == "":
        return "-"
    text = str(value)[: widest + 1].encode("ascii", "backslashreplace").decode()
    text = "".join(sign if " " <= sign <= "~" else f"\\x{ord(sign):02x}" for sign in text)
    return text if len(text) <= widest else text[: widest - 3] + "..."


def record(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def records(value: object) -> list[Mapping[str, Any]]:
    return [record(item) for item in value] if isinstance(value, list) else []


def complain(why: str) -> int:
    print(f"masakari-qga: {why}", file=sys.stderr)
    return 1


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="masakari-qga", description="Asks the helper of this node about its guests.")
    top.add_argument("--version", action="version", version=f"masakari-qga {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    sub = commands.add_parser("status", help="the guests of this node and what is being reported about them")
    sub.add_argument("--json", action="store_true", help="everything, for programs")
    sub.set_defaults(call=status)
    for name, option, text in (
        ("show-config", "--show-config", "every option's value and origin, the resource's parameters apart"),
        ("check", "--check", "whether the helper could work on this host"),
    ):
        sub = commands.add_parser(name, help=text)
        sub.add_argument("--config", default=settings.CONFIG, metavar="PATH", help="default: %(default)s")
        sub.set_defaults(call=helper(option))
    return top


def main(arguments: list[str] | None = None, places: Places | None = None) -> int:
    """The exit code: 0, or 1 if the helper cannot be asked; 2 after a wrong command line."""
    options = parser().parse_args(arguments)
    try:
        code: int = options.call(options, places or Places())
        sys.stdout.flush()
    except BrokenPipeError:  # status | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 0
    return code
