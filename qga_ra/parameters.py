"""The parameters of the resource, and what one invocation of the agent was given."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

from heartbeat import settings
from qga_ra.errors import CONFIGURED, Failure

CONFIG = settings.Option(
    "", "config", "path", settings.CONFIG, parameter="config",
    reason="The helper's configuration file, which may hold what no parameter can: credentials above all. It must exist"
    " on every node that runs the resource, readable for root only.",
)  # fmt: skip
TABLE: Mapping[str, settings.Option] = {"config": CONFIG, **settings.PARAMETERS}

TIMEOUT = 60.0  # s, where Pacemaker says nothing, as when an administrator runs the agent by hand


class Invocation(NamedTuple):
    """What was asked for.

    values: the parameters that were set, by name, as texts; one that is set to nothing counts as absent, as it does for
    every agent written in shell. node: the cluster's name of this node, if known. level: how deep to validate.
    begin, end: monotonic; end is a little before Pacemaker's own timeout, which would be a failure without a reason.
    """

    values: Mapping[str, str]
    node: str | None
    level: int
    begin: float
    end: float

    @property
    def config(self) -> str:
        return self.values.get("config", str(CONFIG.default))

    @property
    def settings(self) -> dict[str, str]:
        """What is passed to the helper."""
        return {name: text for name, text in self.values.items() if name != "config"}

    def until(self, share: float) -> float:
        """The moment at which this share of the time will be used up."""
        return self.begin + (self.end - self.begin) * share


def invocation(environ: Mapping[str, str], now: float | None = None) -> Invocation:
    """What Pacemaker passes in the environment. Validates nothing: stop must work with any of it."""
    given = {name: environ.get(f"OCF_RESKEY_{name}", "") for name in TABLE}
    begin = time.monotonic() if now is None else now
    timeout = _number(environ.get("OCF_RESKEY_CRM_meta_timeout")) / 1000 or TIMEOUT
    return Invocation(
        {name: text for name, text in given.items() if text},
        environ.get("OCF_RESKEY_CRM_meta_on_node") or None,
        _number(environ.get("OCF_CHECK_LEVEL")),
        begin,
        begin + timeout - min(1.0, timeout / 4),
    )


def validate(given: Invocation) -> None:
    """Raises Failure with the parameter, its value and what to give instead. Looks at nothing of the host."""
    for name, text in given.values.items():
        try:
            TABLE[name].parse(text)
        except settings.BadValue as error:
            raise Failure(CONFIGURED, f"parameter {name} = {settings.printable(text, 30)}: {error.why}") from None


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() else 0
