"""Who is told of what: the couriers of the backends that deliver incidents, and the mirror of the node attributes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from heartbeat import sender
from heartbeat.backends.attributes import GREEN, RED, Attributes, summary
from heartbeat.condition import Condition
from heartbeat.configuration import Configuration
from heartbeat.delivery import Courier
from heartbeat.guests import Guests
from heartbeat.hostname import Hostname
from heartbeat.incident import RECOVER
from heartbeat.ledger import Ledger
from heartbeat.sender import Sender

log = logging.getLogger(__name__)


class Reporting:
    """Made and started by the helper. recipients(), wake() and show() are called in the owner loop; reload() and
    status() in a thread of the control socket, so each reads a part that may be replaced only once.

    node: this node's name in the cluster, "" if it is not known. hostname: its name in Masakari.
    """

    def __init__(
        self, config: Configuration, node: str, hostname: Hostname, ledger: Ledger, wall: Callable[[], str]
    ) -> None:
        self.hostname, self._ledger, self._wall = hostname, ledger, wall
        self._confirm: Callable[[int], str] = lambda _: "not-now"
        self._courier: Courier | None = None
        self._sender = Sender(sender.connection(config))
        self._attributes: Attributes | None = None
        self._config, self._node = config, node
        self._seen: tuple[object, ...] = ()
        self._shown: tuple[str, Sequence[str], bool] = ("starting", (), False)

    @property
    def names(self) -> Sequence[str]:
        return self._config.words("report.backends")

    @property
    def state(self) -> str:
        """This node in a word, and why: ok, failed, or what keeps us from judging or reporting."""
        return self._shown[0]

    def start(self, confirm: Callable[[int], str]) -> None:
        """confirm: asks the owner loop whether an incident still stands; for the couriers' threads."""
        self._confirm = confirm
        self._begin()

    def reload(self, config: Configuration, node: str, hostname: Hostname) -> None:
        """Take new settings. Reports that are pending stay so; a backend that is new is told of what comes from now."""
        self._config, self._node, self.hostname = config, node, hostname
        self._sender.configure(sender.connection(config))
        self._begin()

    def recipients(self) -> Mapping[str, Sequence[str]]:
        """Action -> the backends that deliver it. The attributes are no delivery: they always show how things are."""
        return {RECOVER: [courier.name] if (courier := self._courier) else []}

    def wake(self) -> None:
        courier = self._courier
        if courier:
            courier.wake()

    def show(self, guests: Guests, link: str, condition: Condition, held: str) -> None:
        """How things are. link: why libvirt cannot be reached; held: why the cluster wants no recovery here."""
        courier = self._courier
        error = courier.trouble if courier else None
        failed, suspended = guests.failed(), guests.suspended()
        # In nearly every turn of the loop all is as it was.
        seen = (guests.trouble, failed, suspended, link, condition.trouble, condition.breaker, held, error)
        if seen == self._seen:
            return
        self._seen = seen
        reasons = [
            f"ledger: {guests.trouble}" if guests.trouble else "",
            f"libvirt: {link}" if link else "",
            "" if link else condition.trouble,
            f"held: {held}" if held else "",
            "failed" if failed else "",
            f"{len(suspended)} suspended, needs a human" if suspended else "",
            f"{courier.name}: {error}" if courier and error else "",
        ]
        state = "; ".join(reason for reason in reasons if reason) or "ok"
        now = (state, failed, bool(condition.breaker))
        if now != self._shown:
            self._shown = now
            attributes = self._attributes
            if attributes:
                attributes.show(self._values())

    def status(self) -> list[dict[str, Any]]:
        courier, attributes = self._courier, self._attributes
        found = [courier.status()] if courier else []
        if attributes:
            found.append({"name": attributes.name, "pending": 0, "delivered": 0, "error": attributes.error})
        return found

    def stop(self) -> None:
        for part in (self._attributes, self._courier):
            if part:
                part.stop()

    def _values(self) -> Mapping[str, str]:
        state, failed, tripped = self._shown
        health = (RED if tripped else GREEN) if self._config["breaker.health"] else None
        return summary(state, failed, health)

    def _begin(self) -> None:
        wanted = self.names
        if "masakari" in wanted and not self._courier:
            courier = Courier(self._sender, self._ledger, lambda: self.hostname.name, self._confirm, self._wall)
            courier.start()
            self._courier = courier
        elif "masakari" not in wanted and self._courier:
            leaving, self._courier = self._courier, None
            leaving.stop()
        if self._courier:
            self._courier.wake(afresh=True)
            if not (self._config["masakari.auth_url"] or self._config.api.get("auth_url")):
                log.warning("masakari: no credentials; set masakari.auth_url, ... in %s", self._config.path)
        dampening, reassert = (self._config.number(f"attributes.{name}") for name in ("dampening", "reassert"))
        if "attributes" not in wanted and self._attributes:
            self._attributes.stop()
            self._attributes = None
        elif "attributes" in wanted and self._attributes:
            self._attributes.configure(self._node, dampening, reassert)
        elif "attributes" in wanted:
            self._attributes = Attributes(self._node, dampening, reassert)
            self._attributes.show(self._values())
            self._attributes.start()
