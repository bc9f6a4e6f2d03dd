"""The helper's life: load, lock, log, start, turn, stop. Nothing imports this but the command line."""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import resource
import signal
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from heartbeat import __version__, configuration, connections, eventlog, privileges, requests
from heartbeat.arguments import DIED, NO_PERMISSION
from heartbeat.cluster import Cluster
from heartbeat.configuration import Configuration, ConfigurationError, ParameterError
from heartbeat.control import Bound, Control, Refused, bound
from heartbeat.discrepancies import Limits as NovaLimits
from heartbeat.evidence.archive import MIB
from heartbeat.evidence.archive import Limits as EvidenceLimits
from heartbeat.evidence.collection import Collection, Rules
from heartbeat.evidence.console import Console
from heartbeat.expectation import Question
from heartbeat.hostname import Hostname, resolve
from heartbeat.hypervisor import Hypervisor
from heartbeat.ledger import Ledger, LedgerError
from heartbeat.lock import Lock, Taken
from heartbeat.maintenance import Maintenance
from heartbeat.manual import ManualHold
from heartbeat.metrics import LISTEN, TEXTFILE, Metrics
from heartbeat.nova import Nova, Wanted
from heartbeat.owner import Owner
from heartbeat.policy import Policy, budget, limits
from heartbeat.reporting import Reporting
from heartbeat.settings import PARAMETERS
from heartbeat.snapshot import Snapshots
from heartbeat.tally import Tally

log = logging.getLogger(__name__)

# Turns of about a second after which holds by hand are read again: they end by wall time, which may be set back.
HOLDS_AGAIN = 60
FILES, FEWEST_FILES = 4096, 64  # open at a time: usual are thirty
# A user has its processes counted as root has not, and a limit of the cluster's service may end whoever lives for long.
LIMITS = {
    resource.RLIMIT_NOFILE: FILES,
    **dict.fromkeys(
        (resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE, resource.RLIMIT_CPU, resource.RLIMIT_AS, resource.RLIMIT_DATA),
        resource.RLIM_INFINITY,
    ),
}


def run(config: Configuration, node: str, directory: str) -> int:
    """Watch until told to stop; returns the exit code. node: this node's name in the cluster, "" if there is none.
    directory: for the lock and the control socket."""
    _detach()
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files < FEWEST_FILES:  # libvirt's library would abort some day
        why = f"{files} open files are too few; raise LimitNOFILE of the cluster's service to {FEWEST_FILES} or more"
        print(why, file=sys.stderr, flush=True)
        return DIED
    try:
        os.makedirs(directory, 0o700, exist_ok=True)
        lock = Lock(os.path.join(directory, "lock"), __version__)
        path = os.path.join(directory, "control.sock")
        made = bound(path)
        hostname = resolve(config)  # Nova's files may be nothing for us to read in a moment
        console = Console(config.text("evidence.console"))
        standing = privileges.drop(config, directory)
        eventlog.begin(config.text("log.to"), config.text("log.level"))
        log.log(logging.WARNING if standing.unwanted else logging.INFO, "%s", standing.text)
        console.become(os.geteuid(), os.getegid())
        helper = Helper(config, node, hostname, lock, path, made, console)
    except (Taken, LedgerError) as error:
        print(error, file=sys.stderr, flush=True)
        return DIED
    except RuntimeError as error:  # Python's word for a thread that the kernel refuses
        why = f"{error}; raise the limits of the cluster's service: TasksMax, LimitNPROC, memory"
        print(why, file=sys.stderr, flush=True)
        return DIED
    except OSError as error:
        print(f"{error.filename or directory}: {error.strerror}", file=sys.stderr, flush=True)
        return NO_PERMISSION if isinstance(error, PermissionError) else DIED
    return helper.run()


