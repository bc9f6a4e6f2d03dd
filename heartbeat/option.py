"""One option: its name, type, unit, default and reason; and what the texts of people mean as its value."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple, Union

from heartbeat import plugins

LOOPBACK = ("127.0.0.1", "[::1]")
Value = Union[str, int, float, bool, "tuple[str, ...]"]

# Of Unix, or of Windows: which of them a guest is nobody says here.
ABSOLUTE = re.compile(r"/|[A-Za-z]:[\\/]|\\\\")
# Characters: thirty-two of them with all else still pass through the control socket at once.
LONGEST_COMMAND = 2048
# What a shell, and shlex, take as it stands; and words that mean something to a shell only.
QUOTED = re.compile(r"""\\.|'[^']*'|"(?:\\.|[^"\\])*\"""")
SHELL = frozenset({"|", "||", "&", "&&", ";", "<", ">", ">>", "2>&1", "2>/dev/null", ">/dev/null"})


class BadValue(ValueError):
    """A text that is not a value of its option. `why` says what is expected, for people."""

    def __init__(self, option: Option, text: str, why: str) -> None:
        super().__init__(f"{option.key} = {printable(text)}: {why}")
        self.option, self.text, self.why = option, text, why


class Option(NamedTuple):
    """One option.

    kind: string, integer, seconds (may have a fraction), boolean, choice, list (comma separated), backends (such a
    list, of ours and of those that others have installed), path (absolute), pattern (such a one, with {uuid}),
    textfile (one that node_exporter reads), loopback (an address and port that only this host reaches), guest-path
    (absolute, in a guest of whatever system) or command (a program in a guest and its arguments, split into words as a
    shell would).
    low, high: inclusive bounds of a number. choices: permitted words of a choice or a list.
    parameter: its name as an OCF parameter, or "" where it belongs in the file only.
    secret: never printed by anything.
    """

    section: str
    name: str
    kind: str
    default: Value
    reason: str
    unit: str = ""
    low: float = 0
    high: float = float("inf")
    choices: tuple[str, ...] = ()
    reloadable: bool = False
    parameter: str = ""
    secret: bool = False

    @property
    def key(self) -> str:
        return f"{self.section}.{self.name}"

    def parse(self, text: str) -> Value:
        """The value that a text from a file or a parameter means. Raises BadValue."""
        text = text.strip()
        return _PARSERS[self.kind](self, text)

    def text(self, value: Value) -> str:
        """A value as it would stand in the file."""
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, tuple):
            return _joined(value) if self.kind == "command" else ", ".join(value)
        return f"{value:g}" if isinstance(value, float) else str(value)


def printable(text: str, limit: int = 60) -> str:
    """Somebody else's text, quoted, ASCII and bounded, so that it can stand in a message, a log line or an exit
    reason."""
    return ascii(text if len(text) <= limit else text[:limit] + "...")


def plain(text: str, limit: int = 200) -> str:
    """Another program's sentence, ASCII and bounded, without quotes around it: for the middle of one of ours."""
    return printable(text, limit)[1:-1]


