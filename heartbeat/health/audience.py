"""Which guest gets which health checks. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase

from heartbeat.health.definition import ALL, Check
from heartbeat.terms import Consent, Instance, flavored


def checks_of(
    checks: Sequence[Check], name: str, instance: Instance, consent: Consent | None
) -> tuple[Check, ...]:
    """Those of `checks` that this guest gets, in their order.

    name: libvirt's of its domain. instance: what Nova wrote into that. consent: what Nova's API says; None as long as
    it says nothing. Whether the guest is watched at all is not asked here.
    """
    if not checks:
        return ()
    said = [flavored(instance, consent).checks, instance.properties.checks]
    if consent:
        said.append(consent.metadata.checks)
    if () in said:  # of whomever, it is the last word
        return ()
    asked = {word for words in said for word in words or ()}
    flavor, names = instance.flavor or (consent.flavor if consent else ""), (name, instance.name)

    def meant(it: Check) -> bool:
        return it.guests == ALL or it.name in asked or _match(it.flavors, (flavor,)) or _match(it.names, names)

    return tuple(it for it in checks if meant(it))


def _match(patterns: Collection[str], names: Collection[str]) -> bool:
    return any(name and fnmatchcase(name, pattern) for pattern in patterns for name in names)