class Helper:
    """All parts, wired. Raises LedgerError, OSError."""

    def __init__(
        self, config: Configuration, node: str, hostname: Hostname, lock: Lock, path: str, made: Bound, console: Console
    ) -> None:
        self._config, self._node, self._lock, self._console = config, node, lock, console
        self._ledger = Ledger(config.text("state.directory"))
        tally = Tally()
        self._reporting = Reporting(config, node, hostname, self._ledger, wall, tally)
        uri, resync = config.text("libvirt.connection_uri"), config.number("watch.resync")
        policy = Policy(config)
        self._owner = Owner(
            policy.timing,
            self._ledger,
            self._reporting,
            lambda post: Hypervisor(uri, resync, post),
            wall,
            limits(config),
            budget(config),
            tally=tally,
        )
        self._evidence = Collection(
            config.text("state.directory"), _rules(config), self._ledger, self._owner.hypervisor, console.tail,
            self._reporting.wake, wall,
        )  # fmt: skip
        self._owner.evidence = self._evidence
        snapshots = Snapshots(
            self._owner, self._ledger, self._reporting, tally, wall, self._owner.ward.statuses, self._evidence.volume
        )
        self._metrics = Metrics(snapshots.take)
        self._reporting.aside = lambda: self._metrics.trouble
        self._owner.guests.manual = self._ledger.holds(wall())
        self._owner.govern(policy, self._nova_limits())
        self._nova = Nova(self._nova_wanted(), self._nova_question, self._owner.post)
        self._cluster = Cluster()
        self._maintenance = Maintenance(lambda: bool(self._owner.held or self._owner.ward.defined), self._ask_cluster)
        self._reporting.start(self._confirm, self._owner.here, self._owner.again)
        self._nova.start()
        self._maintenance.start()
        self._code = self._turns = 0
        self._control = Control(
            path,
            __version__,
            lambda: self._owner.progress,
            {
                "reload": self._reload,
                "settings": self._settings,
                **requests.handlers(self._owner, self._ledger, self._reporting, self._desk()),
            },
            made,
        )

    def _desk(self) -> requests.Node:
        guests = self._owner.guests

        def held(holds: Sequence[ManualHold]) -> None:
            guests.manual = holds

        return requests.Node(lambda: self._node, lambda: guests.budget, self._owner.fitness_of, held, wall)

    def _confirm(self, incident: int, acts: bool) -> str:
        """In a courier's thread: the cluster's word comes from a command, for which the owner loop has no time."""
        if acts:
            self._ask_cluster()
        return self._owner.confirm(incident, acts)

    def _ask_cluster(self) -> None:
        self._owner.held = self._cluster.held(self._node)

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._owner.stop())
        for note in self._config.notes:
            log.info("%s", note)
        backends = ", ".join(self._reporting.names)
        log.info("helper %s began, node %s, backends: %s", __version__, self._node or "unknown", backends or "none")
        print("ready", flush=True)
        _silence(1)
        self._metrics.configure(self._config.text(LISTEN), self._config.text(TEXTFILE))
        self._owner.run(self._every_turn)
        log.info("helper ends")
        self._control.close()
        self._nova.stop()
        self._maintenance.stop()
        self._metrics.stop()
        self._reporting.stop()
        self._console.close()
        return self._code

    def _nova_limits(self) -> NovaLimits | None:
        config = self._config
        if not config["nova.enabled"]:
            return None
        share, number = config.number("breaker.share"), int(config.number("breaker.number"))
        return NovaLimits(self._reporting.hostname.name, config.number("nova.dwell"), share, number)

    def _nova_wanted(self) -> Wanted | None:
        config = self._config
        if not config["nova.enabled"]:
            return None
        host, key = self._reporting.hostname.name, config.text("nova.metadata")
        return Wanted(connections.compute(config), host, key, config.number("nova.interval"))

    def _nova_question(self) -> Question | None:
        question: Question | None = self._owner.call(self._owner.question)
        return question

    def _read_holds(self) -> None:
        try:
            self._owner.guests.manual = self._ledger.holds(wall())
        except LedgerError as error:  # a ledger that fails for a while must not end the owner loop
            log.warning("holds by hand cannot be read again, those known stay in force: %s", error)

    def _every_turn(self) -> None:
        self._turns += 1
        if self._turns % HOLDS_AGAIN == 0:
            self._read_holds()
        if self._owner.guests.broken:
            log.error("the ledger is damaged; the helper ends, and Pacemaker starts it again with a new one")
            self._code = DIED
            self._owner.stop()
        if self._lock.lost():
            log.error("the lock file was removed; the helper ends, lest there be two, and Pacemaker starts it again")
            self._code = DIED
            self._owner.stop()

    def _settings(self, _: dict[str, Any]) -> dict[str, Any]:
        """The file and the resource's parameters that are in force, so that others can look at the same."""
        config = self._config
        given = {name: it for name, it in PARAMETERS.items() if config.origins[it.key] == f"parameter {name}"}
        parameters = {name: it.text(config[it.key]) for name, it in given.items()}
        return {"config": config.path, "parameters": parameters, "node": self._node}

    def _reload(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            config, hostname = self._given(request)
        except (ConfigurationError, ParameterError) as error:
            raise Refused(f"nothing was changed: {error}") from None
        changed, fixed = configuration.changes(self._config, config)
        self._node = str(request.get("node") or self._node)
        self._config = config
        self._reporting.reload(config, self._node, hostname)
        policy, nova = Policy(config), self._nova_limits()
        new = config.number("watch.resync"), limits(config), budget(config)
        rules = _rules(config)

        def take() -> None:
            self._owner.apply(*new)
            self._evidence.configure(rules)
            self._owner.govern(policy, nova)

        self._owner.call(take)
        self._nova.configure(self._nova_wanted())
        self._metrics.configure(config.text(LISTEN), config.text(TEXTFILE))
        log.info("reloaded; changed: %s", ", ".join(changed) or "nothing")
        if fixed:
            log.warning("changed only by a restart of the resource: %s", ", ".join(fixed))
        return {"changed": changed, "restart": fixed}

    def _given(self, request: dict[str, Any]) -> tuple[Configuration, Hostname]:
        """From the agent, which has read it all as root; from the files, which may be closed to us, only for one of an
        earlier version. Raises ConfigurationError, ParameterError."""
        sent = request.get("configuration")
        if sent is not None:
            return configuration.unpacked(sent), Hostname(*map(str, request["hostname"]))
        given = request.get("parameters") or {}
        config = configuration.load(self._config.path, {str(name): str(value) for name, value in given.items()})
        if os.geteuid() != 0:
            why = "the agent is of another version than the helper, which cannot read every file: restart the resource"
            raise ConfigurationError(self._config.path, 0, "", why)
        return config, resolve(config)


def wall() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")


def _rules(config: Configuration) -> Rules:
    keep, size, days = (config.number(f"evidence.{name}") for name in ("keep", "size", "days"))
    return Rules(config.text("evidence.screenshot"), EvidenceLimits(int(keep), int(size) * MIB, days * 86400.0))


def _detach() -> None:
    """What a caller may have left us with: its directory, umask, limits, ignored and blocked signals."""
    for limit, wanted in LIMITS.items():
        for most in (wanted, resource.getrlimit(limit)[1]):  # a container may not let us beyond what it set
            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(limit, (most, most))
                break
    os.chdir("/")
    os.umask(0o077)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    faulthandler.enable()


def _silence(descriptor: int) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, descriptor)
    os.close(nothing)


