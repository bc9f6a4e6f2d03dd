"""One section `[check NAME]`: from the texts in it to a check, and back. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from heartbeat.health.definition import AGENT_VERSION, ALL, ANSWER_TIME, BUILTIN, KINDS, Check, Limit
from heartbeat.health.options import (
    BY_NAME,
    EXAMPLES,
    KINDS_OF,
    LIMITS,
    NAME,
    NAME_LENGTH,
    NEEDED,
    NONE,
    OPTIONS,
    SECTION,
)
from heartbeat.incident import RECOVER
from heartbeat.option import BadValue, Value, printable

_VERSION = re.compile(r"\d{1,4}(\.\d{1,4}){0,3}")


class Wrong(ValueError):
    """A section that defines no check. option: whose value is wrong, or that is missing; "" if it is the section. text:
    the value as it was given, "" if it is not to blame. why: with the remedy."""

    def __init__(self, option: str, text: str, why: str) -> None:
        super().__init__(f"{option} = {printable(text)}: {why}" if text else f"{option}: {why}".lstrip(": "))
        self.option, self.text, self.why = option, text, why


def named(section: str) -> str | None:
    """The name of the check that a section is about; None if it is about none, "" if the name is missing."""
    words = section.split(None, 1)
    return "".join(words[1:]) if words[:1] == [SECTION] else None


def objection(name: str) -> str:
    """What is wrong with a check's name, "" if nothing is."""
    if name == NONE:
        return f"{NONE} is what a guest says that wants no checks; give another name"
    if NAME.fullmatch(name):
        return ""
    return f"give a name of at most {NAME_LENGTH} lower-case letters, digits and hyphens, such as [{SECTION} web]"


def made(name: str, texts: Mapping[str, str]) -> Check:
    """The check of this name with these options. texts: by the names of options. Raises Wrong; KeyError for an option
    that there is not."""
    kind = _kind(texts)
    for option, kinds in KINDS_OF.items():
        if option in texts and kind not in kinds:
            raise Wrong(option, "", f"belongs to a check of kind = {' or '.join(kinds)}; this one is of kind = {kind}")
    values = {option: _parsed(option, text) for option, text in texts.items()}
    needed = NEEDED[kind]
    if not values.get(needed):
        choices = BY_NAME[needed].choices
        advice = f"one of: {', '.join(choices)}" if choices else f"{needed} = ..."
        raise Wrong(needed, "", f"a check of kind = {kind} needs it; give {advice}")
    limit = {"limit": _limit(str(values["measure"]), texts.get("limit", ""))} if kind == BUILTIN else {}
    check = Check(name=name, **{**values, **limit})  # type: ignore[arg-type]  # options are named as its fields are
    _agree(check, texts)
    return check


def texts(check: Check) -> dict[str, str]:
    """Every option that means something to this kind of check, as it would stand in the file."""
    found = {}
    for option in OPTIONS:
        if check.kind in KINDS_OF.get(option.name, KINDS):
            value = getattr(check, option.name)
            found[option.name] = _limit_text(check) if option.name == "limit" else option.text(value)
    return found


def _kind(texts: Mapping[str, str]) -> str:
    if texts.get("kind"):
        return str(_parsed("kind", texts["kind"]))
    own = next((option for option in texts if len(KINDS_OF.get(option, ())) == 1), "")
    advice = f"to which {own} belongs" if own else f"or another of: {', '.join(KINDS)}"
    raise Wrong("kind", "", f"is missing; give kind = {KINDS_OF[own][0] if own else KINDS[0]}, {advice}")


def _parsed(option: str, text: str) -> Value:
    try:
        return BY_NAME[option].parse(text)
    except BadValue as error:
        raise Wrong(option, error.text, error.why) from None


def _limit(measure: str, text: str) -> Limit:
    example = f"such as {EXAMPLES[measure]}"
    if not text:
        unit = LIMITS[measure].unit if measure in LIMITS else "a version"
        raise Wrong("limit", "", f"measure = {measure} needs it: {unit}, {example}")
    if measure == AGENT_VERSION:
        if not _VERSION.fullmatch(text):
            raise Wrong("limit", text, f"no version; measure = {measure} takes numbers with dots, {example}")
        return tuple(map(int, text.split(".")))
    try:
        value = LIMITS[measure].parse(text)
    except BadValue as error:
        raise Wrong("limit", text, f"{error.why}, as measure = {measure} takes it, {example}") from None
    assert isinstance(value, (int, float))
    return value


def _limit_text(check: Check) -> str:
    return ".".join(map(str, check.limit)) if isinstance(check.limit, tuple) else repr(check.limit)


def _agree(check: Check, texts: Mapping[str, str]) -> None:
    """Options that are possible each by itself."""
    if check.timeout > check.interval:
        given = "timeout" if "timeout" in texts else "interval"
        why = "the next run would be due before this one is given up; give timeout at most interval"
        raise Wrong(given, texts[given], f"{why}, {check.interval:g} s")
    if check.measure == ANSWER_TIME and isinstance(check.limit, (int, float)) and check.limit >= check.timeout * 1000:
        most = f"{check.timeout * 1000:g} ms"
        why = f"no answer can take longer than timeout, {check.timeout:g} s; give less than {most}"
        raise Wrong("limit", texts["limit"], why)
    if check.reset and check.action != RECOVER:
        raise Wrong("reset", texts["reset"], f"action = {check.action} recovers nobody; set action = {RECOVER}, or no")
    if check.guests == ALL:
        for option in ("flavors", "names"):
            if getattr(check, option):
                raise Wrong(option, texts[option], f"guests = {ALL} has every guest already; remove one of the two")
