"""What is printed for people: bounded, printable ASCII, in columns. Replies may be of another version of the helper."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

WIDEST = 48  # characters of one cell; names of guests are their owners' to choose
# How a piece of text looks, where that can be shown. Words say the same.
BAD, WARN, GOOD, BOLD, DIM = "bad", "warn", "good", "bold", "dim"
Line = list[tuple[str, str]]  # pieces of text, each with its look, "" for the usual one


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


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Cells below each other, a line for each row."""
    widths = [max(len(cells[number]) for cells in rows) for number in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip() for cells in rows]


def cut(line: Line, width: int) -> Line:
    """What fits into so many columns; that something is missing is shown."""
    if sum(len(text) for text, _ in line) <= width:
        return line
    mark = "..." if width >= 8 else ""
    room, made = width - len(mark), []
    for text, look in line:
        made.append((text[:room], look))
        room -= len(made[-1][0])
    return [*(piece for piece in made if piece[0]), *([(mark, "")] if mark else [])]


def age(then: object, now: str) -> str:
    """The time from then to now, for people. Both are UTC in ISO 8601."""
    try:
        seconds = (datetime.fromisoformat(now) - datetime.fromisoformat(str(then))).total_seconds()
    except (ValueError, TypeError):
        return "-"
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def show(reply: object) -> None:
    """All of it, for programs. ASCII: what a guest said comes out escaped."""
    print(json.dumps(reply, indent=2, sort_keys=True))


def complain(why: str) -> int:
    print(f"masakari-qga: {why}", file=sys.stderr)
    return 1
