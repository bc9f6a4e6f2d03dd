"""This compute node's name in Masakari, which is the host of Nova's compute service: not libvirt's idea of the host
name, and not necessarily Pacemaker's name of the node."""

from __future__ import annotations

import os
import socket
from typing import NamedTuple

from heartbeat import ini, settings
from heartbeat.configuration import Configuration

NOVA = "/etc/nova"


class Hostname(NamedTuple):
    """origin: where the name was found, for people."""

    name: str
    origin: str


def resolve(config: Configuration, nova: str = NOVA) -> Hostname:
    """report.hostname, else [DEFAULT] host of Nova's files, else the host name, which is Nova's default too.

    A host in Nova's files that we cannot use, such as one made from a default of Nova's ($my_ip), is passed over, and
    the origin says so. Raises nothing.
    """
    option = settings.BY_KEY["report.hostname"]
    if config[option.key]:
        return Hostname(str(config[option.key]), config.origins[option.key])
    doubts = []
    for path in reversed(_files(nova)):
        try:
            host = ini.oslo(path).get("DEFAULT", {}).get("host")
        except (OSError, ini.IniError) as error:
            doubts.append(f"{path} cannot be read: {error.strerror if isinstance(error, OSError) else error}")
            continue
        if host:
            try:
                option.parse(host.text)
            except settings.BadValue as error:
                doubts.append(f"{path} line {host.line} has {settings.printable(host.text)}: {error.why}")
            else:
                if host.text:
                    return Hostname(host.text, f"{path} line {host.line}: host")
    return Hostname(socket.gethostname(), "; ".join(["host name", *doubts]))


def _files(nova: str) -> list[str]:
    """Nova's files in the order in which nova-compute reads them; the last one wins."""
    try:
        names = sorted(name for name in os.listdir(f"{nova}/nova.conf.d") if name.endswith(".conf"))
    except OSError:
        names = []
    paths = [f"{nova}/nova.conf", *(f"{nova}/nova.conf.d/{name}" for name in names), f"{nova}/nova-compute.conf"]
    return [path for path in paths if os.path.exists(path)]
