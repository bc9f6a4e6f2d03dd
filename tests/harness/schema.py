"""What masakari-api 22 takes for a notification, and how it says what does not fit: with jsonschema's words."""
from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

TYPES = ("COMPUTE_HOST", "VM", "PROCESS")
WORD = {"type": "string", "minLength": 1, "maxLength": 255}
VM = {
    "type": "object", "required": ("instance_uuid", "vir_domain_event", "event"),
    "properties": {"instance_uuid": {"type": "string", "format": "uuid"}, "vir_domain_event": WORD, "event": WORD},
}
NOTIFICATION = {
    "type": "object", "required": ("type", "hostname", "generated_time", "payload"),
    "properties": {
        "type": {"type": "string", "enum": TYPES},
        "hostname": {**WORD, "pattern": "^[a-zA-Z0-9-._]*$"},
        "generated_time": {"type": "string", "format": "date-time"},
        "payload": {"type": "object", "values": {"type": "string", "maxLength": 255}},
    },
}
REQUEST = {"type": "object", "required": ("notification",), "properties": {"notification": NOTIFICATION}}
MOMENT = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6})\d*)?)?)?"
                    r"(Z|[+-]\d\d:?\d\d)?")
Problem = tuple[str, object, str]       # the field's name ("" for the root), its value, and what is wrong with it


class Misfit(Exception):
    """str() is the text of the answer, whose status is 400."""


def validated(body: bytes) -> dict:
    """The notification of a request body; its payload still has to fit its type. Raises Misfit."""
    try:
        document = json.loads(body) if body else None
    except ValueError:
        raise Misfit("Malformed request body") from None
    _check(document, REQUEST)
    notification: dict = document["notification"]
    return notification


def fitting(notification: dict) -> None:
    """Raises Misfit if the payload is not one of a VM's, should it be one."""
    if notification["type"] == "VM":
        _check(notification["payload"], VM)


def moment(text: object) -> datetime:
    """A time as masakari reads it: any zone, none is UTC. Raises ValueError."""
    found = MOMENT.fullmatch(text) if isinstance(text, str) else None
    if not found:
        raise ValueError(f"{text!r} is not a 'date-time'")
    parts, fraction, zone = found.groups()[:6], found.group(7) or "0", found.group(8)
    numbers = [int(part or 0) for part in parts]
    offset = timedelta()
    if zone and zone != "Z":
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:])) * (-1 if zone[0] == "-" else 1)
    return datetime(*numbers, int(fraction.ljust(6, "0")), tzinfo=timezone.utc) - offset


def _check(document: object, schema: Mapping[str, Any]) -> None:
    for field, value, problem in _problems("", document, schema):
        if field:
            problem = f"Invalid input for field/attribute {field}. Value: {value}. {problem}"
        raise Misfit(problem)       # the first is the only one that is told


def _problems(field: str, value: object, schema: Mapping[str, Any]) -> Iterator[Problem]:
    if not isinstance(value, dict if schema["type"] == "object" else str):
        yield field, value, f"{value!r} is not of type '{schema['type']}'"
    elif isinstance(value, str):
        yield from ((field, value, problem) for problem in _text(value, schema))
    else:
        known = schema.get("properties", {})
        for name, content in value.items() if "values" in schema else ():
            yield from _problems(name, content, schema["values"])
        for name in known:
            if name in value:
                yield from _problems(name, value[name], known[name])
        for name in schema.get("required", ()):
            if name not in value:
                yield field, value, f"{name!r} is a required property"
        for name in value if known else ():
            if name not in known:
                yield field, value, f"Additional properties are not allowed ({name!r} was unexpected)"


def _text(value: str, schema: Mapping[str, Any]) -> Iterator[str]:
    if "enum" in schema and value not in schema["enum"]:
        yield f"{value!r} is not one of {schema['enum']}"
    if len(value) < schema.get("minLength", 0):
        yield f"{value!r} should be non-empty"
    if len(value) > schema.get("maxLength", len(value)):
        yield f"{value!r} is too long"
    if not re.search(schema.get("pattern", ""), value):
        yield f"{value!r} does not match {schema['pattern']!r}"
    if schema.get("format") == "date-time":
        try:
            moment(value)
        except ValueError:
            yield f"{value!r} is not a 'date-time'"
    # oslo's is_uuid_like: any case, dashes and braces or none
    if schema.get("format") == "uuid" and not re.fullmatch("[0-9a-f]{32}", value.lower().strip("{}").replace("-", "")):
        yield f"{value!r} is not a 'uuid'"
