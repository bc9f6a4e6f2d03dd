"""What it takes to reach each backend, made from the configuration: what its process is given, and who is told what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from heartbeat import plugins
from heartbeat.records import Recipient

if TYPE_CHECKING:
    from heartbeat.configuration import Configuration

_WAY = ("region", "interface", "endpoint", "cafile", "timeout")
_WHO = ("auth_url", "username", "password", "project_name", "user_domain_name", "project_domain_name")
# Those that are reached with Masakari's user, and what they have for themselves.
_SERVICES = {"vitrage": ("endpoint", "timeout"), "mistral": ("endpoint", "timeout", "workflow")}
_OWN = {"webhook": ("url", "key", "cafile", "timeout"), "command": ("path", "arguments", "timeout")}
TIMEOUT = 15  # seconds, of another package's backend that does not set `timeout`
_YES = ("yes", "true", "on", "1")


class Party(NamedTuple):
    """Somebody who is told. records: also of what is only recorded."""

    recipient: Recipient
    records: bool


def parties(configuration: Configuration) -> list[Party]:
    """Those to whom reports are delivered, as report.backends lists them. The attributes are no delivery: they always
    show how things are."""
    names = [name for name in configuration.words("report.backends") if name != plugins.ATTRIBUTES]
    return [_party(configuration, name) for name in names]


def _party(configuration: Configuration, name: str) -> Party:
    kind = plugins.OURS.get(name)
    if kind is None:
        section = configuration.foreign.get(name, {})

        def flag(key: str, default: str) -> bool:
            return section.get(key, default).strip().lower() in _YES

        # Careful where nothing is said: it may recover guests, so it is kept back as Masakari is.
        return Party(Recipient(name, flag("acts", "yes"), flag("cleared", "no")), flag("records", "no"))
    acts = bool(configuration.values.get(f"{name}.acts", name != "vitrage"))
    return Party(Recipient(name, acts, kind.clears), bool(configuration[f"{name}.records"]))


def options(configuration: Configuration, name: str) -> dict[str, Any]:
    """All that a backend's own process is given: for one of another package, its section as texts, and `timeout` as a
    number."""
    if name in _OWN:
        return {option: configuration[f"{name}.{option}"] for option in _OWN[name]}
    if name == "masakari" or name in _SERVICES:
        own = {option: configuration[f"{name}.{option}"] for option in _SERVICES.get(name, ())}
        return {**connection(configuration), **own}
    section = dict(configuration.foreign.get(name, {}))
    return {**section, "timeout": _seconds(section.get("timeout", ""))}


def connection(configuration: Configuration) -> dict[str, Any]:
    """All that is needed to reach Keystone and Masakari: from our own section, or else from [api] of
    masakarimonitors.conf, whose region, api_interface and so on hold unless ours are set."""
    ours = {name: configuration[f"masakari.{name}"] for name in _WAY}
    api = configuration.api
    found: dict[str, Any] = {**ours, "insecure": False, "certfile": "", "keyfile": "", "names": {}}
    if not api:
        return {**found, "auth": {name: configuration[f"masakari.{name}"] for name in _WHO}}
    place = f"of [api] in {configuration['masakari.credentials']}"
    found["names"] = {name: f"{name} {place}" for name in _WHO}
    found["region"] = ours["region"] or api.get("region") or api.get("region_name", "")
    found["cafile"] = ours["cafile"] or api.get("cafile", "")
    if configuration.origins["masakari.interface"] == "default":
        found["interface"] = api.get("api_interface") or ours["interface"]
    found["insecure"] = api.get("insecure", "").lower() in _YES
    found["certfile"], found["keyfile"] = api.get("certfile", ""), api.get("keyfile", "")
    return {**found, "auth": dict(api)}


def compute(configuration: Configuration) -> dict[str, Any]:
    """All that is needed to reach Nova, with Masakari's user."""
    found = connection(configuration)
    interface = configuration.text("nova.interface")
    own = {
        "endpoint": configuration["nova.endpoint"],
        "region": configuration["nova.region"] or found["region"],
        "interface": found["interface"] if interface == "same" else interface,
        "timeout": configuration["nova.timeout"],
    }
    return {**found, **own}


def missing(configuration: Configuration, names: Mapping[str, object]) -> bool:
    """Whether one of these backends needs Keystone's credentials and there are none."""
    needed = any(name == "masakari" or name in _SERVICES for name in names)
    return needed and not (configuration["masakari.auth_url"] or configuration.api.get("auth_url"))


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        return TIMEOUT
    return number if 1 <= number <= 600 else TIMEOUT
