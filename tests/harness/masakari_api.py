"""The front of masakari-api: what is said before any action has a say, in its order; then what the action says."""
from __future__ import annotations

import re
import uuid
from typing import NamedTuple, Union
from urllib.parse import parse_qsl

from tests.harness.masakari import LARGEST, NEWEST, OLDEST, Masakari, Refused, error_document

PROJECT = uuid.UUID(int=1).hex
# The project, which need not be there, and what may follow it.
ROUTE = re.compile(r"(?:/([0-9a-f]{32}))?(/(?:notifications(?:\.json|/[^/]+)?|segments(?:/[^/]+/hosts)?))")
UNAUTHORIZED = {"error": {"code": 401, "title": "Unauthorized",
                          "message": "The request you have made requires authentication."}}
ACTIONS = {"PUT": "update", "DELETE": "delete"}     # notifications are never changed
Reply = tuple[int, Union[dict, bytes]]      # status, and a JSON document or a page


class Asked(NamedTuple):
    """path: below the version's, with the query. version: the header. authentic: whether the token is good."""

    method: str
    path: str
    version: str
    authentic: bool
    role: str
    body: bytes


def reply(masakari: Masakari, asked: Asked) -> Reply:
    path, _, query = asked.path.partition("?")
    found = ROUTE.fullmatch(path)
    if len(asked.body) > LARGEST:
        return _page(413)
    if not asked.authentic:
        return 401, UNAUTHORIZED
    action = ACTIONS.get(asked.method)
    if not found or (action and path.count("/") == 1):
        return _page(404)
    try:
        version = _version(asked.version)
    except Refused as refused:
        return refused.answer
    project, path = found.groups()
    if action:
        return 405, error_document(
            405, f"The request method: '{asked.method}' with action: '{action}' is not allowed on this resource")
    if project not in (None, PROJECT):
        return 400, error_document(400, f"Malformed request URL: URL's project_id '{project}' doesn't match Context's "
                                        f"project_id '{PROJECT}'")
    if asked.method == "POST":
        return masakari.post(asked.body, asked.role)
    return masakari.get(path, dict(parse_qsl(query)), version, asked.role)


def version_text(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)


def _version(header: str) -> tuple[int, ...]:
    """The microversion that is asked for; what is asked of other services is no matter. Raises Refused."""
    service, _, said = header.rpartition(" ")
    if service != "instance-ha":
        return OLDEST
    if said == "latest":
        return NEWEST
    if not re.fullmatch(r"[1-9]\d*\.\d+", said):
        raise Refused(400, f"API Version String {said} is of invalid format. Must be of format MajorNum.MinorNum.")
    version = tuple(int(part) for part in said.split("."))
    if OLDEST <= version <= NEWEST:
        return version
    raise Refused(406, f"Version {said} is not supported by the API. Minimum is {version_text(OLDEST)} and maximum is "
                       f"{version_text(NEWEST)}.")


def _page(status: int) -> Reply:
    """What webob says where masakari-api has no say."""
    return status, f"<html>\n <head>\n  <title>{status}</title>\n </head>\n</html>".encode()
