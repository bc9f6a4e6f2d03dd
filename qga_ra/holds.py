"""masakari-qga hold and release: an operator knows that a guest, or this node, will misbehave for a while."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping
from typing import Any

from qga_ra.enquiry import ask
from qga_ra.supervision import Places
from qga_ra.terminal import plain, record, records, show

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST = 30 * 86400  # seconds; the helper refuses more as well


def add(commands: Any) -> None:
    """commands: argparse's subparsers."""
    sub = commands.add_parser(
        "hold", help="have a guest, or all of this node, watched and recorded, but not recovered for a while"
    )
    _scope(sub)
    sub.add_argument("--for", dest="seconds", required=True, type=seconds, metavar="TIME",
                     help="such as 30m, 2h or 1d; at most 30d")  # fmt: skip
    sub.add_argument("--reason", required=True, metavar="TEXT", help="why, for your colleagues")
    sub.set_defaults(call=hold)
    sub = commands.add_parser("release", help="end the holds on a guest, or on all of this node")
    _scope(sub)
    sub.set_defaults(call=release)


def hold(options: argparse.Namespace, places: Places) -> int:
    request = {"do": "hold", "scope": options.scope, "seconds": options.seconds, "reason": options.reason}
    reply = ask({**request, "owner": owner(os.environ)}, places)
    if options.json:
        show(reply)
        return 0
    made = record(reply.get("hold"))
    print(f"{line(made)}\nrecoveries wait until then, or until: masakari-qga release {plain(made.get('scope'))}")
    if reply.get("here") is False:
        print("note: that guest is not on this node now; the hold counts if it comes here, and on no other node")
    return 0


def release(options: argparse.Namespace, places: Places) -> int:
    reply = ask({"do": "release", "scope": options.scope}, places)
    if options.json:
        show(reply)
        return 0
    scope, ended, left = plain(reply.get("scope")), records(reply.get("released")), records(reply.get("holds"))
    for it in ended:
        print(f"released: {line(it)}")
    if not ended:
        print(f"nothing was held by hand for {scope}")
    for it in left if scope == "all" else [it for it in left if it.get("scope") == "all"]:
        print(f"still held: {line(it)}")
    return 0


def line(it: Mapping[str, Any]) -> str:
    """A hold in one line."""
    who, until = plain(it.get("owner"), 64), plain(it.get("until"))[:19]
    return f"{plain(it.get('scope'))} held by {who} until {until}Z: {plain(it.get('reason'), 200)}"


def seconds(text: str) -> float:
    """What 90s, 30m, 2h or 1d means. Raises argparse's error, which ends the command with 2."""
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([smhd])", text.strip())
    length = float(found[1]) * UNITS[found[2]] if found else 0.0
    if not 1 <= length <= LONGEST:
        raise argparse.ArgumentTypeError(f"{plain(text, 20)}: give 1s to 30d, such as 30m, 2h or 1d")
    return length


def owner(environment: Mapping[str, str]) -> str:
    """Who runs this, as far as sudo or the login says."""
    return environment.get("SUDO_USER") or environment.get("LOGNAME") or "root"


def _scope(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("scope", metavar="GUEST|all", help="a uuid, the first characters of one, a libvirt name; or all")
    sub.add_argument("--json", action="store_true", help="the reply, for programs")
