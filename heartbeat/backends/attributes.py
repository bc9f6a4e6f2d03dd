"""Node attributes: what `crm_mon -A` shows of this node, and what alerts and rules of the cluster can act on.

A mirror, not a queue: only the latest values matter, so nothing of this stands in the ledger. Standard library only.
They are never removed here: the agent's stop does that, after our end, since whoever removes must be the last to write.
"""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from heartbeat.settings import HEALTH, plain

log = logging.getLogger(__name__)

NAME = "attributes"
COMMAND = "attrd_updater"
MAX_VALUE = 199
TIMEOUT = 5.0  # seconds for a command that takes 8 ms when the cluster is well
FIRST_RETRY, LAST_RETRY = 1.0, 30.0
GREEN, RED = "green", "red"  # Pacemaker's words
NONE = "none"  # an empty value would look like a display error in crm_mon

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


def summary(state: str, failed: Sequence[str], unhealthy: int = 0, health: str | None = None) -> dict[str, str]:
    """The attributes' values. state: "ok", "failed", "libvirt: ..."; failed: the uuids of the guests that have failed.
    What does not fit into a value is counted: "UUID,UUID,+3". unhealthy: how many have failed by a health check.

    health: GREEN or RED, None where the operator does not want it. Red says that the fault is the host's, for which
    many guests at once are the sign. Under any node-health-strategy but none Pacemaker then moves *every* resource
    away from this node, our own clone too: a helper that is stopped clears the attribute, the clone comes back, and so
    on for ever. Set its meta attribute allow-unhealthy-nodes=true where this is used. The guests stay: they are no
    resources.
    """
    uuids = sorted(failed)
    shown = uuids[:5]  # 5 x 37 characters and the rest's number
    rest = [f"+{len(uuids) - len(shown)}"] if len(uuids) > len(shown) else []
    values = {
        "qga-state": state,
        "qga-failed": str(len(uuids)),
        "qga-failed-vms": ",".join(shown + rest) or NONE,
        "qga-unhealthy": str(unhealthy),
    }
    if health is not None:
        values[HEALTH] = health
    return {name: safe(value) for name, value in values.items()}


def safe(value: str) -> str:
    """The value as Pacemaker keeps it exactly: printable ASCII, bounded, and in lower case, since a change of case only
    would be no change to it."""
    text = "".join(sign if " " <= sign <= "~" else "?" for sign in value[:MAX_VALUE].lower())
    text = text.strip(" ").lstrip("-")  # a leading hyphen would be read as an option
    # Pacemaker takes NAME++ and NAME+=N for arithmetic, and any value for such if its characters 6 and 7 say so.
    if text[5:7] in ("++", "+="):
        text = text[:5] + "-" + text[6:]
    return text or NONE


class Attributes:
    """Keeps the cluster's copy equal to what was last shown. show(), configure() and error are for any thread.

    node: the cluster's name for this node, "" if it is not known (then it is attrd's own, which is wrong on a remote
    node only). dampening, reassert: seconds, see the options of these names. run: subprocess.run, or a stand-in.
    """

    name = NAME

    def __init__(
        self,
        node: str,
        dampening: float,
        reassert: float,
        run: Run = subprocess.run,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._node, self._dampening, self._reassert = node, dampening, reassert
        self._run, self._clock = run, clock
        self._changed = threading.Condition()
        self._wanted: dict[str, str] = {}
        self._written: dict[str, str] = {}
        self._reassert_at = clock() + reassert
        self._retry, self._retry_at = FIRST_RETRY, clock()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self.error: str | None = None

    def show(self, values: Mapping[str, str]) -> None:
        """Replaces what is shown; returns at once."""
        with self._changed:
            # Not wanted any more must not mean red for ever, and green says nothing.
            switched_off = {HEALTH: GREEN} if HEALTH in self._wanted else {}
            self._wanted = {name: safe(value) for name, value in {**switched_off, **values}.items()}
            self._changed.notify()

    def configure(self, node: str, dampening: float, reassert: float) -> None:
        """Takes new settings, and writes everything once more with them."""
        with self._changed:
            self._node, self._dampening, self._reassert = node, dampening, reassert
            self._written.clear()
            self._changed.notify()

    def start(self) -> None:
        self._thread = threading.Thread(target=self._mirror, name=NAME, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, within the timeout of a command. Leaves the attributes as they are."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(TIMEOUT + 1)

    def _mirror(self) -> None:
        while True:
            wait = self.step()
            with self._changed:
                if not self._stopping and not self._due():
                    self._changed.wait(wait)
                if self._stopping:
                    return

    def step(self) -> float:
        """Writes what is due. Returns the seconds until there is something to do even if nothing changes."""
        with self._changed:
            if self._clock() >= self._reassert_at:  # a cluster that was restarted has forgotten them
                self._reassert_at = self._clock() + self._reassert
                self._written.clear()
            due = self._due()
        for name, value in due:
            why = self._write(name, value)
            with self._changed:
                self._record(name, value, why)
            if why:
                break  # the others would fail alike, each after the timeout
        with self._changed:
            wake_at = self._retry_at if self._differing() else self._reassert_at
            return max(wake_at - self._clock(), 0.0)

    def _due(self) -> list[tuple[str, str]]:
        return self._differing() if self._clock() >= self._retry_at else []

    def _differing(self) -> list[tuple[str, str]]:
        return [(name, value) for name, value in self._wanted.items() if self._written.get(name) != value]

    def _record(self, name: str, value: str, why: str | None) -> None:
        if why is None:
            if self.error:
                log.info("Node attributes can be set again.")
            self._written[name] = value
            self.error, self._retry = None, FIRST_RETRY
            return
        if why != self.error:
            log.warning("Node attributes cannot be set, crm_mon shows old ones: %s", why)
        self.error = why
        self._written.pop(name, None)  # a command that did not end may have had its effect
        self._retry_at = self._clock() + self._retry
        self._retry = min(self._retry * 2, LAST_RETRY)

    def _write(self, name: str, value: str) -> str | None:
        """None, or why not. The answer 0 says that the local attrd has it; the cluster has it a moment later."""
        # -B, not -U: only it dampens an attribute that exists already.
        command = [COMMAND, "-B", value, "-d", f"{self._dampening:g}s", "-n", name]
        command += ["-N", self._node] if self._node else []
        try:
            ran = self._run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"{COMMAND} did not end within {TIMEOUT:g} s; check pacemaker-attrd"
        except FileNotFoundError:
            return f"{COMMAND} is not installed; install Pacemaker's command line tools"
        except OSError as error:
            return f"{COMMAND} cannot be started: {error.strerror}"
        if ran.returncode == 0:
            return None
        # Its message repeats the value; the reason is what follows, and stays the same for the same trouble.
        said = ran.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2].rpartition(": ")[2]
        return f"{COMMAND} ends with status {ran.returncode}: {plain(said)}; check that the cluster runs here"
