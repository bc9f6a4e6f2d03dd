"""The literal blocks of a page of ours, each with the comment before it that says what becomes of it."""
from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parents[2]
PAGES = ("installing", "operating", "migrating")      # whose commands an operator is meant to copy
RUN, CONFIGURATION, NOT_RUN = "run", "configuration", "not run"
BLOCK = re.compile(r"(?:^\.\. (?P<fate>[^\n]+)\n\n)?^(?P<before>[^\n]*)::\n\n(?P<text>(?:(?: {4}[^\n]*)?\n)+)", re.M)


class Block(NamedTuple):
    """fate: RUN, CONFIGURATION or NOT_RUN with a reason, or "" if the page does not say. line: where it begins."""

    fate: str
    text: str
    line: int


def blocks(page: str) -> list[Block]:
    text = (HERE / f"docs/{page}.rst").read_text()
    return [Block(found["fate"] or "", textwrap.dedent(found["text"]).strip() + "\n",
                  text.count("\n", 0, found.start("text")) + 1) for found in BLOCK.finditer(text)]
