"""On which terms a guest is watched: whether at all, how sensitively, what a verdict may cause, and which health checks
it asks for. Pure.

Three parties have a say, under the same keys: the flavor, which is the operator's, and the image and the server, which
may be a tenant's. A flavor may say anything up to what [verdicts] and [events] cause. A tenant may only lower what
holds without him; where guests must opt in he may do that, too, since that is what he is asked. A health check is the
operator's: a tenant may ask for one that is defined, or want none at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import NamedTuple

from heartbeat.health.options import NAME, NONE
from heartbeat.incident import CAREFUL

# Flavors spell the first with a colon, as all of their extra specs; image properties cannot.
KEY, SENSITIVITY, ACTION = "masakari:qga", "masakari:qga_sensitivity", "masakari:qga_action"
CHECKS, SCREENSHOT = "masakari:qga_checks", "masakari:qga_screenshot"
# The most sensitive first.
SENSITIVITIES = ("high", "medium", "low")
YES, NO = ("yes", "true", "on", "1"), ("no", "false", "off", "0")
# Characters; what is longer is no word of ours, or no list of them: Nova has room for 255.
KEY_LIMIT, VALUE_LIMIT, LIST_LIMIT = 64, 16, 255
TOLD = 5  # names of a kind that are told to people


class Wish(NamedTuple):
    """What one party says. None and "": nothing. odd: the keys whose values are no words that we know.

    checks: the health checks that it asks for, as it calls them: what names of checks look like, whether there are such
    or not. (): it wants none, whatever others say.
    """

    watched: bool | None = None
    sensitivity: str = ""
    action: str = ""
    odd: tuple[str, ...] = ()
    checks: tuple[str, ...] | None = None
    screenshot: bool | None = None


SILENT = Wish()


class Instance(NamedTuple):
    """What Nova wrote into a domain when it made it. flavor: its name. name: the server's."""

    flavor: str = ""
    specs: Wish = SILENT
    properties: Wish = SILENT
    name: str = ""


NO_INSTANCE = Instance()


class Consent(NamedTuple):
    """What Nova's API says of a server. enabled: its metadata opt in, or say no; None: they say neither. flavor, specs:
    its flavor's name and extra specs; of the latter a domain made before Nova 32 knows nothing."""

    enabled: bool | None = None
    metadata: Wish = SILENT
    flavor: str = ""
    specs: Wish = SILENT


class Rules(NamedTuple):
    """opt_in: only who opts in is watched. flavors: names, or patterns of them, that do. sensitivity, action: of guests
    whose flavor says nothing. api: whether Nova is asked for metadata. checks: the names of those that are defined."""

    opt_in: bool = False
    flavors: tuple[str, ...] = ()
    sensitivity: str = "medium"
    action: str = CAREFUL[-1]
    api: bool = False
    checks: frozenset[str] = frozenset()


class Terms(NamedTuple):
    """exempt: why it is not watched, "" if it is. action: the most that a verdict may cause. reasons: who said what,
    for people; made of our own words, and of what looks like a check's name. screenshot: whether a picture of its
    screen may be kept; None: nobody says."""

    exempt: str
    sensitivity: str
    action: str
    reasons: tuple[str, ...] = ()
    screenshot: bool | None = None


def truth(text: str) -> bool | None:
    word = text.strip().lower()
    return True if word in YES else False if word in NO else None


def about_us(key: str) -> bool:
    return key.lower().replace(":", "_") in _NAMES


def wish(pairs: Iterable[tuple[str, str]]) -> Wish:
    """What keys and values say; whatever is not about us is passed over. The first of a key counts."""
    found: dict[str, str] = {}
    for key, value in pairs:
        name = key.lower().replace(":", "_")
        if name in _NAMES:
            found.setdefault(_NAMES[name], excerpt(key, value).lower())
    if not found:
        return SILENT
    watched, sensitivity, action = truth(found.get(KEY, "")), found.get(SENSITIVITY, ""), found.get(ACTION, "")
    (checks, clear), screenshot = _checks(found.get(CHECKS, "")), truth(found.get(SCREENSHOT, ""))
    known = {
        KEY: watched is not None, SENSITIVITY: sensitivity in SENSITIVITIES, ACTION: action in CAREFUL, CHECKS: clear,
        SCREENSHOT: screenshot is not None,
    }  # fmt: skip
    return Wish(
        watched,
        sensitivity if known[SENSITIVITY] else "",
        action if known[ACTION] else "",
        tuple(key for key in KEYS if key in found and not known[key]),
        checks,
        screenshot,
    )


