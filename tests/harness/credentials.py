"""What a sender of ours is given to reach a cloud, as heartbeat.connections makes it from a configuration."""
from __future__ import annotations

from typing import Any


def sender_options(auth_url: str, timeout: int, username: str = "masakari", password: str = "secret",
                   **more: object) -> dict[str, Any]:
    """timeout: seconds of a request. more: what a backend other than Masakari wants as well."""
    auth = {"auth_url": auth_url, "username": username, "password": password, "project_name": "service",
            "user_domain_name": "Default", "project_domain_name": "Default"}
    return {"auth": auth, "names": {}, "region": "", "interface": "public", "endpoint": "", "cafile": "",
            "certfile": "", "keyfile": "", "insecure": False, "timeout": timeout, **more}
