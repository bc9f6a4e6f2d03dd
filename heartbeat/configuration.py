"""What the helper runs with: defaults, the preset of watch.sensitivity, an existing masakarimonitors.conf, our file,
the resource's parameters, in this order, the last one winning; and where each value came from."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from heartbeat import inherited, ini, plugins, settings
from heartbeat.health import catalogue
from heartbeat.health.definition import Check
from heartbeat.health.section import Wrong

# Of somebody else's [api] section only these are shown; a name that we do not know may be a secret.
SHOWN = {
    *("auth_url", "auth_type", "auth_section", "username", "project_name", "user_domain_name", "project_domain_name"),
    *("user_domain_id", "project_domain_id", "region", "region_name", "api_interface", "cafile", "insecure"),
}

FEW = 20  # so many names can stand in one message


class ConfigurationError(Exception):
    """The configuration file cannot be used. line is 0 where the trouble is the file itself; key may be empty."""

    def __init__(self, path: str, line: int, key: str, why: str) -> None:
        place = f"{path} line {line}" if line else path
        super().__init__(": ".join(part for part in (place, key, why) if part))
        self.path, self.line, self.key, self.why = path, line, key, why


class ParameterError(Exception):
    """A parameter of the resource is unknown or its value is wrong."""

    def __init__(self, name: str, text: str, why: str) -> None:
        super().__init__(f"parameter {settings.printable(name)[1:-1]} = {settings.printable(text)}: {why}")
        self.name, self.text, self.why = name, text, why


class Configuration:
    """Every option's value, never half of them.

    values, origins: by "section.name". notes: lines for the log. api: the [api] options of masakarimonitors.conf, texts
    as they stand there, where our own masakari.auth_url is empty; otherwise nothing. foreign: by name, the sections of
    backends that other packages bring, as texts. checks: in the order of the file; origins has what of theirs is given.
    """

    def __init__(
        self,
        path: str,
        values: Mapping[str, settings.Value],
        origins: Mapping[str, str],
        notes: tuple[str, ...],
        api: Mapping[str, str],
        foreign: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
        checks: tuple[Check, ...] = (),
    ) -> None:
        self.path, self.values, self.origins, self.notes, self.api = path, values, origins, notes, api
        self.foreign, self.checks = foreign, checks

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Configuration) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def __getitem__(self, key: str) -> settings.Value:
        return self.values[key]

    def text(self, key: str) -> str:
        return str(self.values[key])

    def number(self, key: str) -> float:
        value = self.values[key]
        assert isinstance(value, (int, float)), key
        return value

    def words(self, key: str) -> tuple[str, ...]:
        value = self.values[key]
        assert isinstance(value, tuple), key
        return value


def packed(config: Configuration) -> dict[str, object]:
    """The configuration as JSON can carry it, secrets included: from the agent, which may read every file, to a helper
    that may not any more."""
    values = {key: settings.BY_KEY[key].text(value) for key, value in config.values.items()}
    return {"path": config.path, "values": values, "origins": dict(config.origins), "notes": list(config.notes),
            "api": dict(config.api), "foreign": {name: dict(it) for name, it in config.foreign.items()},
            "checks": catalogue.packed(config.checks)}  # fmt: skip


def unpacked(sent: Mapping[str, Any]) -> Configuration:
    """What packed() made. Raises ConfigurationError if it was made by another version."""
    try:
        values = {key: option.parse(sent["values"][key]) for key, option in settings.BY_KEY.items()}
        origins = {str(key): str(origin) for key, origin in sent["origins"].items()}
        if not values.keys() <= origins.keys():
            raise KeyError("origins")
        api = {str(name): str(text) for name, text in sent["api"].items()}
        foreign = {str(name): {str(key): str(text) for key, text in it.items()} for name, it in sent["foreign"].items()}
        notes, checks = tuple(map(str, sent["notes"])), catalogue.unpacked(sent["checks"])
        return Configuration(str(sent["path"]), values, origins, notes, api, foreign, checks)
    except (KeyError, TypeError, AttributeError, settings.BadValue, Wrong) as error:
        why = f"the agent is of another version ({settings.plain(str(error))}); restart the resource"
        raise ConfigurationError(str(sent.get("path", "")), 0, "", why) from None


def load(path: str, parameters: Mapping[str, str] | None = None) -> Configuration:
    """The configuration of the file at `path` and the resource's parameters, by their OCF names.

    Raises ConfigurationError and ParameterError.
    """
    given = {option.key: (value, f"parameter {name}") for name, value, option in _parsed(parameters or {})}
    foreign: dict[str, dict[str, str]] = {}
    found = catalogue.Catalogue(_nearest)
    written = {option.key: (value, f"{path} line {line}") for option, value, line in _from_file(path, foreign, found)}
    try:
        checks = found.checks()
    except catalogue.Mistake as error:
        raise ConfigurationError(path, error.line, error.key, error.why) from None
    explicit = {**written, **given}
    source = "masakari.credentials"
    credentials = str(explicit[source][0]) if source in explicit else str(settings.BY_KEY[source].default)
    wanted = frozenset(settings.BY_KEY) - frozenset(explicit)
    other = inherited.read(credentials, wanted, expected=source in explicit)
    values = {key: option.default for key, option in settings.BY_KEY.items()}
    origins = dict.fromkeys(values, "default")
    if "watch.sensitivity" in explicit:
        word = str(explicit["watch.sensitivity"][0])
        values.update(settings.PRESETS[word])
        origins.update(dict.fromkeys(settings.PRESETS[word], f"preset {word}"))
    values.update(other.values)
    origins.update(other.origins)
    for key, (value, origin) in explicit.items():
        values[key], origins[key] = value, origin
    origins.update((key, f"{path} line {line}") for key, line in found.origins.items())
    notes = other.notes + _exposed(path, [*(key for key in written if settings.BY_KEY[key].secret), *foreign])
    api = {} if values["masakari.auth_url"] else other.api
    return Configuration(path, values, origins, notes, api, foreign, checks)


def changes(before: Configuration, after: Configuration) -> tuple[list[str], list[str]]:
    """What is not as it was: options, and health checks as a whole; and those of them that only a restart changes."""
    changed = [key for key in settings.BY_KEY if before[key] != after[key]]
    fixed = [key for key in changed if not settings.BY_KEY[key].reloadable]
    old, new = ({check.name: check for check in config.checks} for config in (before, after))
    return changed + [catalogue.called(name) for name in {**old, **new} if old.get(name) != new.get(name)], fixed


def _parsed(parameters: Mapping[str, str]) -> Iterable[tuple[str, settings.Value, settings.Option]]:
    for name, text in parameters.items():
        option = settings.PARAMETERS.get(name)
        if option is None:
            raise ParameterError(name, text, f"unknown; {_nearest(name, settings.PARAMETERS)}")
        try:
            yield name, option.parse(text), option
        except settings.BadValue as error:
            raise ParameterError(name, text, error.why) from None


def _from_file(
    path: str, foreign: dict[str, dict[str, str]], checks: catalogue.Catalogue
) -> Iterable[tuple[settings.Option, settings.Value, int]]:
    """foreign: is given what stands in the sections of other packages' backends. checks: those of health checks."""
    try:
        entries = ini.read(path)
    except FileNotFoundError:
        why = "no such file; create it (it may be empty) or correct parameter config"
        raise ConfigurationError(path, 0, "", why) from None
    except OSError as error:
        raise ConfigurationError(path, 0, "", f"cannot be read: {error.strerror}") from None
    except ini.IniError as error:
        raise ConfigurationError(path, error.line, "", error.why) from None
    seen: dict[str, int] = {}
    others: Collection[str] | None = None
    for entry in entries:
        try:
            if checks.take(entry) or not entry.key:
                continue
        except catalogue.Mistake as error:
            raise ConfigurationError(path, error.line, error.key, error.why) from None
        if entry.section not in settings.SECTIONS:
            others = plugins.others() if others is None else others
            if entry.section in others:
                section = foreign.setdefault(entry.section, {})
                if entry.key in section:
                    key = f"{entry.section}.{settings.plain(entry.key, 60)}"
                    raise ConfigurationError(path, entry.line, key, "given already; remove one of the two")
                section[entry.key] = entry.text
                continue
        option = _option(path, entry)
        if option.key in seen:
            why = f"given already in line {seen[option.key]}; remove one of the two"
            raise ConfigurationError(path, entry.line, option.key, why)
        seen[option.key] = entry.line
        try:
            yield option, option.parse(entry.text), entry.line
        except settings.BadValue as error:
            key = option.key if option.secret else f"{option.key} = {settings.printable(error.text)}"
            raise ConfigurationError(path, entry.line, key, error.why) from None


