"""What is printed for people: bounded, printable ASCII, in columns. Replies may be of another version of the helper."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

WIDEST = 48  # characters of one cell; names of guests are their owners' to choose


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


def show(reply: object) -> None:
    """All of it, for programs. ASCII: what a guest said comes out escaped."""
    print(json.dumps(reply, indent=2, sort_keys=True))


def complain(why: str) -> int:
    print(f"masakari-qga: {why}", file=sys.stderr)
    return 1
