"""Asking the helper on an operator's behalf: a reply, or what is wrong and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qga_ra import client
from qga_ra.supervision import Places
from qga_ra.terminal import plain


class Failed(Exception):
    """There is no reply. silent: the helper gave none, as opposed to refusing one."""

    def __init__(self, why: str, silent: bool = False) -> None:
        super().__init__(why)
        self.silent = silent


def ask(request: Mapping[str, object], places: Places, patience: float | None = None) -> dict[str, Any]:
    """The reply. patience: seconds, for a request that takes longer than most. Raises Failed, for people."""
    try:
        return client.ask(request, places.socket, *([patience] if patience else []))
    except client.Refused as error:
        raise Failed(f"the helper refuses: {plain(error, 400)}") from None
    except client.Unanswered as error:
        code, why = client.state(places.run, patience=1) if error.absent else (1, "")
        if code == client.NOT_RUNNING:
            remedy = "Pacemaker starts it; crm_mon -1 has the reason if it cannot, masakari-qga check all that is wrong"
            why = f"the helper does not run on this node. {remedy}"
        raise Failed(why or error.why, silent=True) from None
