"""What an application says of itself: the output of a check's program, or the file that it keeps fresh. Pure."""

from __future__ import annotations

import json
from typing import NamedTuple

from heartbeat.health.replies import number

RESET_ME = "reset-me"


class Statement(NamedTuple):
    """status: the application's own word for it, in small letters, "" for none. time: seconds since 1970 by the guest's
    clock, None for none. text: for people, as the guest wrote it."""

    status: str = ""
    time: float | None = None
    text: str = ""


def of_output(text: str) -> Statement:
    """Of what a program printed: a JSON document {"status": ..., "text": ...}, or its first line. A program's status is
    its exit code; only `reset-me`, which has none, is taken from its words."""
    document = _document(text)
    if document is not None:
        return document
    line = _first_line(text)
    asks = line.split(None, 1)[:1] in ([RESET_ME], [RESET_ME + ":"])
    return Statement(RESET_ME if asks else "", None, line)


def of_file(text: str) -> Statement:
    """Of a file: a JSON document {"status": ..., "time": ..., "text": ...}, or a line `healthy 1700000000 text`."""
    document = _document(text)
    if document is not None:
        return document
    words = _first_line(text).split(None, 2)
    time = _time(words[1]) if len(words) > 1 else None
    rest = words[2:] if time is not None else words[1:]
    return Statement(words[0].lower() if words else "", time, " ".join(rest))


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0].strip()


def _time(word: str) -> float | None:
    try:
        return number(float(word))
    except ValueError:
        return None


def _document(text: str) -> Statement | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    status, words = (it if isinstance(it, str) else "" for it in (said.get("status"), said.get("text")))
    return Statement(status.strip().lower(), number(said.get("time")), _first_line(words))
