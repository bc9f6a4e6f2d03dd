"""masakari-qga probe: one question to a guest's agent, or one run of a health check, by hand."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from qga_ra.enquiry import Failed, ask
from qga_ra.supervision import Places
from qga_ra.terminal import complain, plain, show

GOOD, BAD, UNKNOWN = 0, 1, 3
# Seconds: longer than the longest timeout of a check, and what the helper adds to it.
PATIENCE = 660.0


def add(commands: Any) -> None:
    """commands: argparse's subparsers."""
    text = "ask a guest's agent one question, or run one health check in it, and print the answer and its time"
    sub = commands.add_parser("probe", help=text)
    sub.add_argument("guest", metavar="GUEST", help="its uuid, the first characters of that, or its libvirt name")
    sub.add_argument("--check", metavar="NAME", help="one of the configuration file, whether the guest has it or not")
    sub.add_argument("--json", action="store_true", help="the reply, for programs")
    sub.set_defaults(call=probe)


def probe(options: argparse.Namespace, places: Places) -> int:
    """0: answered, or healthy; 1: not; 3: nobody can tell."""
    try:
        reply = ask({"do": "probe", "uuid": options.guest, "check": options.check}, places, PATIENCE)
    except Failed as error:
        complain(str(error))
        return UNKNOWN
    if options.json:
        show(reply)
    else:
        print(line(reply))
    return GOOD if reply.get("good") is True else BAD if reply.get("good") is False else UNKNOWN


def line(reply: Mapping[str, Any]) -> str:
    """guest UUID, check web: healthy after 0.213 s: 3 workers"""
    what = f", check {plain(reply.get('check'), 40)}" if reply.get("check") else ""
    text = f": {plain(reply['text'], 200)}" if reply.get("text") else ""
    took = reply.get("took")
    after = f" after {took:.3f} s" if isinstance(took, (int, float)) else ""
    return f"guest {plain(reply.get('uuid'))}{what}: {plain(reply.get('status'))}{after}{text}"
