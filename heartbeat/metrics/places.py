"""Whether the places where metrics are to be had can be used, as somebody sees it who is not the helper."""

from __future__ import annotations

import os
import socket
import time

NOBODY, OURS, OTHERS = "nobody", "ours", "others"
PATIENCE = 5.0  # seconds, for all of it: any local user may be who answers
MARK = b"masakari_qga_up "


def listening(place: str) -> str:
    """Who answers at this value of metrics.listen: NOBODY, OURS or OTHERS."""
    (host, _, port), until = place.rpartition(":"), time.monotonic() + PATIENCE
    try:
        with socket.create_connection((host.strip("[]"), int(port)), PATIENCE) as connection:
            connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            found = b""
            while len(found) < 65536 and MARK not in found:
                connection.settimeout(max(until - time.monotonic(), 0.001))
                part = connection.recv(4096)
                if not part:
                    break
                found += part
    except ConnectionRefusedError:
        return NOBODY
    except OSError:
        return OTHERS
    return OURS if MARK in found else OTHERS


def obstacle(path: str, user: str) -> str:
    """Why this process cannot replace a file of that path, with the remedy; "" if it can. user: whose process it is."""
    directory = os.path.dirname(path)
    if not os.path.isdir(directory):
        return f"there is no directory {directory}: make it, and give it to node_exporter as its textfile directory"
    if os.path.isdir(path):
        return f"{path} is a directory"
    if not os.access(directory, os.W_OK | os.X_OK, effective_ids=True):
        return f"user {user} may not write {directory}: setfacl -m u:{user}:rwx {directory}"
    return ""
