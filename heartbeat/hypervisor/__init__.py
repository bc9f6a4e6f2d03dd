"""libvirt: the only place that imports it. What it learns goes to the owner loop as messages; it decides nothing."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import Callable

import libvirt

from heartbeat.evidence.portrait import Portrait, Wanted
from heartbeat.hypervisor.calls import Looks, Questions
from heartbeat.hypervisor.canary import Canary
from heartbeat.hypervisor.link import Link
from heartbeat.hypervisor.portraits import Portraits, Sitting
from heartbeat.message import Message
from heartbeat.probe import request
from heartbeat.settings import plain

log = logging.getLogger(__name__)

# Calls of ours that may be out at a time: Nova needs its share of libvirtd's twenty workers. Each has a connection
# of its own: libvirt's client before 10.4 crashes when two threads are in calls on one connection and it is lost (the
# stale event source of CVE-2024-4418), and libvirtd stops reading one that has five calls in flight.
QUESTIONS, LOOKS = 6, 2


class Hypervisor:
    """Keeps libvirt connected for ever and puts what it says into the owner's queue through `post`.

    uri: libvirt's address. resync: seconds between two complete inventories.
    """

    def __init__(self, uri: str, resync: float, post: Callable[[Message], None]) -> None:
        self._link = Link(uri, resync, QUESTIONS, post)
        self._questions = Questions(self._link, QUESTIONS, post)
        self._looks = Looks(self._link, LOOKS, post)
        self._portraits = Portraits(self._link)
        self._canary = Canary(self._link.connect)

    def start(self) -> None:
        libvirt.registerErrorHandler(lambda *_: None, None)  # or else every error is printed on stderr
        # Before the first open. The loop needs a thread of its own: libvirt adds watches from any thread that calls it.
        libvirt.virEventRegisterDefaultImpl()
        threading.Thread(target=_dispatch, name="libvirt-events", daemon=True).start()
        self._link.start()
        self._canary.start()

    def ask(self, uuid: str, asked: float, timeout: int) -> None:
        """Put one question; `Answered` with the same `asked` follows, always. timeout: whole seconds."""
        self._questions.put(uuid, asked, timeout)

    def command(self, uuid: str, token: int, execute: str, arguments: Mapping[str, object], timeout: int) -> None:
        """Give the agent a command; `Replied` with the same `token` follows, always. timeout: whole seconds. The caller
        sees to it that nothing else is out to this guest: a second call would wait for the first, and longer than its
        own timeout."""
        self._questions.command(uuid, token, request(execute, arguments), timeout)

    def look(self, uuid: str) -> None:
        """Take one sample; `Sampled` follows, always, with what could be had."""
        self._looks.put(uuid)

    def portray(self, uuid: str, wanted: Wanted) -> Sitting:
        """Begin to fetch what libvirt shows of a guest that has failed. From any thread; `portrait` ends it."""
        stuck = self._looks.stuck(uuid)
        return self._portraits.begin(uuid, wanted._replace(no_picture=wanted.no_picture or stuck) if stuck else wanted)

    def portrait(self, sitting: Sitting, seconds: float) -> Portrait:
        """What has come of it within so many seconds."""
        return self._portraits.finish(sitting, seconds)

    def expire(self) -> None:
        """Write off looks and questions that do not return, and answer for them. To be called about once a second."""
        self._looks.expire()
        self._questions.expire()

    def canary(self) -> float | None:
        """Seconds that libvirt takes to answer a call that touches no guest, the one that is out included; None while
        it is away."""
        return self._canary.seconds

    def resync(self, seconds: float) -> None:
        """Change the time between two inventories."""
        self._link.resync = seconds

    def stop(self) -> None:
        self._canary.stop()
        self._link.stop()


def unreachable(uri: str) -> str:
    """Why libvirt does not answer at this address, or "". Blocks as long as a libvirtd that hangs."""
    libvirt.registerErrorHandler(lambda *_: None, None)
    try:
        libvirt.openReadOnly(uri).close()
    except libvirt.libvirtError as error:
        return plain(error.get_error_message() or "no reason given")
    return ""


def _dispatch() -> None:
    while True:
        try:
            libvirt.virEventRunDefaultImpl()
        except Exception:
            log.exception("libvirt's event loop failed; it goes on")
            time.sleep(1)