def _option(path: str, entry: ini.Entry) -> settings.Option:
    option = settings.BY_KEY.get(f"{entry.section}.{entry.key}")
    if option:
        return option
    section, name = (settings.printable(text)[1:-1] for text in (entry.section, entry.key))
    if entry.section not in settings.SECTIONS:
        known = (*settings.SECTIONS, settings.CHECK)
        why = f"unknown section; {_nearest(entry.section.partition(' ')[0], known)}"
        raise ConfigurationError(path, entry.line, f"[{section}]", why)
    names = {option.name: option.section for option in settings.OPTIONS if option.section == entry.section}
    elsewhere = [option.section for option in settings.OPTIONS if option.name == entry.key]
    advice = f"it belongs in [{elsewhere[0]}]" if elsewhere else _nearest(entry.key, names)
    raise ConfigurationError(path, entry.line, f"{section}.{name}", f"unknown option; {advice}")


def _nearest(word: str, known: Iterable[str]) -> str:
    import difflib  # which a helper whose settings are right never needs

    known = list(known)
    # Of many names one is always the nearest; a few can be given all.
    near = difflib.get_close_matches(word[:64].lower(), known, 1, 0.5 if len(known) <= FEW else 0.0)
    return f"did you mean {near[0]}?" if near else f"give one of: {', '.join(known)}"


