"""Guests of one node, each called by the part that it plays, the helper that watches them, and whom it reports to."""
from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from tests.harness.endpoint import Attempt, Endpoint
from tests.harness.guests import Guest
from tests.harness.helper import Helper, settings
from tests.harness.wait import until

# The shortest times that the helper accepts, or near them: nothing depends on their length but the tests' own.
FAST = {"interval": 2, "silence": 12, "agent_down": 5}
# Seconds after which a guest that will ever be found hung, with these, has been: silence, and two questions around it.
LONG = 25.0


class Ward:
    """Use as a context manager; the helper is started by the test, and killed at the end.

    folder: for the helper's files. make: a guest from its hardware. watch: the helper's options of that section;
    sections: its others.
    """

    def __init__(self, folder: Path, make: Callable[..., Guest], watch: Mapping[str, object],
                 **sections: Mapping[str, object]) -> None:
        self.endpoint, self._make, self.folder = Endpoint(), make, folder
        self._sections = {"watch": watch, **sections}
        self.guests: dict[str, Guest] = {}

    def __enter__(self) -> Ward:
        self.endpoint.open()
        self.helper = Helper(self.folder, settings(self.folder, self.endpoint, **self._sections))
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.helper.__exit__()
        finally:
            self.endpoint.refuse()
        # shown by pytest if a test failed
        for name in ("log", "stderr"):
            if (self.folder / name).exists():
                print(f"--- the helper's {name}\n{(self.folder / name).read_text()}---")

    def __getitem__(self, part: str) -> Guest:
        return self.guests[part]

    def add(self, part: str, **hardware: object) -> Guest:
        """A guest for a part, not started."""
        self.guests[part] = self._make(**hardware)
        return self.guests[part]

    def boot(self, *parts: str, **hardware: object) -> None:
        """One guest for each part, side by side, until all answer that have an agent. Unless said otherwise their
        balloons report each second: how long the kernel must be seen still depends on it."""
        new = {part: self.add(part, **{"balloon_period": 1, **hardware}) for part in parts}
        together(*(guest.start for guest in new.values()))
        if hardware.get("agent", True):
            together(*(partial(guest.wait_agent, 180) for guest in new.values()))

    def watch(self) -> None:
        """Start the helper, and wait until it takes every guest for healthy."""
        self.helper.start()
        self.wait("healthy", *self.guests)

    def reset(self, **sections: Mapping[str, object]) -> None:
        """Give the running helper these options besides those that it had."""
        self._sections = {name: {**self._sections.get(name, {}), **sections.get(name, {})}
                          for name in {**self._sections, **sections}}
        self.helper.config.write_text(settings(self.folder, self.endpoint, **self._sections))
        self.helper.command("reload", parameters={}, node=None)

    # What the helper says

    def seen(self, part: str) -> dict:
        """The guest as status shows it; empty if it does not."""
        return self.helper.guest(self[part].uuid)

    def state(self, part: str) -> str:
        return self.helper.state(self[part].uuid)

    def wait(self, state: str, *parts: str, seconds: float = 90.0) -> None:
        for part in parts:
            try:
                self.helper.wait_state(self[part].uuid, state, seconds=seconds)
            except AssertionError as error:
                raise AssertionError(f"{part}: {error}; status shows {self.seen(part)}") from None

    def answers(self, *parts: str, rounds: int = 1, seconds: float = 15.0) -> None:
        """Until each has answered so many questions more, a round of them all within the time given."""
        for number in range(rounds):
            marks = {part: self._answered(part) for part in parts}
            # two dates of the same moment may differ by one second
            until(lambda marks=marks: all(self._answered(part) - mark > timedelta(seconds=1)
                                          for part, mark in marks.items()),
                  f"answer {number + 1} of {', '.join(parts)}", seconds, 0.2)

    def deliveries(self, part: str) -> str:
        """State of the report of the open incident; empty if there is none."""
        return ((self.seen(part).get("incident") or {}).get("deliveries") or {}).get("masakari", "")

    def backend(self) -> dict:
        return next(it for it in self.helper.status()["backends"] if it["name"] == "masakari")

    def _answered(self, part: str) -> datetime:
        """When it answered last, or long ago if this helper has not heard it yet."""
        return datetime.fromisoformat(self.seen(part)["last_answer"] or "2000-01-01T00:00:00+00:00")

    # What others say

    def attempts(self, *parts: str) -> list[Attempt]:
        """Every POST about these guests."""
        uuids = [self[part].uuid for part in parts]
        return [it for it in list(self.endpoint.attempts) if it.notification["payload"]["instance_uuid"] in uuids]

    def stored(self, *parts: str) -> list[Attempt]:
        return [it for it in self.attempts(*parts) if it.stored]

    def incidents(self, part: str) -> list[tuple[str, str, str, str]]:
        """Verdict, action, why it is over ("" while it is open), and state of its report ("" if none is due) of each
        incident on disk, oldest first."""
        return self.ledger("SELECT verdict, action, coalesce(closed_why, ''), coalesce(status, '') FROM incident"
                           " LEFT JOIN delivery ON incident_id = incident.id WHERE uuid = ? ORDER BY incident.id",
                           self[part].uuid)

    def ledger(self, query: str, *values: object) -> list[tuple]:
        """What the helper has on disk."""
        ledger = sqlite3.connect(f"file:{self.folder}/state/ledger.sqlite?mode=ro", uri=True, timeout=30)
        try:
            return ledger.execute(query, values).fetchall()
        finally:
            ledger.close()


def together(*actions: Callable[[], object], width: int = 32) -> None:
    """So many at once, in threads; raises what the first that failed raised, when all have ended."""
    with ThreadPoolExecutor(width) as pool:
        for done in [pool.submit(action) for action in actions]:
            done.result()


def settle(begun: float, seconds: float = LONG) -> None:
    """Sleep until so many seconds after `begun` (monotonic) nothing can be expected to happen any more."""
    time.sleep(max(0.0, begun + seconds - time.monotonic()))


def payloads(attempts: Iterable[Attempt]) -> list[dict]:
    return [attempt.notification["payload"] for attempt in attempts]
