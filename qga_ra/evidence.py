"""masakari-qga incidents show: one incident with its evidence, for people, for programs, or as a tar to hand on.

The evidence is read from its directory, whether a helper runs or not. It is not root's, and a guest has written parts
of it: what is printed is printable, and no link is followed.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from heartbeat import FORMAT, __version__, settings
from heartbeat.evidence.archive import (
    CONSOLE,
    COUNTERS,
    DOMAIN,
    ERRORS,
    EVENTS,
    MANIFEST,
    SCREENSHOT,
    WHY,
    Archive,
    Bundle,
    Missing,
)
from qga_ra import incidents
from qga_ra.enquiry import Failed, ask
from qga_ra.supervision import Places
from qga_ra.terminal import complain, plain, record, records, show

CONSOLE_LINES, WIDEST = 40, 1000
HIGHEST = 10**18
TITLES = {WHY: "why", EVENTS: "events", ERRORS: "errors", CONSOLE: "console"}


def add(commands: Any) -> None:
    """commands: argparse's subparsers of `incidents`."""
    sub = commands.add_parser("show", help="one incident, with the evidence that was taken of it")
    sub.add_argument("incident", metavar="ID", type=number, help="its number, as incidents shows it")
    sub.add_argument("--export", metavar="FILE", help="write all of it to a new tar file, for root only, and no more")
    # What is said before `show` counts as well, so these have no default of their own.
    sub.add_argument("--json", action="store_true", default=argparse.SUPPRESS,
                     help="everything, for programs; the picture in base64")  # fmt: skip
    sub.add_argument("--config", default=argparse.SUPPRESS, metavar="PATH",
                     help=f"names the place of ledger and evidence; default: {settings.CONFIG}")  # fmt: skip
    sub.set_defaults(call=shown)


def number(text: str) -> int:
    """Raises argparse's error, which ends the command with 2."""
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text[:19]) < HIGHEST:
        raise argparse.ArgumentTypeError(f"{plain(text, 20)}: give the number of an incident")
    return int(text)


def shown(options: argparse.Namespace, places: Places) -> int:
    known, bundle, why = _ledgers(options, places), None, ""
    try:
        bundle = Archive(os.path.dirname(incidents.ledger(options.config))).read(options.incident)
        if known and not _of(bundle, known):
            # After a ledger was lost its numbers begin anew.
            bundle, why = None, "no evidence is kept of it, but of another incident that had this number"
    except Missing as error:
        why = str(error)
    if not known and bundle is None:
        raise Failed(f"there is no incident {options.incident} on this node: {why}")
    if options.export:
        return _exported(options.export, options.incident, known, bundle, why)
    if options.json:
        found = {"incident": known or None, "evidence": bundle and _document(bundle), "why": why}
        show({"format": FORMAT, "version": __version__, **found})
    else:
        print("\n".join(_lines(known, bundle, why)))
    return 0


def _ledgers(options: argparse.Namespace, places: Places) -> Mapping[str, Any]:
    """What the ledger says of it, empty if it does not know it (any more)."""
    found: Sequence[Mapping[str, Any]]
    try:
        found = records(ask({"do": "incidents", "incident": options.incident}, places).get("incidents"))
    except Failed as error:
        if not error.silent:
            raise
        complain(f"{error}; read from {incidents.ledger(options.config)}")
        found = incidents.read(incidents.ledger(options.config), 1, None, options.incident)
    # A helper of an earlier version has not understood the question.
    return next((it for it in found if it.get("id") == options.incident), {})


def _of(bundle: Bundle, known: Mapping[str, Any]) -> bool:
    said = record(bundle.manifest.get("incident"))
    return all(said.get(name) == known.get(name) for name in ("uuid", "opened"))


