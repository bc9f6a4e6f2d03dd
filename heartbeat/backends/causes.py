"""What stands behind an exception of requests or keystoneauth1, in words that are the same at each repetition."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from typing import Any

import requests
from requests.packages.urllib3.exceptions import NewConnectionError

from heartbeat.backends import SLOW, Later
from heartbeat.settings import printable

MAX_BODY = 65536
NO_JSON = object()


def unanswered(who: str, error: Exception, cafile: str, address: str) -> Later:
    """A request that got no answer. It was surely not accepted only if there surely never was a connection.

    who: the receiver, for people. cafile, address: the options that may be to blame.
    """
    if refused_certificate(error):
        return Later(f"{who}: {cause(error)}; check {cafile}", SLOW, whole=True)
    if any(isinstance(it, (NewConnectionError, requests.exceptions.ConnectTimeout)) for it in causes(error)):
        return Later(f"{who} cannot be reached: {cause(error)}; check {address}", whole=True)
    return Later(f"{who} does not answer: {cause(error)}", uncertain=True, whole=True)


def refused_certificate(error: Exception) -> bool:
    return any(isinstance(it, ssl.SSLCertVerificationError) for it in causes(error))


def cause(error: Exception) -> str:
    """The system's own words; the libraries' hold addresses of objects."""
    for it in causes(error):
        if isinstance(it, ssl.SSLCertVerificationError):
            return f"its certificate is not accepted ({printable(it.verify_message, 80)})"
        if isinstance(it, requests.exceptions.Timeout):
            return "no answer in time"
        if isinstance(it, OSError) and it.strerror and not isinstance(it, requests.RequestException):
            return it.strerror.lower()
    return type(error).__name__


def causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and all that stands behind it: requests and urllib3 also keep a cause in an argument."""
    seen: list[BaseException] = []
    queue: list[object] = [error]
    while queue:
        it = queue.pop(0)
        if isinstance(it, BaseException) and not any(it is other for other in seen):
            seen.append(it)
            yield it
            queue += [it.__cause__, it.__context__, getattr(it, "reason", None), *it.args]


def body(response: requests.Response) -> Any:
    """The JSON of an answer of at most MAX_BODY; NO_JSON if it is none, was cut off, or is longer."""
    try:
        return json.loads(response.raw.read(MAX_BODY, decode_content=False))
    except Exception:  # then the status alone has to do
        return NO_JSON
