"""The calls that may block: questions and commands to agents, and looks at a suspect's counters. Each in a bounded
pool."""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import Callable, NamedTuple

import libvirt
import libvirt_qemu

from heartbeat import procfs
from heartbeat.health.replies import Reply
from heartbeat.hypervisor import events, outstanding
from heartbeat.hypervisor.link import Asker, Link
from heartbeat.hypervisor.outstanding import Call, Outstanding
from heartbeat.message import About, Message, Replied
from heartbeat.observation import Answered, Sampled
from heartbeat.pool import Pool
from heartbeat.probe import Answer, Failure, question, read_failure, read_reply, read_value
from heartbeat.witness import Sample

log = logging.getLogger(__name__)
Post = Callable[[Message], None]

# Seconds after which a look does not return any more: QEMU's monitor has no timeout of its own.
LOOK_LIMIT = 8.0
# Seconds: a healthy agent has answered by then, so that the next question can wait for the one before it.
TOGETHER = 0.05
# Characters of an error's text, part of which is the guest's.
MOST_SAID = 1000
# Looks that may be written off at a time. Each holds one of libvirtd's workers until its QEMU goes on or ends.
LOST_LOOKS = 3
# Memory and disk need QEMU's monitor. NOWAIT only means that we do not wait for another client's call to it.
STATISTICS = (
    libvirt.VIR_DOMAIN_STATS_BALLOON | libvirt.VIR_DOMAIN_STATS_BLOCK | libvirt.VIR_DOMAIN_STATS_INTERFACE
)


class _Question(NamedTuple):
    uuid: str
    asked: float
    timeout: int


class _Command(NamedTuple):
    uuid: str
    token: int
    request: str
    timeout: int


class _Said(NamedTuple):
    """reply: the agent's. answer: why there is none, else ALIVE; error: libvirt's text of that. took: seconds."""

    reply: object
    answer: Answer = Answer.ALIVE
    error: str = ""
    took: float = 0.0


class Questions:
    """Asks agents, and gives them commands; slot n uses connection n alone. clock: monotonic seconds."""

    def __init__(self, link: Link, size: int, post: Post, clock: Callable[[], float] = time.monotonic) -> None:
        self._link, self._post, self._clock = link, post, clock
        self._outstanding = Outstanding(clock)
        self._pool: Pool[_Question | _Command] = Pool("question", size, self._ask, outstanding.LOST, TOGETHER)

    def put(self, uuid: str, asked: float, timeout: int) -> None:
        self._pool.put(_Question(uuid, asked, timeout))

    def command(self, uuid: str, token: int, request: str, timeout: int) -> None:
        self._pool.put(_Command(uuid, token, request, timeout))

    def expire(self) -> None:
        self._outstanding.expire(self._pool.write_off)

    def _ask(self, slot: int, job: _Question | _Command) -> None:
        number = random.getrandbits(31)
        request = job.request if isinstance(job, _Command) else question(number)
        unclear = _Said(None, Answer.UNCLEAR)
        call = self._outstanding.begin(slot, job.uuid, job.timeout, lambda: self._tell(job, unclear, number))
        said = unclear
        try:
            if call:
                said = self._say(call, job.uuid, request, job.timeout)
        except Exception:
            log.exception("asking guest %s failed", job.uuid)
        if call is None or self._outstanding.end(call):
            self._tell(job, said, number)

    def _tell(self, job: _Question | _Command, said: _Said, number: int) -> None:
        """number: in the question."""
        if isinstance(job, _Question):
            answer = said.answer if said.reply is None else read_reply(said.reply, number)
            self._post(About(job.uuid, Answered(answer, job.asked, self._clock() - job.asked)))
        elif said.reply is None:
            self._post(Replied(job.uuid, job.token, Reply(said.answer, None, said.error, said.took)))
        else:
            self._post(Replied(job.uuid, job.token, Reply(*read_value(said.reply), took=said.took)))

    def _say(self, call: Call, uuid: str, request: str, timeout: int) -> _Said:
        askers = self._link.askers
        if not askers:
            return _Said(None, Answer.LINK)
        if self._outstanding.occupies(askers[call.slot]):
            try:
                askers[call.slot] = Asker(self._link.connect(read_only=False))
            except libvirt.libvirtError:
                return _Said(None, Answer.LINK)
        asker = call.asker = askers[call.slot]
        began = time.monotonic()
        try:
            domain = asker.domain(uuid)
            began = time.monotonic()
            reply = libvirt_qemu.qemuAgentCommand(domain, request, timeout, 0)
        except libvirt.libvirtError as error:
            took = time.monotonic() - began
            asker.forget(uuid)
            if not asker.connection.isAlive():
                self._link.lost(asker)
            failure = Failure(error.get_error_code() or 0, error.get_error_domain() or 0)
            text = (error.get_error_message() or "")[:MOST_SAID]
            return _Said(None, read_failure(failure, took, timeout), text, took)
        except (UnicodeDecodeError, SystemError):
            # What the binding raises when a guest replies in something other than UTF-8.
            return _Said(None, Answer.GARBLED, "", time.monotonic() - began)
        return _Said(reply if isinstance(reply, str) else "", took=time.monotonic() - began)


