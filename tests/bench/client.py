"""Other clients of libvirt's, each a process of its own: `python3 -m tests.bench.client ROLE ARGUMENT...`.

floor INTERVAL UUID...  the least that asking guests can cost in Python: the libvirt calls that a question takes, and
                        nothing else. As many threads as the helper has for questions, each with a connection of its own
                        and its share of the guests, each of whom it asks at the guest's own place in the interval. As
                        in the helper a domain is looked up once, and a connection notices by its keepalive that
                        libvirtd hangs, for which libvirt's event loop runs. No queue, and nothing is decided.
listener                stamps what it hears of guests that end: prints monotonic seconds, uuid, event and detail.
bystander SECONDS       wants something all the time: the XML of one guest after the other, and the list of all between
                        any two. Prints each call's seconds, as JSON: {"XMLDesc": [...], "listAllDomains": [...]}.
"""
from __future__ import annotations

import itertools
import json
import sys
import threading
import time
from collections.abc import Sequence

import libvirt
import libvirt_qemu

from heartbeat.hypervisor import QUESTIONS
from heartbeat.probe import question

URI = "qemu:///system"
KEEPALIVE = (5, 3)  # seconds and times, as the helper's
PAUSE = 0.02        # s between two calls of the bystander


def floor(interval: str, *uuids: str) -> None:
    libvirt.virEventRegisterDefaultImpl()
    threading.Thread(target=_dispatch).start()
    began, numbered = time.monotonic(), list(enumerate(uuids))
    for share in range(min(QUESTIONS, len(uuids))):
        threading.Thread(target=_ask, args=(numbered[share::QUESTIONS], len(uuids), float(interval), began)).start()
    print("ready", flush=True)


def _ask(guests: Sequence[tuple[int, str]], count: int, interval: float, began: float) -> None:
    """For ever. guests: number among all `count`, and uuid."""
    connection, turn = libvirt.open(URI), 0
    connection.setKeepAlive(*KEEPALIVE)
    domains = {uuid: connection.lookupByUUIDString(uuid) for _, uuid in guests}
    while True:
        for number, uuid in guests:
            time.sleep(max(0.0, began + (turn + number / count) * interval - time.monotonic()))
            libvirt_qemu.qemuAgentCommand(domains[uuid], question(number), 5, 0)
        turn += 1


def listener() -> None:
    libvirt.virEventRegisterDefaultImpl()
    connection = libvirt.openReadOnly(URI)
    connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, _heard, None)
    print("ready", flush=True)
    _dispatch()


def _dispatch() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()


def _heard(_: object, domain: libvirt.virDomain, event: int, detail: int, _opaque: object) -> None:
    print(time.monotonic(), domain.UUIDString(), event, detail, flush=True)


def bystander(seconds: str) -> None:
    connection = libvirt.open(URI)
    taken: dict[str, list[float]] = {"XMLDesc": [], "listAllDomains": []}
    print("ready", flush=True)
    end = time.monotonic() + float(seconds)
    for domain in itertools.cycle(connection.listAllDomains()):
        for call in (domain.XMLDesc, connection.listAllDomains):
            time.sleep(PAUSE)
            began = time.monotonic()
            call()
            taken[call.__name__].append(time.monotonic() - began)
        if time.monotonic() > end:
            break
    print(json.dumps(taken), flush=True)


if __name__ == "__main__":
    {"floor": floor, "listener": listener, "bystander": bystander}[sys.argv[1]](*sys.argv[2:])
