"""Takes the evidence of incidents as they are opened, and looks after what is kept.

The owner loop hands over what it knows and goes on; two threads of their own ask libvirt and the console, and write.
Whatever goes wrong with that costs evidence, and no report: one that acts waits for it for at most WAIT seconds.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from heartbeat.case import completed
from heartbeat.evidence.archive import Archive, Limits
from heartbeat.evidence.capture import taken
from heartbeat.evidence.portrait import Portrait, Wanted
from heartbeat.evidence.scene import ON, Scene
from heartbeat.figures import Bundles
from heartbeat.incident import RECOVER
from heartbeat.ledger import Ledger, LedgerError
from heartbeat.outlook import Case
from heartbeat.pool import Pool
from heartbeat.settings import plain

log = logging.getLogger(__name__)

# Seconds that a report waits for evidence, with a margin below the two that are promised; of these, those that libvirt
# is given, and until a capture that has not begun asks for no picture any more: it would show a guest being recovered.
WAIT, LIBVIRT_LIMIT, LATE = 1.8, 1.2, 10.0
WORKERS, MOST_WAITING = 2, 64
# Of one guest's incidents that recover nobody, so many within an hour: a guest can open as many as it likes, by ending
# and starting its agent, and each would have another guest's evidence make room.
OFTEN, HOUR = 4, 3600.0
KEPT, LOST = "kept", "failed"
TIDY = 3600.0  # seconds between two looks at the age of what is kept


class Rules(NamedTuple):
    """screenshot: on, off or opt-in. limits: of what is kept; without a number nothing is taken."""

    screenshot: str = ON
    limits: Limits = Limits()


class Hypervisor(Protocol):
    """That part of heartbeat.hypervisor.Hypervisor."""

    def portray(self, uuid: str, wanted: Wanted) -> Any: ...

    def portrait(self, sitting: Any, seconds: float) -> Portrait: ...


class Collection:
    """begin(), awaited(), turn() and configure() are for the owner loop.

    state: the ledger's directory. console: gives the end of a guest's console, or "" and why there is none.
    done: called when a bundle is finished, or will not come. wall: UTC in ISO 8601. clock, date: monotonic seconds, and
    seconds since 1970.
    """

    def __init__(
        self,
        state: str,
        rules: Rules,
        ledger: Ledger,
        hypervisor: Hypervisor,
        console: Callable[[str], tuple[str, str]],
        done: Callable[[], None],
        wall: Callable[[], str],
        clock: Callable[[], float] = time.monotonic,
        date: Callable[[], float] = time.time,
    ) -> None:
        self.rules, self._ledger, self._hypervisor, self._console = rules, ledger, hypervisor, console
        self._done, self._wall, self._clock, self._date = done, wall, clock, date
        self._archive = Archive(state)
        # The owner loop counts what is lost: it never waits for a disk that does not come back.
        self._writing, self._counting = threading.Lock(), threading.Lock()
        self._pool: Pool[Scene | None] = Pool("evidence", WORKERS, self._perform)
        self._pending: dict[int, float] = {}  # incident -> when it was opened
        self._lately: dict[str, list[float]] = {}  # uuid -> when it took one of its OFTEN
        self._unfinished, self._tidied = True, float("-inf")
        self._trouble = ""
        self._captured = {KEPT: 0, LOST: 0}

    def volume(self) -> Bundles:
        """What is kept, and how often that succeeded since our start. For any thread."""
        return Bundles(*self._archive.volume, dict(self._captured))

    def begin(self, scene: Scene) -> None:
        """Take the evidence of this incident."""
        if not self.rules.limits.number or self._too_often(scene):
            return
        if len(self._pending) >= MOST_WAITING:
            self._failed(f"{MOST_WAITING} captures wait already", scene)
            return
        self._pending[scene.incident.id] = scene.case.now
        self._pool.put(scene)

    def awaited(self, incident: int, now: float) -> bool:
        """Whether its report is to wait for its evidence."""
        began = self._pending.get(incident)
        return began is not None and now - began < WAIT

    def configure(self, rules: Rules) -> None:
        if rules.limits != self.rules.limits:
            self._tidied = float("-inf")
        self.rules = rules

    def turn(self, now: float) -> None:
        """About once a second."""
        if now >= self._tidied + TIDY:
            self._tidied = now
            self._pool.put(None)
            self._lately = {uuid: times for uuid, times in self._lately.items() if now - times[-1] < HOUR}

    def _too_often(self, scene: Scene) -> bool:
        """Whether this guest has had its share. Recoveries have a budget of their own."""
        if scene.incident.action == RECOVER:
            return False
        uuid, now = scene.incident.uuid, scene.case.now
        times = [at for at in self._lately.get(uuid, ()) if now - at < HOUR]
        if len(times) >= OFTEN:
            log.debug("incident %d: no evidence, there is some of %d others of this hour", scene.incident.id, OFTEN)
            return True
        self._lately[uuid] = [*times, now]
        return False

    def _perform(self, _: int, scene: Scene | None) -> None:
        if scene is not None:
            try:
                self._guarded(scene, lambda: self._capture(scene))
            finally:
                self._pending.pop(scene.incident.id, None)
                self._done()  # whoever waits for it does not wait for what follows
        self._guarded(None, self._tidy)

    def _guarded(self, scene: Scene | None, step: Callable[[], None]) -> None:
        try:
            step()
        except OSError as error:
            self._failed(error.strerror or str(error), scene)
        except Exception as error:
            log.exception("evidence was not taken because of a bug in masakari-qga")
            self._trouble = repr(error)
            self._lost(scene)

    def _tidy(self) -> None:
        with self._writing:
            self._archive.tidy(self.rules.limits, self._date(), self._unfinished)
            self._unfinished = False

    def _capture(self, scene: Scene) -> None:
        uuid, begun, begun_at = scene.incident.uuid, self._wall(), self._clock()
        late = begun_at - scene.case.now > LATE
        no_picture = scene.no_picture or ("there were too many incidents at once" if late else "")
        sitting = self._hypervisor.portray(uuid, Wanted(no_picture, scene.disks))
        console = self._console(uuid)
        case = self._completed(scene)
        shown = self._hypervisor.portrait(sitting, max(begun_at + LIBVIRT_LIMIT - self._clock(), 0.0))
        times = {"begun": begun, "after": round(begun_at - scene.case.now, 3)}
        found = taken(scene, case, shown, console, times)
        found.manifest["taken"]["seconds"] = round(self._clock() - begun_at, 3)
        with self._writing:
            self._archive.put(scene.incident.id, found.manifest, found.files)
        self._count(KEPT)
        if self._trouble:
            log.info("evidence can be kept again")
            self._trouble = ""
        log.debug("incident %d: evidence taken in %.3f s", scene.incident.id, self._clock() - begun_at)

    def _completed(self, scene: Scene) -> Case:
        """The case with what the ledger knows; without it, where that fails."""
        try:
            return completed(scene.case, self._ledger, self._wall())
        except LedgerError:
            return scene.case

    def _failed(self, why: str, scene: Scene | None) -> None:
        why = plain(why, 200)
        if not self._trouble:  # one trouble may have many reasons, one after the other
            of = f"incident {scene.incident.id}" if scene else "older incidents"
            log.warning("%s: evidence is not kept, reports go on: %s; see %s", of, why, self._archive.path)
        self._trouble = why
        self._lost(scene)

    def _lost(self, scene: Scene | None) -> None:
        if scene is not None:
            self._count(LOST)

    def _count(self, result: str) -> None:
        with self._counting:
            self._captured[result] += 1


