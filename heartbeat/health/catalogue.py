"""All the health checks of a configuration: as its file defines them, and as one process hands them to another."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Callable

from heartbeat.health import section
from heartbeat.health.definition import Check
from heartbeat.health.options import BY_NAME, MOST, SECTION
from heartbeat.health.section import Wrong
from heartbeat.ini import Entry
from heartbeat.option import plain, printable


class Mistake(ValueError):
    """line: of the file. key: what is wrong there. why: with the remedy."""

    def __init__(self, line: int, key: str, why: str) -> None:
        super().__init__(f"line {line}: {key}: {why}")
        self.line, self.key, self.why = line, key, why


class Catalogue:
    """What is collected of a file, an entry at a time. nearest: advises on a word, from those that are known.

    origins: of what was given, the line by "check NAME.option".
    """

    def __init__(self, nearest: Callable[[str, Collection[str]], str]) -> None:
        self._nearest = nearest
        self._given: dict[str, dict[str, Entry]] = {}
        self._headings: dict[str, int] = {}
        self.origins: dict[str, int] = {}

    def take(self, entry: Entry) -> bool:
        """Whether an entry was about a check. Raises Mistake."""
        name = section.named(entry.section)
        if name is None:
            return False
        if not entry.key:
            self._begin(name, entry.line)
            return True
        key, given = f"{called(name)}.{plain(entry.key, 60)}", self._given[name]
        if entry.key not in BY_NAME:
            raise Mistake(entry.line, key, f"unknown option; {self._nearest(entry.key, BY_NAME)}")
        if entry.key in given:
            why = f"given already in line {given[entry.key].line}; remove one of the two"
            raise Mistake(entry.line, key, why)
        given[entry.key] = entry
        self.origins[key] = entry.line
        return True

    def checks(self) -> tuple[Check, ...]:
        """All of them, when the file is over. Raises Mistake."""
        found = []
        for name, given in self._given.items():
            # Quotes are the command's own, also around the whole of it.
            raw = {key: it.whole if BY_NAME[key].kind == "command" else it.text for key, it in given.items()}
            try:
                found.append(section.made(name, raw))
            except Wrong as error:
                line = given[error.option].line if error.option in given else self._headings[name]
                key = f"{called(name)}.{error.option}" + (f" = {printable(error.text)}" if error.text else "")
                raise Mistake(line, key, error.why) from None
        return tuple(found)

    def _begin(self, name: str, line: int) -> None:
        why = section.objection(name)
        if not why and name in self._given:
            why = f"given already in line {self._headings[name]}; give each check a name of its own"
        if not why and len(self._given) == MOST:
            why = f"more than {MOST} checks; remove some"
        if why:
            raise Mistake(line, f"[{plain(f'{SECTION} {name}'.strip(), 60)}]", why)
        self._given[name], self._headings[name] = {}, line


def called(name: str) -> str:
    """A check as messages name it, which is its section."""
    return f"{SECTION} {name}"


def shown(check: Check, origins: Mapping[str, str]) -> Iterator[str]:
    """Its options as they could be given back, each below where it comes from."""
    for option, text in section.texts(check).items():
        yield f"# {origins.get(f'{called(check.name)}.{option}', 'default')}"
        yield f"{option} = {text}".rstrip()


def packed(checks: Collection[Check]) -> dict[str, dict[str, str]]:
    """As JSON can carry them."""
    return {check.name: section.texts(check) for check in checks}


def unpacked(sent: Mapping[str, Any]) -> tuple[Check, ...]:
    """What packed() made. Raises Wrong, and KeyError, TypeError or AttributeError, if another version did."""
    return tuple(
        section.made(str(name), {str(option): str(text) for option, text in texts.items()})
        for name, texts in sent.items()
    )
