"""INI files read as OpenStack writes them, with the line of everything, so that a message can point at it."""

from __future__ import annotations

import os
import string
from typing import NamedTuple

LARGEST = 1 << 20  # bytes; a configuration file is some ten thousand


class Entry(NamedTuple):
    """One assignment. text is without surrounding blanks and without one pair of quotes, as in oslo.config; whole has
    those quotes. In a file that is read strictly a section's own line is an entry, too, whose key is empty."""

    section: str
    key: str
    text: str
    line: int
    whole: str = ""


class IniError(ValueError):
    """A file, or a line of it, that is no INI. `why` names the remedy."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line}: {why}")
        self.line, self.why = line, why


def read(path: str, tolerant: bool = False) -> list[Entry]:
    """The assignments of a file, in order, duplicates included; and the lines of its sections, where it is strict.

    tolerant: for the files of other programs. Indented lines continue a value, as in oslo.config, and what is no
    assignment is passed over. Otherwise each line stands for itself and anything else is refused.
    Raises OSError, and IniError.
    """
    # A pipe in its place must not keep us: whoever reads may be the agent, whose time is short.
    with open(path, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as file:
        raw = file.read(LARGEST + 1) or b""
    if len(raw) > LARGEST:
        raise IniError(raw.count(b"\n"), "more than 1 MiB, which is no configuration file")
    try:
        lines = raw.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise IniError(raw.count(b"\n", 0, error.start) + 1, "not UTF-8; save the file as UTF-8") from None
    return _tolerant(lines) if tolerant else _strict(lines)


def _strict(lines: list[str]) -> list[Entry]:
    entries: list[Entry] = []
    section = ""
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line[0] in "#;":
            continue
        if line[0] == "[":
            section = _section(line)
            if not section:
                raise IniError(number, "not a section; give [name]")
            entries.append(Entry(section, "", "", number))
            continue
        key, text, whole = _assignment(line)
        if not key:
            raise IniError(number, "not an assignment; give option = value on one line, or begin a comment with #")
        if not section:
            raise IniError(number, "stands before any section; put [section] above it")
        entries.append(Entry(section, key, text, number, whole))
    return entries


def _tolerant(lines: list[str]) -> list[Entry]:
    entries: list[Entry] = []
    section = ""
    goes_on = False  # may an indented line belong to the last entry?
    for number, line in enumerate(map(str.rstrip, lines), 1):
        if line[:1] in (" ", "\t"):
            if goes_on:
                last = entries[-1]
                entries[-1] = last._replace(text=f"{last.text}\n{line.strip()}")
            continue
        goes_on = False
        if line[:1] == "[":
            section = _section(line)
        elif line and line[0] not in "#;":
            key, text, whole = _assignment(line)
            if key and section:
                entries.append(Entry(section, key, text, number, whole))
                goes_on = True
    return entries


def _section(line: str) -> str:
    return line[1:-1].strip() if line.endswith("]") else ""


def _assignment(line: str) -> tuple[str, str, str]:
    """The key, empty where there is none, and the text after the first = or :, whichever comes first, without a pair of
    quotes and with it."""
    ends = [place for place in (line.find("="), line.find(":")) if place >= 0]
    if not ends:
        return "", "", ""
    whole = text = line[min(ends) + 1 :].strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    return line[: min(ends)].strip(), text, whole


class _Template(string.Template):
    idpattern = r"[_a-z][\._a-z0-9]*"


def oslo(path: str) -> dict[str, dict[str, Entry]]:
    """A file as oslo.config would see it: section -> option -> entry; the last of several counts, $ is resolved.

    `$name`, `${name}` and `${section.name}` stand for other options of the file, `$$` and `\\$` for a dollar. What the
    file does not define, since it is a default of that program, stays as it is. Hyphens in names mean underscores.
    """
    found: dict[str, dict[str, Entry]] = {}
    for entry in read(path, tolerant=True):
        found.setdefault(entry.section, {})[entry.key.replace("-", "_")] = entry
    return {
        section: {key: entry._replace(text=_resolved(entry, found, 5)) for key, entry in options.items()}
        for section, options in found.items()
    }


def _resolved(entry: Entry, found: dict[str, dict[str, Entry]], depth: int) -> str:
    if "$" not in entry.text or not depth:  # depth: options that name each other must not go round for ever
        return entry.text

    class Names(dict[str, str]):
        def __missing__(self, name: str) -> str:
            section, _, key = name.rpartition(".")
            for place in (section,) if section else (entry.section, "DEFAULT"):
                other = found.get(place, {}).get(key)
                if other:
                    return _resolved(other, found, depth - 1)
            raise KeyError(name)

    return _Template(entry.text.replace(r"\$", "$$")).safe_substitute(Names())
