"""The little of man(7) that our pages take: each function makes whole lines of roff from plain text."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

_LINE = 100  # columns of the source; a page is filled anew where it is read


def plain(text: str) -> str:
    """Any text as roff shows it unchanged. A hyphen left alone would be set as a dash, which no shell takes."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"(?m)^(?=[.'])", r"\\&", text)


def title(name: str, section: int, date: str, version: str) -> str:
    return f'.TH "{plain(name)}" "{section}" "{plain(date)}" "{plain(version)}" "masakari\\-qga"\n.nh\n.ad l\n'


def section(name: str, *parts: str) -> str:
    return f".SH {plain(name)}\n" + "".join(parts)


def paragraph(text: str) -> str:
    """`**word**` is set in bold, `*word*` underlined."""
    return ".PP\n" + _filled(text)


def item(term: str, text: str, *more: str) -> str:
    """A term in bold and what it means; `more` are further paragraphs of it."""
    return f".TP\n\\fB{plain(term)}\\fR\n{_filled(text)}" + "".join(f".IP\n{_filled(part)}" for part in more)


def items(pairs: Iterable[tuple[str, str]]) -> str:
    return "".join(item(*pair) for pair in pairs)


def example(*lines: str) -> str:
    return ".PP\n.RS 4\n.nf\n" + "".join(plain(line) + "\n" for line in lines) + ".fi\n.RE\n"


def _filled(text: str) -> str:
    words = " ".join(text.split())
    # Not at hyphens, and no line may begin with a word that roff would take for a request.
    lines = textwrap.wrap(words, _LINE, break_long_words=False, break_on_hyphens=False)
    marked = plain("\n".join(lines))
    marked = re.sub(r"\*\*(.+?)\*\*", r"\\fB\1\\fR", marked, flags=re.S)
    return re.sub(r"(?<![\w*])\*([\w-].*?)\*(?![\w*])", r"\\fI\1\\fR", marked, flags=re.S) + "\n"