def _number(option: Option, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise BadValue(option, text, f"not a number; give {_range(option)}") from None
    if not option.low <= number <= option.high:  # also refuses nan
        raise BadValue(option, text, f"out of range; give {_range(option)}")
    return number


def _integer(option: Option, text: str) -> int:
    number = _number(option, text)
    if number != int(number):
        raise BadValue(option, text, f"not a whole number; give {_range(option)}")
    return int(number)


def _range(option: Option) -> str:
    bounds = f"{option.low:g} to {option.high:g}" if option.high != float("inf") else f"at least {option.low:g}"
    return f"{bounds} {option.unit}".rstrip()


def _boolean(option: Option, text: str) -> bool:
    if text.lower() in ("yes", "true", "on", "1"):
        return True
    if text.lower() in ("no", "false", "off", "0"):
        return False
    raise BadValue(option, text, "give yes or no")


def _choice(option: Option, text: str) -> str:
    if text not in option.choices:
        raise BadValue(option, text, f"give one of: {', '.join(option.choices)}")
    return text


def _list(option: Option, text: str) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    for word in words:
        if option.choices and word not in option.choices:
            raise BadValue(option, word, f"unknown; give a comma separated list of: {', '.join(option.choices)}")
        _string(option, word)
    return words


def _backends(option: Option, text: str) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    for word in words:
        why = plugins.objection(word)
        if why:
            raise BadValue(option, word, why)
    return words


def _path(option: Option, text: str) -> str:
    if text and not text.startswith("/"):
        raise BadValue(option, text, "give an absolute path")
    return _string(option, text)


def _guest_path(option: Option, text: str) -> str:
    if not ABSOLUTE.match(text):
        raise BadValue(option, text, "give an absolute path in the guest, such as /run/app/health or C:/app/health")
    if len(text) > LONGEST_COMMAND:
        raise BadValue(option, text, f"longer than {LONGEST_COMMAND} characters")
    return _string(option, text)


def _command(option: Option, text: str) -> tuple[str, ...]:
    import shlex

    _string(option, text)
    if len(text) > LONGEST_COMMAND:
        raise BadValue(option, text, f"longer than {LONGEST_COMMAND} characters; put it into a script in the guest")
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        why = f"{str(error).lower()}; blanks separate words, quotes keep one together, a backslash escapes"
        raise BadValue(option, text, why) from None
    if not words or not ABSOLUTE.match(words[0]):
        raise BadValue(option, text, "give the absolute path of a program in the guest, and its arguments")
    if len(words) == 1 and text[0] in "\"'" and words[0].startswith("/") and " " in words[0]:
        raise BadValue(option, text, "quotes around it all make one word of it; leave them out")
    for word in QUOTED.sub("-", text).split():
        if word in SHELL:
            why = f"no shell reads it, so {word} would be an argument; put the command into a script in the guest"
            raise BadValue(option, text, why)
    return words


def _joined(words: tuple[str, ...]) -> str:
    """A command as it would stand in the file, where it must not look like one that is quoted as a whole."""
    import shlex

    text = shlex.join(words)
    return f"/'{text[2:]}" if text.startswith("'/") else text


def _pattern(option: Option, text: str) -> str:
    if text and ("{uuid}" not in text or "/../" in f"{text}/" or not text.startswith("/")):
        raise BadValue(option, text, "give an absolute path with {uuid} in it, where the guest's uuid is to stand")
    return _string(option, text)


def _textfile(option: Option, text: str) -> str:
    if text and not (text.startswith("/") and text.endswith(".prom") and not text.endswith("/.prom")):
        raise BadValue(option, text, "give an absolute path that ends in .prom, or node_exporter passes over the file")
    return _string(option, text)


def _loopback(option: Option, text: str) -> str:
    host, _, port = text.rpartition(":")
    number = int(port) if port.isascii() and port.isdigit() and len(port) < 6 else 0
    if text and not (host in LOOPBACK and option.low <= number <= option.high):
        hosts, ports = " or ".join(f"{host}:PORT" for host in LOOPBACK), f"{option.low:g} to {option.high:g}"
        raise BadValue(option, text, f"give {hosts}, with a port from {ports}; nothing that others can reach is served")
    return text


def _string(option: Option, text: str) -> str:
    if not text.isprintable():
        raise BadValue(option, text, "has control characters; remove them")
    return text


def _hostname(option: Option, text: str) -> str:
    # Masakari's API accepts exactly these characters and this length.
    if len(text) > 255 or text.strip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"):
        raise BadValue(option, text, "give at most 255 letters, digits, dots, hyphens and underscores")
    return text


_PARSERS: dict[str, Callable[[Option, str], Value]] = {
    "string": _string,
    "integer": _integer,
    "seconds": _number,
    "boolean": _boolean,
    "choice": _choice,
    "list": _list,
    "backends": _backends,
    "path": _path,
    "pattern": _pattern,
    "textfile": _textfile,
    "loopback": _loopback,
    "hostname": _hostname,
    "guest-path": _guest_path,
    "command": _command,
}
