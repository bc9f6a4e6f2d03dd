"""One incident's evidence: from what is known of the guest, and what libvirt and the console show, to files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from heartbeat import __version__, history, testimony
from heartbeat.evidence import archive, picture
from heartbeat.evidence.portrait import Portrait
from heartbeat.evidence.redaction import redacted
from heartbeat.evidence.scene import Scene
from heartbeat.guest import BadDomain
from heartbeat.outlook import Case
from heartbeat.why import explain
from heartbeat.witness import Sample


class Taken(NamedTuple):
    """manifest: less what the archive adds. files: by name."""

    manifest: dict[str, Any]
    files: dict[str, bytes]


def taken(scene: Scene, case: Case, shown: Portrait, console: tuple[str, str], times: Mapping[str, object]) -> Taken:
    """case: the scene's, with what the ledger knows. console: its end, or "" and why there is none.
    times: of the capture, for the manifest."""
    texts: dict[str, str] = {}
    missing: dict[str, str] = {}
    _put(archive.WHY, lambda: _why(case), texts, missing)
    _put(archive.EVENTS, lambda: (_events(scene), "nothing has happened to it since it was found"), texts, missing)
    _put(archive.ERRORS, lambda: _errors(scene, shown), texts, missing)
    _put(archive.COUNTERS, lambda: _counters(case), texts, missing)
    _put(archive.CONSOLE, lambda: console if console[0] or console[1] else ("", "it is empty"), texts, missing)
    _put(archive.DOMAIN, lambda: _domain(shown), texts, missing)
    files = {name: text.encode("ascii", "backslashreplace") for name, text in texts.items()}
    manifest: dict[str, Any] = {"incident": _incident(scene), "taken": dict(times), "helper": __version__}
    try:
        if shown.picture:
            files[archive.SCREENSHOT] = picture.png(shown.picture)
            manifest["screenshot"] = dict(zip(("width", "height"), picture.size(files[archive.SCREENSHOT])))
        else:
            missing[archive.SCREENSHOT] = shown.no_picture or "libvirt gave an empty one"
    except (picture.Unusable, MemoryError) as error:
        missing[archive.SCREENSHOT] = str(error) or type(error).__name__
    return Taken({**manifest, "missing": missing}, files)


def _put(
    name: str, made: Callable[[], tuple[str, str]], texts: dict[str, str], missing: dict[str, str]
) -> None:
    """A part whose making fails costs that part and no other."""
    try:
        text, why = made()
    except Exception as error:
        text, why = "", f"a failure of ours: {type(error).__name__}"
    if text:
        texts[name] = text
    else:
        missing[name] = why


def _incident(scene: Scene) -> dict[str, Any]:
    it = scene.incident._asdict()
    return {**it, "evidence": json.loads(it["evidence"] or "null")}


def _why(case: Case) -> tuple[str, str]:
    return "\n".join(explain(case)["lines"]) + "\n", ""


def _events(scene: Scene) -> str:
    return "".join(f"{line}\n" for line in history.lines(scene.history, scene.case.date))


def _errors(scene: Scene, shown: Portrait) -> tuple[str, str]:
    lines = [line for line in _events(scene).splitlines() if f" {history.AGENT}" in line]
    lines += [f"disk {name}: {word}" for name, word in shown.disks]
    if scene.disks and not shown.disks:
        lines.append(f"disks: {shown.no_disks or 'not asked'}")
    return "".join(f"{line}\n" for line in lines), "its agent has answered nothing but well, as far as we remember"


def _counters(case: Case) -> tuple[str, str]:
    watch = case.watch
    if watch.last is None:
        return "", "no counters were read: the verdict rests on what libvirt said"
    document = {
        "first": _sample(watch.first),
        "last": _sample(watch.last),
        "witnesses": testimony.facts(watch, case.now),
        "incarnation": watch.incarnation,
    }
    return json.dumps(document, indent=1, sort_keys=True) + "\n", ""


def _sample(sample: Sample | None) -> dict[str, Any] | None:
    if sample is None:
        return None
    threads = {str(number): slices._asdict() for number, slices in sample.cpus.items()}
    return {**{name: getattr(sample, name) for name in sample._fields}, "cpus": threads}


def _domain(shown: Portrait) -> tuple[str, str]:
    if not shown.xml:
        return "", shown.no_xml or "libvirt gave none"
    try:
        return redacted(shown.xml), ""
    except BadDomain as error:
        return "", str(error)