def excerpt(key: str, value: str) -> str:
    """As much of the value of a key of ours as is ever looked at: one character more than may be in it."""
    limit = LIST_LIMIT if _NAMES[key.lower().replace(":", "_")] == CHECKS else VALUE_LIMIT
    return value.strip()[: limit + 1]


def _checks(text: str) -> tuple[tuple[str, ...] | None, bool]:
    """The names in a list of health checks, None if there are none; and whether all of it could be names."""
    if len(text) > LIST_LIMIT:  # the last of them may be cut
        return None, False
    words = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    if NONE in words:
        return (), True
    names = tuple(word for word in words if NAME.fullmatch(word))
    return names or None, bool(words) and names == words


_NO_RAISE = ", which lowers nothing"
KEYS = (KEY, SENSITIVITY, ACTION, CHECKS, SCREENSHOT)
_NAMES = {key.replace(":", "_"): key for key in KEYS}


def flavored(instance: Instance, consent: Consent | None) -> Wish:
    """What the flavor says: as the domain has it, which Nova may have known better since."""
    return instance.specs if instance.specs != SILENT or consent is None else consent.specs


def terms(instance: Instance, consent: Consent | None, rules: Rules, before: bool = False) -> Terms:
    """consent: None while Nova has not said anything of this server. before: it had opted in when we last knew, in an
    earlier life perhaps."""
    metadata = consent.metadata if consent else SILENT
    specs = flavored(instance, consent)
    tenants = (("image", instance.properties), ("server's metadata", metadata))
    exempt, reason = _exempt(instance, specs, tenants, consent, rules, before)
    reasons = [reason] if reason else []
    sensitivity, action = specs.sensitivity or rules.sensitivity, specs.action or rules.action
    if specs.sensitivity:
        reasons.append(f"its flavor says sensitivity {sensitivity}")
    if specs.action:
        reasons.append(f"its flavor says at most {action}")
    for who, said in tenants:
        if said.sensitivity:
            lower = SENSITIVITIES.index(said.sensitivity) > SENSITIVITIES.index(sensitivity)
            sensitivity = said.sensitivity if lower else sensitivity
            reasons.append(f"its {who} says sensitivity {said.sensitivity}{_NO_RAISE * (not lower)}")
        if said.action:
            lower = CAREFUL.index(said.action) < CAREFUL.index(action)
            action = said.action if lower else action
            reasons.append(f"its {who} says at most {said.action}{_NO_RAISE * (not lower)}")
    for who, said in (("flavor", specs), *tenants):
        reasons += [f"its {who} {text}" for text in _asked(said.checks, rules.checks)]
        reasons += [f"its {who} has a value for {key} that is not understood" for key in said.odd]
    return Terms(exempt, sensitivity, action, tuple(reasons), _screenshot([specs, *(it for _, it in tenants)]))


def _screenshot(said: Iterable[Wish]) -> bool | None:
    """A no of anybody is a no."""
    words = {it.screenshot for it in said}
    return None if words == {None} else False not in words


def _asked(checks: tuple[str, ...] | None, defined: frozenset[str]) -> Iterator[str]:
    """What somebody's word on health checks means here."""
    if checks is None:
        return
    known, unknown = ([name for name in checks if (name in defined) is it] for it in (True, False))
    if not checks:
        yield "wants no health checks"
    if known:
        yield f"asks for health checks {_listed(known)}"
    if unknown:
        yield f"asks for health checks {_listed(unknown)}, which are not understood: not defined here"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:TOLD]) + f" and {len(names) - TOLD} more" * (len(names) > TOLD)


def _exempt(
    instance: Instance, specs: Wish, tenants: Iterable[tuple[str, Wish]], consent: Consent | None, rules: Rules,
    before: bool,
) -> tuple[str, str]:
    """Why it is not watched, or ""; and why it is, where that is worth a word."""
    said = [("flavor", specs), *tenants]
    for who, it in said:
        if it.watched is False:
            return f"its {who} says {KEY} = no", ""
    if not rules.opt_in:
        return "", ""
    for who, it in said:
        if it.watched:
            return "", f"opted in: its {who} says {KEY} = yes"
    flavor = instance.flavor or (consent.flavor if consent else "")
    if any(fnmatchcase(flavor, pattern) for pattern in rules.flavors):
        return "", "opted in: its flavor is in watch.flavors"
    if consent is None and rules.api:
        if before:
            return "", "opted in before; Nova has not said anything of it since we began"
        return "not opted in as far as we know: Nova has not said anything of it yet", ""
    if consent and consent.enabled:
        return "", "opted in: its server's metadata say so"
    return "not opted in", ""
