"""On which terms a guest is watched: whether at all, how sensitively, and what a verdict may cause. Pure.

Three parties have a say, under the same keys: the flavor, which is the operator's, and the image and the server, which
may be a tenant's. A flavor may say anything up to what [verdicts] and [events] cause. A tenant may only lower what
holds without him; where guests must opt in he may do that, too, since that is what he is asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import NamedTuple

from heartbeat.incident import CAREFUL

# Flavors spell the first with a colon, as all of their extra specs; image properties cannot.
KEY, SENSITIVITY, ACTION = "masakari:qga", "masakari:qga_sensitivity", "masakari:qga_action"
SCREENSHOT = "masakari:qga_screenshot"
# The most sensitive first.
SENSITIVITIES = ("high", "medium", "low")
YES, NO = ("yes", "true", "on", "1"), ("no", "false", "off", "0")
KEY_LIMIT, VALUE_LIMIT = 64, 16  # characters; what is longer is no word of ours


class Wish(NamedTuple):
    """What one party says. None and "": nothing. odd: the keys whose values are no words that we know."""

    watched: bool | None = None
    sensitivity: str = ""
    action: str = ""
    odd: tuple[str, ...] = ()
    screenshot: bool | None = None


SILENT = Wish()


class Instance(NamedTuple):
    """What Nova wrote into a domain when it made it. flavor: its name."""

    flavor: str = ""
    specs: Wish = SILENT
    properties: Wish = SILENT


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
    whose flavor says nothing. api: whether Nova is asked for metadata."""

    opt_in: bool = False
    flavors: tuple[str, ...] = ()
    sensitivity: str = "medium"
    action: str = CAREFUL[-1]
    api: bool = False


class Terms(NamedTuple):
    """exempt: why it is not watched, "" if it is. action: the most that a verdict may cause. reasons: who said what,
    for people; made of our own words only. screenshot: whether a picture of its screen may be kept; None: nobody
    says."""

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
            found.setdefault(_NAMES[name], value.strip().lower()[: VALUE_LIMIT + 1])
    if not found:
        return SILENT
    watched, sensitivity, action = truth(found.get(KEY, "")), found.get(SENSITIVITY, ""), found.get(ACTION, "")
    screenshot = truth(found.get(SCREENSHOT, ""))
    known = {
        KEY: watched is not None, SENSITIVITY: sensitivity in SENSITIVITIES, ACTION: action in CAREFUL,
        SCREENSHOT: screenshot is not None,
    }  # fmt: skip
    return Wish(
        watched,
        sensitivity if known[SENSITIVITY] else "",
        action if known[ACTION] else "",
        tuple(key for key in KEYS if key in found and not known[key]),
        screenshot,
    )


_NO_RAISE = ", which lowers nothing"
KEYS = (KEY, SENSITIVITY, ACTION, SCREENSHOT)
_NAMES = {key.replace(":", "_"): key for key in KEYS}


def terms(instance: Instance, consent: Consent | None, rules: Rules, before: bool = False) -> Terms:
    """consent: None while Nova has not said anything of this server. before: it had opted in when we last knew, in an
    earlier life perhaps."""
    metadata = consent.metadata if consent else SILENT
    specs = instance.specs if instance.specs != SILENT or consent is None else consent.specs
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
        reasons += [f"its {who} has a value for {key} that is not understood" for key in said.odd]
    return Terms(exempt, sensitivity, action, tuple(reasons), _screenshot([specs, *(it for _, it in tenants)]))


def _screenshot(said: Iterable[Wish]) -> bool | None:
    """A no of anybody is a no."""
    words = {it.screenshot for it in said}
    return None if words == {None} else False not in words


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
