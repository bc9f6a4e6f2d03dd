"""Who is told of what: the couriers of the backends that deliver incidents, and the mirror of the node attributes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from heartbeat import connections
from heartbeat.backends.attributes import GREEN, RED, Attributes, summary
from heartbeat.condition import Condition
from heartbeat.configuration import Configuration
from heartbeat.delivery import Courier
from heartbeat.follower import Follower
from heartbeat.guests import Guests
from heartbeat.hostname import Hostname
from heartbeat.incident import OBSERVED, RECORD, RECOVER, SUSPENDED
from heartbeat.ledger import Ledger, Recipients
from heartbeat.outcomes import BACKEND as MASAKARI
from heartbeat.sender import Sender
from heartbeat.tally import Tally

log = logging.getLogger(__name__)

STOP_SECONDS = 2.0


class Reporting:
    """Made and started by the helper. recipients(), wake() and show() are called in the owner loop; reload() and
    status() in a thread of the control socket, so each reads a part that may be replaced only once.

    node: this node's name in the cluster, "" if it is not known. hostname: its name in Masakari. tally: is told what
    came of each attempt to deliver. aside: trouble that keeps nobody from judging or reporting, for people.
    """

    def __init__(
        self, config: Configuration, node: str, hostname: Hostname, ledger: Ledger, wall: Callable[[], str],
        tally: Tally | None = None,
    ) -> None:  # fmt: skip
        self.aside: Callable[[], str] = lambda: ""
        self._tally = tally or Tally()
        self.hostname, self._ledger, self._wall = hostname, ledger, wall
        self._confirm: Callable[[int, bool], str] = lambda _, acts: "not-now"
        # By backend. Replaced as a whole, never changed: other threads read it.
        self._couriers: Mapping[str, tuple[Courier, Sender]] = {}
        self._recipients: Recipients = {}
        self._acting: set[str] = set()
        self._attributes: Attributes | None = None
        self._config, self._node = config, node
        self._follower: Follower | None = None
        self._asker: Sender | None = None
        self._seen: tuple[object, ...] = ()
        self._shown: tuple[str, Sequence[str], bool, int] = ("starting", (), False, 0)

    @property
    def names(self) -> Sequence[str]:
        return self._config.words("report.backends")

    @property
    def state(self) -> str:
        """This node in a word, and why: ok, failed, or what keeps us from judging or reporting."""
        return self._shown[0]

    def start(
        self,
        confirm: Callable[[int, bool], str],
        here: Callable[[Sequence[str]], Mapping[str, bool | None]],
        again: Callable[[str, int, str], None],
    ) -> None:
        """confirm: asks the owner loop whether an incident still stands, and, if the flag is set, may be recovered now;
        for the couriers' threads. here, again: for the follower's."""
        self._confirm = confirm
        self._follower = Follower(self._ledger, here, again, self._wall)
        self._begin()
        self._follower.start()

    def reload(self, config: Configuration, node: str, hostname: Hostname) -> None:
        """Take new settings. Reports that are pending stay so; a backend that is new is told of what comes from now."""
        self._config, self._node, self.hostname = config, node, hostname
        self._begin()

    def recipients(self) -> Recipients:
        """Action -> the backends that deliver it. The attributes are no delivery: they always show how things are."""
        return self._recipients

    def wake(self) -> None:
        for courier, _ in self._couriers.values():
            courier.wake()
        self.look_again()

    def look_again(self) -> None:
        """Something may have become of a report."""
        if self._follower:
            self._follower.wake()

    def show(self, guests: Guests, link: str, condition: Condition, held: str) -> None:
        """How things are. link: why libvirt cannot be reached; held: why the cluster wants no recovery here."""
        failed, suspended, lost, nova = guests.failed(), guests.suspended(), self.lost, guests.discrepancies.trouble
        troubles = [(name, courier.trouble) for name, (courier, _) in self._couriers.items()]
        # In nearly every turn of the loop all is as it was.
        unhealthy, crowd = guests.diagnoses.unhealthy, guests.diagnoses.breaker.trouble
        conditions, aside = (condition.trouble, condition.breaker, unhealthy, crowd), self.aside()
        seen = (guests.trouble, failed, suspended, lost, link, conditions, held, nova, troubles, aside)
        if seen == self._seen:
            return
        self._seen = seen
        failed = sorted({*failed, *lost}) if lost else failed
        reasons = [
            f"ledger: {guests.trouble}" if guests.trouble else "",
            f"libvirt: {link}" if link else "",
            "" if link else condition.trouble,
            f"held: {held}" if held else "",
            f"nova: {nova}" if nova else "",
            f"checks: {crowd}" if crowd else "",
            "failed" if failed else "",
            f"{len(suspended)} suspended, needs a human" if suspended else "",
            f"{len(lost)} not recovered, needs a human" if lost else "",
            *(f"{name}: {trouble}" for name, trouble in troubles if trouble),
            aside,
        ]
        state = "; ".join(reason for reason in reasons if reason) or "ok"
        now = (state, failed, bool(condition.breaker), len(unhealthy))
        if now != self._shown:
            self._shown = now
            attributes = self._attributes
            if attributes:
                attributes.show(self._values())

    @property
    def lost(self) -> Sequence[str]:
        """The uuids of guests whose recovery came to nothing, so that a human has to look at them."""
        return self._follower.needing if self._follower else ()

    @property
    def troubles(self) -> dict[str, bool]:
        """Backend -> whether something keeps it from delivering what is owed, the node attributes too."""
        found = {name: courier.trouble is not None for name, (courier, _) in self._couriers.items()}
        attributes = self._attributes
        return {**found, **({attributes.name: bool(attributes.error)} if attributes else {})}

    def status(self) -> list[dict[str, Any]]:
        attributes = self._attributes
        found = [courier.status() for courier, _ in self._couriers.values()]
        if attributes:
            found.append({"name": attributes.name, "pending": 0, "delivered": 0, "error": attributes.error})
        return found

    def stop(self) -> None:
        if self._attributes:
            self._attributes.stop()
        if self._follower:
            self._follower.leave()
        _stop(courier for courier, _ in self._couriers.values())
        if self._follower:
            self._follower.stop()

    def _values(self) -> Mapping[str, str]:
        state, failed, tripped, unhealthy = self._shown
        health = (RED if tripped else GREEN) if self._config["breaker.health"] else None
        return summary(state, failed, unhealthy, health)

    def _begin(self) -> None:
        wanted, parties = self.names, connections.parties(self._config)
        couriers = {}
        for recipient, _ in parties:
            options = connections.options(self._config, recipient.name)
            if recipient.name in self._couriers:
                courier, sender = couriers[recipient.name] = self._couriers[recipient.name]
                sender.configure(options)
            else:
                courier, _ = couriers[recipient.name] = self._hire(recipient.name, options)
                courier.start()
        leaving = [courier for name, (courier, _) in self._couriers.items() if name not in couriers]
        self._couriers, self._acting = couriers, {it.name for it, _ in parties if it.acts}
        records = [recipient for recipient, records in parties if records]
        self._recipients = {
            RECOVER: [recipient for recipient, _ in parties], RECORD: records, OBSERVED: records, SUSPENDED: records,
        }  # fmt: skip
        _stop(leaving)
        self._follow()
        for courier, _ in couriers.values():
            courier.wake(afresh=True)
        if connections.missing(self._config, couriers):
            log.warning("no credentials for Keystone; set masakari.auth_url, ... in %s", self._config.path)
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

    def _follow(self) -> None:
        if self._follower is None:
            return
        options = connections.options(self._config, MASAKARI)
        if self._asker is None:
            self._asker = Sender(options, MASAKARI)
        else:
            self._asker.configure(options)
        asker = self._asker if MASAKARI in self._couriers else None
        self._follower.configure(asker, self._config.number("budget.deadline"))

    def _hire(self, name: str, options: Mapping[str, Any]) -> tuple[Courier, Sender]:
        sender = Sender(options, name)
        courier = Courier(
            sender,
            self._ledger,
            lambda: self.hostname.name,
            lambda incident: self._confirm(incident, name in self._acting),
            self._wall,
            accepted=self.look_again,
            count=lambda result: self._tally.delivery(name, result),
        )
        return courier, sender


def _stop(couriers: Iterable[Courier]) -> None:
    """All are told first, so that they end together; however many of them hang, it takes no longer than for one."""
    leaving, until = list(couriers), time.monotonic() + STOP_SECONDS
    for courier in leaving:
        courier.leave()
    for courier in leaving:
        courier.stop(max(until - time.monotonic(), 0.1))
