"""masakari-qga incidents: what has happened on this node, from the helper, or from its ledger if it does not answer."""

from __future__ import annotations

import argparse
import json
import sqlite3
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

from heartbeat import FORMAT, __version__, configuration, settings
from heartbeat.incident import SUSPENDED
from heartbeat.outcome import told
from heartbeat.records import SCHEMA_VERSION, history, listed, one
from qga_ra.enquiry import Failed, ask
from qga_ra.supervision import Places
from qga_ra.terminal import columns, complain, plain, record, records, show

COLUMNS = ("ID", "OPENED", "GUEST", "NAME", "VERDICT", "ACTION", "EVIDENCE", "REPORTED", "OUTCOME", "ENDED")
MOST = 1000


def add(commands: Any) -> Any:
    """commands: argparse's subparsers. Returns those of this one."""
    sub = commands.add_parser("incidents", help="what has happened to guests of this node, the newest first")
    sub.add_argument("--guest", metavar="GUEST", help="only this one's: uuid, the first characters of that, or name")
    sub.add_argument("--limit", type=limit, default=20, metavar="N", help=f"at most so many, up to {MOST}; default: 20")
    sub.add_argument("--json", action="store_true", help="everything, for programs")
    sub.add_argument("--config", default=settings.CONFIG, metavar="PATH",
                     help="names the ledger, should the helper not answer; default: %(default)s")  # fmt: skip
    sub.set_defaults(call=incidents)
    return sub.add_subparsers(metavar="show", help="show ID: one of them, with its evidence")


def incidents(options: argparse.Namespace, places: Places) -> int:
    try:
        reply = ask({"do": "incidents", "limit": options.limit, "uuid": options.guest}, places)
    except Failed as error:
        if not error.silent:
            raise
        path = ledger(options.config)
        complain(f"{error}; read from {path}")
        found = read(path, options.limit, options.guest)
        reply = {"format": FORMAT, "version": __version__, "incidents": found}
    if options.json:
        show(reply)
        return 0
    rows = [row(it) for it in records(reply.get("incidents"))]
    print("\n".join(columns([COLUMNS, *rows])) if rows else "no incidents")
    return 0


def row(it: Mapping[str, Any]) -> tuple[str, ...]:
    ended = f"{moment(it['closed'])} {plain(it.get('why'))}" if it.get("closed") else "open"
    words = [plain(it.get(name)) for name in ("uuid", "name", "verdict", "action")]
    return (plain(it.get("id")), moment(it.get("opened")), *words, evidence(it.get("evidence")), reported(it),
            outcome(it), ended)


def evidence(text: object) -> str:
    """The witnesses' words in short."""
    try:
        found = record(json.loads(str(text)))
    except (ValueError, RecursionError):
        return plain(text)
    return plain(", ".join(f"{name} {value}" for name, value in found.items()))


def reported(it: Mapping[str, Any]) -> str:
    return ", ".join([_way(way) for way in records(it.get("deliveries"))][:12]) or "-"


def outcome(it: Mapping[str, Any]) -> str:
    """What became of the recovery."""
    known = record(it.get("recovery"))
    if known:
        return plain(told(str(known.get("outcome")), str(known.get("status")), known.get("human") is True))
    return "needs a human" if it.get("action") == SUSPENDED and not it.get("closed") else "-"


def _way(way: Mapping[str, Any]) -> str:
    over = " end" if way.get("kind") == "cleared" else ""
    return f"{plain(way.get('backend'), 20)}{over} {plain(way.get('status'), 20)}"


def moment(text: object) -> str:
    """A time of the ledger's, to the second."""
    return f"{plain(text)[:19]}Z"


def limit(text: str) -> int:
    """Raises argparse's error, which ends the command with 2."""
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text[:9]) <= MOST:
        raise argparse.ArgumentTypeError(f"{plain(text, 20)}: give a number from 1 to {MOST}")
    return int(text)


def ledger(config: str) -> str:
    """Where the helper's ledger is. A configuration that cannot be read names no other place than the usual one."""
    try:
        directory = configuration.load(config, {}).text("state.directory")
    except (configuration.ConfigurationError, OSError):
        directory = settings.STATE_DIRECTORY
    return f"{directory}/ledger.sqlite"


def read(path: str, number: int, guest: str | None, incident: int | None = None) -> list[dict[str, Any]]:
    """The newest incidents in a ledger that nobody, or a stuck helper, has open. Changes nothing. Raises Failed.

    incident: only the one with this number.
    """
    try:
        connection = sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, timeout=3)
        try:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if not 1 <= version <= SCHEMA_VERSION:
                raise Failed(f"the ledger {path} is of another version (schema {version}); start the helper")
            rows = partial(_rows, connection)
            found = history(rows, number, guest) if incident is None else one(rows, incident)
        finally:
            connection.close()
    except sqlite3.Error as error:
        remedy = "be root, and see whether it is there: no helper may have run here yet"
        raise Failed(f"the ledger {path} cannot be read either: {plain(error, 100)}; {remedy}") from None
    return [listed(past) for past in found]


def _rows(connection: sqlite3.Connection, query: str, *values: object) -> list[Any]:
    return connection.execute(query, values).fetchall()