def _lines(known: Mapping[str, Any], bundle: Bundle | None, why: str) -> Iterator[str]:
    it = known or record(bundle and bundle.manifest.get("incident"))
    yield f"incident  {plain(it.get('id'))}: {plain(it.get('verdict'))}, {plain(it.get('action'))}"
    yield f"guest     {plain(it.get('uuid'))} {plain(it.get('name'))}"
    ended = f"ended {incidents.moment(it['closed'])}, {plain(it.get('why'), 200)}" if it.get("closed") else "open"
    yield f"opened    {incidents.moment(it.get('opened'))}, {ended if known else 'and the ledger has forgotten it'}"
    if known:
        yield f"evidence  {incidents.evidence(it.get('evidence'))}"
        yield f"reported  {incidents.reported(it)}"
        yield f"outcome   {incidents.outcome(it)}"
    if bundle is None:
        yield f"kept      nothing: {why}"
        return
    taken = record(bundle.manifest.get("taken"))
    after = f"{plain(taken.get('after'))} s after it was opened, took {plain(taken.get('seconds'))} s"
    yield f"kept      in {bundle.path}, begun {after}"
    for name, content in bundle.files.items():
        size = record(bundle.manifest.get("screenshot")) if name == SCREENSHOT else {}
        of = f", {plain(size.get('width'))} x {plain(size.get('height'))} pixels" if size else ""
        yield f"          {name}: {len(content)} bytes{of}"
    for name, reason in {**record(bundle.manifest.get("missing")), **bundle.troubles}.items():
        yield f"          {plain(name)}: not there: {plain(reason, 200)}"
    for name, title in TITLES.items():
        if name in bundle.files:
            yield from ("", f"{title}:", *_tail(bundle.files[name], name))


def _tail(content: bytes, name: str) -> Iterator[str]:
    # A console's last line has mostly no end yet: a prompt, or what the guest was about to say.
    lines = content.decode("ascii", "backslashreplace").rstrip("\n").split("\n")
    left = len(lines) - CONSOLE_LINES
    if name == CONSOLE and left > 0:
        yield f"  ({left} lines before)"
        lines = lines[left:]
    for line in lines:
        yield f"  {plain(line.expandtabs(), WIDEST)}" if line else ""


def _document(bundle: Bundle) -> dict[str, Any]:
    files: dict[str, Any] = {}
    for name, content in bundle.files.items():
        if name == SCREENSHOT:
            files[name] = base64.b64encode(content).decode("ascii")
        else:
            text = content.decode("ascii", "backslashreplace")
            files[name] = _parsed(text) if name == COUNTERS else text
    return {"path": bundle.path, "manifest": bundle.manifest, "files": files, "damaged": bundle.troubles}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _exported(path: str, incident: int, known: Mapping[str, Any], bundle: Bundle | None, why: str) -> int:
    if bundle is None:
        raise Failed(f"nothing to export of incident {incident}: {why}")
    manifest = json.dumps({**bundle.manifest, "ledger": known or None}, indent=1, sort_keys=True).encode("ascii")
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise Failed(f"{plain(path, 200)} is there already; give another name") from None
    except OSError as error:
        raise Failed(f"{plain(path, 200)} cannot be written: {error.strerror}") from None
    try:
        with open(file, "wb") as opened, tarfile.open(fileobj=opened, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name, content in {MANIFEST: manifest, **bundle.files}.items():
                entry = tarfile.TarInfo(f"incident-{incident}/{name}")
                entry.size, entry.mode, entry.mtime = len(content), 0o600, int(time.time())
                tar.addfile(entry, io.BytesIO(content))
    except OSError as error:
        os.unlink(path)
        raise Failed(f"{plain(path, 200)} cannot be written: {error.strerror}") from None
    parts = ", ".join(sorted(bundle.files))
    print(f"incident {incident} is in {plain(path, 200)}: {parts}. {_caution(bundle)}")
    return 0


def _caution(bundle: Bundle) -> str:
    private = [word for name, word in ((SCREENSHOT, "screen"), (CONSOLE, "console"), (DOMAIN, "domain"))
               if name in bundle.files]  # fmt: skip
    return f"Its {', '.join(private)} may hold what is its owner's: hand it on with care." if private else ""
