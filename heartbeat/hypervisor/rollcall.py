"""Every guest's agent asked once, for an operator who wants to know before there is a helper."""

from __future__ import annotations

import random
import threading
import time
from queue import Empty, SimpleQueue

import libvirt
import libvirt_qemu

from heartbeat.guest import BadDomain, Channel, read
from heartbeat.probe import LIFE, Answer, Failure, question, read_failure, read_reply
from heartbeat.settings import plain

# Few, for Nova needs libvirtd's workers; each with a connection of its own, as in Hypervisor.
AT_ONCE = 4
TIMEOUT = 5  # seconds; libvirt waits that long for a silent agent anyway
WORDS = {Answer.SILENT: "silent", Answer.CLOSED: "channel closed", Answer.NOT_CONNECTED: "channel closed",
         Answer.NO_CHANNEL: "no channel", Answer.NOT_RUNNING: "not running", Answer.GONE: "gone",
         Answer.BUSY: "busy", Answer.DENIED: "refused by libvirt"}  # fmt: skip


class Unlisted(Exception):
    """libvirt does not list its guests; the text is its own, and plain."""


def call(uri: str, until: float) -> dict[str, str]:
    """By uuid: "answers", or why not. Those that nobody has come to at `until`, monotonic, are "not asked".

    Raises Unlisted.
    """
    libvirt.registerErrorHandler(lambda *_: None, None)
    found: dict[str, str] = {}
    waiting: SimpleQueue[str] = SimpleQueue()
    try:
        connection = libvirt.openReadOnly(uri)
        domains = connection.listAllDomains(0)
    except libvirt.libvirtError as error:
        raise Unlisted(plain(error.get_error_message() or "no reason given")) from None
    for domain in domains:
        uuid = domain.UUIDString()
        found[uuid] = _standing(domain)
        if not found[uuid]:
            found[uuid] = "not asked"
            waiting.put(uuid)
    connection.close()
    askers = [threading.Thread(target=_ask, args=(uri, until, waiting, found), daemon=True) for _ in range(AT_ONCE)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join(max(0.0, until - time.monotonic()))
    return dict(found)


def _standing(domain: libvirt.virDomain) -> str:
    """Why it need not be asked; "": it may answer."""
    try:
        if domain.state()[0] != libvirt.VIR_DOMAIN_RUNNING:
            return "not running"
        channel = read(domain.XMLDesc(0)).channel
    except libvirt.libvirtError:
        return "gone"
    except (BadDomain, UnicodeError):
        return "not understood"
    # libvirt logs an error for each question into a closed channel.
    return {Channel.ABSENT: "no channel", Channel.CLOSED: "channel closed"}.get(channel, "")


def _ask(uri: str, until: float, waiting: SimpleQueue[str], found: dict[str, str]) -> None:
    try:
        connection = libvirt.open(uri)
    except libvirt.libvirtError:
        return
    while until - time.monotonic() > TIMEOUT + 1:
        try:
            uuid = waiting.get_nowait()
        except Empty:
            return
        found[uuid] = "no answer from libvirt"  # until there is one
        found[uuid] = _answer(connection, uuid)


def _answer(connection: libvirt.virConnect, uuid: str) -> str:
    number, began = random.getrandbits(31), time.monotonic()
    try:
        domain = connection.lookupByUUIDString(uuid)
        began = time.monotonic()
        answer = read_reply(libvirt_qemu.qemuAgentCommand(domain, question(number), TIMEOUT, 0), number)
    except libvirt.libvirtError as error:
        failure = Failure(error.get_error_code() or 0, error.get_error_domain() or 0)
        answer = read_failure(failure, time.monotonic() - began, TIMEOUT)
    except (UnicodeDecodeError, SystemError):
        answer = Answer.GARBLED
    return "answers" if answer in LIFE else WORDS.get(answer, "not clear")
