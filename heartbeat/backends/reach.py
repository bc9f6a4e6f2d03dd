"""How far the way to an address of HTTP goes: name, connection, TLS. Asked only after a request has failed, since the
libraries' words for it do not say which of these it was."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

import requests

from heartbeat.settings import printable

CLOCK = "correct this host's clock if it is wrong"


class Obstacle(NamedTuple):
    """what, and what to do."""

    text: str
    remedy: str


def obstacle(
    url: str, option: str, cafile: str, cafile_option: str, seconds: float, stage: Callable[[str], None],
    insecure: bool = False,
) -> Obstacle | None:  # fmt: skip
    """What is in the way, None: a connection can be made. Takes `seconds` for each address, and for a name as long as
    the resolver takes.

    option, cafile_option: where an operator finds the address and the CA certificates. stage: is told what is begun.
    """
    shown = printable(url, 120)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        return Obstacle(f"{shown} is no address: {error}", f"correct {option}")
    if parts.scheme not in ("http", "https") or not host:
        return Obstacle(f"{shown} is no address", f"correct {option}: it begins with https:// or http://")
    stage(f"the name {printable(host, 80)} was being resolved")
    try:
        places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "no proper name"
        remedy = f"check {option}, and this host's /etc/resolv.conf and /etc/hosts"
        return Obstacle(f"DNS: the name {printable(host, 80)} cannot be resolved ({why})", remedy)
    connected = None
    for family, kind, protocol, _, address in places[:4]:
        stage(f"port {port} of {address[0]} was being connected to")
        connection = socket.socket(family, kind, protocol)
        connection.settimeout(seconds)
        try:
            connection.connect(address)
        except OSError as error:
            connection.close()
            why = (error.strerror or "no answer").lower()
            failed = f"TCP: no connection to {address[0]} port {port}: {why}"
        else:
            connected = connection
            break
    if connected is None:
        return Obstacle(failed, f"check {option}, that the service runs there, routes and firewalls")
    with connected:
        if parts.scheme == "http":
            return None
        stage(f"TLS with {printable(host, 80)} was being begun")
        return _encrypted(connected, host, cafile, cafile_option, option, insecure)


def _encrypted(
    connection: socket.socket, host: str, cafile: str, cafile_option: str, option: str, insecure: bool
) -> Obstacle | None:
    bundle = cafile or requests.certs.where()
    if not os.access(bundle, os.R_OK):
        return Obstacle(f"TLS: {printable(bundle, 200)} cannot be read", f"correct {cafile_option}")
    try:
        context = ssl.create_default_context(cafile=bundle)
    except OSError as error:
        text = f"TLS: {printable(bundle, 200)} is no file of certificates ({printable(str(error), 80)})"
        return Obstacle(text, f"correct {cafile_option}")
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    try:
        context.wrap_socket(connection, server_hostname=host).close()
    except ssl.SSLCertVerificationError as error:
        said = printable(error.verify_message, 100)
        remedy = f"set {cafile_option} to the CA that signed it, or correct the name in {option}; {CLOCK}"
        return Obstacle(f"TLS: the certificate of {printable(host, 80)} is not accepted ({said})", remedy)
    except OSError as error:
        why = getattr(error, "reason", None) or error.strerror or "it breaks off"
        remedy = f"see whether https is spoken there: http:// in {option} otherwise"
        return Obstacle(f"TLS: {printable(host, 80)} does not begin it ({printable(str(why), 80)})", remedy)
    return None
