"""masakari-qga, the operator's command: what the helper of this node sees, for people."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

from heartbeat import __version__, settings
from qga_ra import check, evidence, holds, incidents, probe
from qga_ra.enquiry import Failed, ask
from qga_ra.supervision import ENVIRONMENT, Places
from qga_ra.terminal import columns, complain, plain, record, records, show

COLUMNS = ("UUID", "NAME", "STATE", "SINCE", "LAST ANSWER", "REPORTED")
TROUBLES_FIRST = (
    *("hung", "panicked", "qemu-died", "io-error", "qemu-stuck", "suspect", "agent-silent", "agent-down"),
    *("never-answered", "unknown"),
)


def status(options: argparse.Namespace, places: Places) -> int:
    reply = ask({"do": "status"}, places)
    if options.json:
        show(reply)
    else:
        print("\n".join([*header(reply), "", *table(reply)]))
    return 0


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
    if nova := record(reply.get("nova")):
        heard = f"heard {plain(nova.get('heard'))}{because(nova)}"
        lines.append(f"nova      {plain(nova.get('servers'))} servers here, {heard}")
        lines += [f"nova      guest {plain(it.get('uuid'))}: {reported(it)}" for it in records(nova.get("differences"))]
    fitness = record(reply.get("fitness"))
    if fitness.get("able") is False:
        lines.append(f"fitness   no guest is judged: {plain(fitness.get('why'), 200)}")
    if (stretch := fitness.get("stretch")) not in (None, 1, 1.0):
        lines.append(f"fitness   this host is slow: every time of silence x {plain(stretch)}")
    lines += [f"hold      {holds.line(hold)}" for hold in records(reply.get("holds"))]
    if held := record(reply.get("checks")).get("held"):
        lines.append(f"attention nobody is recovered because of a health check: {plain(held, 200)}")
    suspended = [guest for guest in records(reply.get("guests")) if "suspended" in actions(guest)]
    if suspended:
        lines.append(f"attention {len(suspended)} guests were recovered too often and need a human; marked below")
    lost = reply.get("lost")
    if isinstance(lost, list) and lost:
        shown = ", ".join(plain(uuid, 36) for uuid in lost[:5])
        lines.append(f"attention {len(lost)} guests were not recovered and need a human: {shown}")
    return lines


def table(reply: Mapping[str, Any]) -> list[str]:
    """The guests, those in trouble first."""
    guests = sorted(records(reply.get("guests")), key=urgency)
    if not guests:
        return ["no guests"]
    rows = [COLUMNS, *(row(guest) for guest in guests)]
    if any(guest.get("checks") for guest in guests):
        said = ["CHECKS", *(checks(guest) for guest in guests)]
        rows = [(*cells[:-1], text, cells[-1]) for cells, text in zip(rows, said)]
    return columns(rows)


def urgency(guest: Mapping[str, Any]) -> tuple[bool, int, str]:
    state = plain(guest.get("state"))
    rank = TROUBLES_FIRST.index(state) if state in TROUBLES_FIRST else len(TROUBLES_FIRST)
    return not (record(guest.get("incident")) or record(guest.get("unhealthy"))), rank, plain(guest.get("name"))


def checks(guest: Mapping[str, Any]) -> str:
    """How the guest is by its health checks: those that are not healthy by name, the others as a number."""
    known = records(guest.get("checks"))
    well = sum(it.get("status") == "healthy" for it in known)
    others = [it for it in known if it.get("status") != "healthy"]
    said = [f"{plain(it.get('name'), 32)} {plain(it.get('status'), 16)}" for it in others[:3]]
    said += [f"+{len(others) - 3}"] if len(others) > 3 else []
    said += [f"{well} healthy"] if well else []
    return ", ".join(said) or "-"


def row(guest: Mapping[str, Any]) -> tuple[str, ...]:
    state = plain(guest.get("state"))
    if guest.get("armed") is False and state == "healthy":
        state += " (not armed)"
    if guest.get("holds"):
        state += " (held)"
    words = [plain(guest.get(name)) for name in ("uuid", "name")]
    times = [plain(guest.get(name)) for name in ("since", "last_answer")]
    ways = [reported(record(guest[name])) for name in ("incident", "unhealthy") if guest.get(name)]
    ways += [f"recovery: {plain(guest['recovery'])}"] if guest.get("recovery") else []
    return (*words, state, *times, "; ".join(ways) or "-")


def reported(incident: Mapping[str, Any]) -> str:
    """verdict, action and how far each backend is; "-" where nothing is being reported."""
    if not incident:
        return "-"
    deliveries = record(incident.get("deliveries"))
    ways = ", ".join(f"{plain(name, 20)} {plain(state, 20)}" for name, state in list(deliveries.items())[:8])
    human = " (needs a human)" if incident.get("action") == "suspended" else ""
    return f"{plain(incident.get('verdict'))}, {plain(incident.get('action'))}{human}" + (f": {ways}" if ways else "")


def actions(guest: Mapping[str, Any]) -> list[str]:
    return [plain(record(guest.get(name)).get("action")) for name in ("incident", "unhealthy")]


def because(part: Mapping[str, Any]) -> str:
    return f": {plain(part['error'], 200)}" if part.get("error") else ""


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="masakari-qga", description="Asks the helper of this node about its guests.")
    top.add_argument("--version", action="version", version=f"masakari-qga {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    sub = commands.add_parser("status", help="the guests of this node and what is being reported about them")
    sub.add_argument("--json", action="store_true", help="everything, for programs")
    sub.set_defaults(call=status)
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
