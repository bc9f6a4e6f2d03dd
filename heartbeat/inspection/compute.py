"""Nova, where it is to be asked what it expects of this host: one round, as the helper makes them."""

from __future__ import annotations

from collections.abc import Iterator

from heartbeat import connections
from heartbeat.configuration import Configuration
from heartbeat.expectation import Question
from heartbeat.inspection.finding import FAILED, NOTE, OK, Finding
from heartbeat.message import Heard, Message, Unheard
from heartbeat.nova import ROUND, Nova, Wanted
from heartbeat.sender import START_SECONDS

STEP = "nova"
SECONDS = START_SECONDS + ROUND


def look(config: Configuration, hostname: str) -> Iterator[Finding]:
    """hostname: this host's in Nova, which is that in Masakari."""
    if not config["nova.enabled"]:
        return
    options, key = connections.compute(config), config.text("nova.metadata")
    said: list[Message] = []
    Nova(None, lambda: Question("", ()), said.append).round(Wanted(options, hostname, key, 0.0))
    for it in said:
        if isinstance(it, Unheard):
            what, _, remedy = it.why.partition("; ")
            yield Finding(FAILED, STEP, f"Nova gives no answer that can be used: {what}", remedy, 1)
        elif isinstance(it, Heard) and it.answer.servers:
            yield Finding(OK, STEP, f"Nova has {len(it.answer.servers)} servers on {hostname}")
        else:
            remedy = "if there should be some: is that its name in openstack compute service list?"
            yield Finding(NOTE, STEP, f"Nova has no server on {hostname}", remedy)