class _Counters(NamedTuple):
    statistics: dict[str, int]
    job: str


_NOTHING = _Counters({}, "")


class Looks:
    """Takes samples, at most one of a guest at a time, each worker over a read-only connection of its own."""

    def __init__(self, link: Link, size: int, post: Post) -> None:
        self._link, self._post = link, post
        self._pool: Pool[str] = Pool("look", size, self._look, LOST_LOOKS)
        self._own = threading.local()
        self._lock = threading.Lock()
        self._waiting: dict[str, float] = {}  # uuid -> since when no worker has been free for it
        self._begun: dict[str, tuple[int, float]] = {}  # uuid -> slot, since when
        self._stuck: set[str] = set()  # written off, and not returned yet

    def put(self, uuid: str) -> None:
        with self._lock:
            self._waiting[uuid] = time.monotonic()
        self._pool.put(uuid)

    def stuck(self, uuid: str) -> str:
        """Why its QEMU is not to be asked for anything, "" if nothing is known."""
        with self._lock:
            return "QEMU's monitor has not answered an earlier call" if uuid in self._stuck else ""

    def expire(self) -> None:
        now = time.monotonic()
        with self._lock:
            # Every worker is stuck, and no more may be left behind: what /proc says can be had without one.
            for uuid in [uuid for uuid, since in self._waiting.items() if now - since > LOOK_LIMIT]:
                del self._waiting[uuid]
                self._report(uuid, _NOTHING, stuck=False)
            late = [(uuid, slot) for uuid, (slot, since) in self._begun.items() if now - since > LOOK_LIMIT]
            for uuid, slot in late:
                if self._pool.write_off(slot):
                    del self._begun[uuid]
                    self._stuck.add(uuid)
                    look = f"ps -o pid,stat,wchan $(pgrep -f {uuid}) shows what it waits for"
                    log.warning("guest %s: QEMU's monitor, or libvirt, does not answer; %s", uuid, look)
                    self._report(uuid, _NOTHING, stuck=True)

    def _look(self, slot: int, uuid: str) -> None:
        with self._lock:
            if self._waiting.pop(uuid, None) is None:
                return  # answered for already
            stuck = uuid in self._stuck
            if not stuck:
                self._begun[uuid] = (slot, time.monotonic())
        found = _NOTHING
        try:
            if not stuck:
                found = self._counters(uuid)
        except libvirt.libvirtError as error:
            self._own.connection = None
            log.debug("guest %s: no statistics: error %s", uuid, error.get_error_code())
        except Exception:
            log.exception("looking at guest %s failed", uuid)
        with self._lock:
            expected = stuck or self._begun.pop(uuid, None) is not None
            if not expected:
                self._stuck.discard(uuid)
        if expected:
            self._report(uuid, found, stuck)

    def _counters(self, uuid: str) -> _Counters:
        """libvirt's numbers of this guest, none while its monitor is not to be had; and what it is doing with it."""
        process = self._link.processes.get(uuid)
        if process and procfs.state(process) in ("T", "t", "D"):
            return _NOTHING
        connection = getattr(self._own, "connection", None)
        if connection is None or not connection.isAlive():
            connection = self._own.connection = self._link.connect(read_only=True)
        domain = connection.lookupByUUIDString(uuid)
        job = events.job(domain.jobInfo()[0])
        # With the monitor in another client's hands libvirt leaves out what it would have had to ask QEMU for.
        if domain.controlInfo()[0] != libvirt.VIR_DOMAIN_CONTROL_OK:
            return _Counters({}, job)
        found = connection.domainListGetStats([domain], STATISTICS, libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT)
        if domain.controlInfo()[0] != libvirt.VIR_DOMAIN_CONTROL_OK:
            return _Counters({}, job)
        return _Counters(dict(found[0][1]) if found else {}, job)

    def _report(self, uuid: str, found: _Counters, stuck: bool) -> None:
        statistics = found.statistics
        process = self._link.processes.get(uuid)
        sample = Sample(
            at=time.monotonic(),
            wall=time.time(),
            monitor=bool(statistics),
            balloon=statistics.get("balloon.last-update", 0),
            disk=_total(statistics, "block.", (".rd.reqs", ".wr.reqs")),
            net=_total(statistics, "net.", (".tx.pkts",)),
            cpus=procfs.vcpus(process) if process else {},
            process=procfs.state(process) if process else "",
            stuck=stuck,
            job=found.job,
        )
        self._post(About(uuid, Sampled(sample)))


def _total(statistics: dict[str, int], prefix: str, suffixes: tuple[str, ...]) -> int:
    return sum(number for name, number in statistics.items() if name.startswith(prefix) and name.endswith(suffixes))