def _exposed(path: str, secrets: Sequence[str]) -> tuple[str, ...]:
    """secrets: what stands in the file and may be one: of another package's section nobody knows."""
    try:
        open_to_all = os.stat(path).st_mode & 0o007
    except OSError:
        return ()
    if not secrets or not open_to_all:
        return ()
    return (f"warning: {path} holds {secrets[0]} and is open to everybody; chmod 0640 it",)


def show(config: Configuration) -> str:
    """Every value and its origin, as a file that could be given back; secrets are masked."""
    lines = [f"# from {config.path}"]
    for section in settings.SECTIONS:
        lines += ["", f"[{section}]"]
        for option in settings.OPTIONS:
            if option.section == section:
                value = config[option.key]
                text = "****" if option.secret and value else option.text(value)
                lines += [f"# {config.origins[option.key]}", f"{option.name} = {text}".rstrip()]
    for check in config.checks:
        lines += ["", f"[{catalogue.called(check.name)}]", *catalogue.shown(check, config.origins)]
    for name, words in config.foreign.items():
        lines += ["", f"# [{settings.plain(name, 60)}], of another package:"]
        lines += [f"#   {settings.plain(word, 60)} = ****" for word in words]
    if config.api:
        lines += ["", f"# [api] of {config['masakari.credentials']}, used since masakari.auth_url is empty:"]
        shown = {name: settings.printable(text)[1:-1] if name in SHOWN else "****" for name, text in config.api.items()}
        lines += [f"#   {settings.printable(name)[1:-1]} = {text}" for name, text in sorted(shown.items())]
    return "\n".join(lines + [""] * bool(config.notes) + [f"# note: {note}" for note in config.notes]) + "\n"
