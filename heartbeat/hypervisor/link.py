"""The connection to libvirt, made again for ever; the inventory; and which QEMU process is which guest's."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Container
from functools import partial
from queue import Empty, SimpleQueue
from typing import Callable

import libvirt

from heartbeat import procfs
from heartbeat.guest import BadDomain, read
from heartbeat.hypervisor import access, events
from heartbeat.message import About, Inventory, LinkDown, LinkUp, Message
from heartbeat.observation import Gap, Observation, Seen, Stopped, Vanished
from heartbeat.procfs import Process

log = logging.getLogger(__name__)

# Seconds until libvirt is tried again: at first, and at most.
RETRY, RETRY_MOST = 0.5, 10.0
# Seconds and count: a libvirtd that hangs is noticed after their product and a little more.
KEEPALIVE = (5, 3)
LOST = object()
# What raises libvirt's errors when it is our connection that fails, not the domain (virErrorDomain: RPC, REMOTE).
OUR_LINK = (libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE)

# The QEMU process ended though nobody asked for it. DAEMON (8): libvirtd could not take it over when it was restarted.
DIED = (libvirt.VIR_DOMAIN_SHUTOFF_CRASHED, libvirt.VIR_DOMAIN_SHUTOFF_FAILED, 8)


class Asker:
    """A connection over which one thread puts questions, with the domains that it knows: to find one is a call.

    The link's thread has it forget, meanwhile: each step of that is one operation on a dict.
    """

    def __init__(self, connection: libvirt.virConnect) -> None:
        self.connection = connection
        self._domains: dict[str, libvirt.virDomain] = {}

    def domain(self, uuid: str) -> libvirt.virDomain:
        """It may be gone meanwhile, which its next call says. Raises libvirtError."""
        domain = self._domains.get(uuid)
        if domain is None:
            domain = self._domains[uuid] = self.connection.lookupByUUIDString(uuid)
        return domain

    def forget(self, uuid: str) -> None:
        self._domains.pop(uuid, None)

    def forget_all_but(self, uuids: Container[str]) -> None:
        for uuid in [uuid for uuid in tuple(self._domains) if uuid not in uuids]:
            self.forget(uuid)


class Link:
    """One thread that connects, lists, and reads single domains again when events ask for it.

    Calls that list may block for a minute while libvirt kills a QEMU that does not die, hence the thread. Events and
    lists go over a read-only connection; of `askers` each thread that puts questions uses one alone.
    """

    def __init__(self, uri: str, resync: float, askers: int, post: Callable[[Message], None]) -> None:
        self.resync, self._uri, self._count, self._post = resync, uri, askers, post
        self.askers: list[Asker] = []
        self.processes: dict[str, Process] = {}
        self._runs: dict[str, tuple[int, str]] = {}  # libvirt's number of the domain, and the incarnation's name
        self._boot = procfs.boot_id()[:8]
        self._wanted: SimpleQueue[object] = SimpleQueue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="libvirt-link", daemon=True)
        self._bad: set[str] = set()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._wanted.put(LOST)

    def refresh(self, uuid: str) -> None:
        """Read this domain again soon."""
        self._wanted.put(uuid)

    def runs(self, uuid: str) -> bool:
        """Whether the QEMU process that we know of this guest is alive. From any thread."""
        process = self.processes.get(uuid)
        return process is not None and procfs.state(process) not in procfs.ENDED

    def lost(self, asker: Asker) -> None:
        """This connection is dead. All are made anew, unless it is none of the present ones."""
        if asker in self.askers:
            self._wanted.put(LOST)

    def connect(self, read_only: bool) -> libvirt.virConnect:
        """A further connection. May block as long as libvirtd hangs. Raises libvirtError."""
        connection = libvirt.openReadOnly(self._uri) if read_only else libvirt.open(self._uri)
        try:
            connection.setKeepAlive(*KEEPALIVE)
        except libvirt.libvirtError:
            log.debug("this libvirt driver has no keepalive")
        return connection

    def _run(self) -> None:
        delay = RETRY
        while not self._stopping.is_set():
            why, remedy = "closed", ""
            watcher, registered = None, []
            try:
                watcher = self.connect(read_only=True)
                self._wanted = SimpleQueue()
                watcher.registerCloseCallback(lambda *_: self._wanted.put(LOST), None)
                # Events first, then the list: what happens in between is seen twice rather than never.
                registered = events.register(watcher, self._post, self.refresh, self.runs)
                self.askers = [Asker(self.connect(read_only=False)) for _ in range(self._count)]
                self._post(LinkUp())
                delay = RETRY
                self._serve(watcher)
                why = "libvirt closed the connection"
            except libvirt.libvirtError as error:
                why, remedy = access.trouble(error, root=os.geteuid() == 0), access.remedy(error, self._uri)
            except Exception:
                log.exception("reading libvirt failed; it is connected anew")
                why = "a failure of ours, see the log"
            self._post(LinkDown(why, remedy))
            self._leave(watcher, registered)
            self._stopping.wait(delay)
            delay = min(delay * 2, RETRY_MOST)

    def _leave(self, watcher: libvirt.virConnect | None, registered: list[int]) -> None:
        """Give back what the connections hold; on a dead connection each step fails and does its local half.

        The askers are only let go of. A call that is in one of them in another thread has no reference of its own on
        libvirt's side, and close() would free the connection under it; as it is, it is freed when the last call ends.
        """
        self.askers = []
        steps: list[Callable[[], object]] = []
        if watcher:
            steps = [partial(watcher.domainEventDeregisterAny, number) for number in registered]
            steps += [watcher.unregisterCloseCallback, watcher.close]
        for step in steps:
            try:
                step()
            except libvirt.libvirtError:
                pass

    def _serve(self, watcher: libvirt.virConnect) -> None:
        next_list = 0.0
        while not self._stopping.is_set():
            if time.monotonic() >= next_list:
                self._list(watcher)
                next_list = time.monotonic() + self.resync
            try:
                wanted = self._wanted.get(timeout=max(next_list - time.monotonic(), 0))
            except Empty:
                continue
            if wanted is LOST:
                return
            try:
                domain = watcher.lookupByUUIDString(wanted)
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                    raise
                self._post(About(str(wanted), Vanished()))
                continue
            observation = self._observe(domain)
            if observation:
                self._post(About(str(wanted), observation))

    def _list(self, watcher: libvirt.virConnect) -> None:
        found: dict[str, Observation] = {}
        for domain in watcher.listAllDomains(0):
            observation = self._observe(domain)
            if observation:
                found[domain.UUIDString()] = observation
        self.processes = {uuid: process for uuid, process in self.processes.items() if uuid in found}
        self._runs = {uuid: run for uuid, run in self._runs.items() if uuid in found}
        for asker in self.askers:
            asker.forget_all_but(found)
        self._post(Inventory(found))

    def _observe(self, domain: libvirt.virDomain) -> Observation | None:
        """What libvirt says of a domain now; None of one that went away meanwhile.

        One that cannot be read or understood is there all the same, so it is a Gap: to leave it out would say that it
        is gone. Raises libvirtError where the connection is to blame.
        """
        uuid = domain.UUIDString()
        try:
            state, reason = domain.state()
            if state == libvirt.VIR_DOMAIN_SHUTOFF:
                return Stopped(reason in DIED, events.name("VIR_DOMAIN_SHUTOFF_", reason), domain.name())
            guest = read(domain.XMLDesc(0))
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                return None
            if error.get_error_domain() in OUR_LINK:
                raise
            return self._unread(uuid, f"libvirt cannot describe it (error {error.get_error_code()})")
        except (BadDomain, UnicodeError) as error:
            return self._unread(uuid, str(error) if isinstance(error, BadDomain) else "its XML is not UTF-8")
        self._bad.discard(uuid)
        return Seen(guest, self._incarnation(uuid, domain.ID()), events.paused(state, reason))

    def _unread(self, uuid: str, why: str) -> Gap:
        if uuid not in self._bad:
            log.warning("guest %s is not watched: %s; virsh dumpxml %s says more", uuid, why, uuid)
            self._bad.add(uuid)
        return Gap(why, True)

    def _incarnation(self, uuid: str, number: int) -> str:
        """A name for this run of the guest that survives our restart, libvirtd's, and is never used again.

        number: libvirt's, of this run; -1 once it is over.
        """
        if not self.runs(uuid):
            self.processes = {**self.processes, **procfs.qemu_processes()}
        # For libvirt a QEMU that has just died still runs. That must not look like a new incarnation, or the death
        # would be that of a guest that never answered.
        known, name = self._runs.get(uuid, (number, ""))
        if self.runs(uuid):
            process = self.processes[uuid]
            name = f"{self._boot}-{process.pid}-{process.started}"
        elif not name or number not in (known, -1):
            name = f"{self._boot}-domain-{number}"  # no QEMU that we can see: another pid namespace
        self._runs[uuid] = (known if number == -1 else number, name)
        return name
