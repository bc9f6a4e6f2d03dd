"""The helper as it is, but for libvirt: its guests are lines of a file. To be killed.

    python3 -m tests.harness.killable CONFIG DIRECTORY GUESTS

A line of GUESTS is a uuid, its incarnation, and "up" or "dead"; the file may be replaced at any time.
"""
from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from heartbeat import configuration, daemon
from heartbeat.evidence.portrait import Portrait, Wanted
from heartbeat.guest import Channel, Guest
from heartbeat.health.replies import Reply
from heartbeat.message import About, Inventory, Message, Replied
from heartbeat.observation import Answered, Observation, Sampled, Seen, Stopped
from heartbeat.probe import Answer
from heartbeat.witness import Sample

EVERY = 0.02        # seconds between two looks at the file


class Paper:
    """Stands in for heartbeat.hypervisor.Hypervisor."""

    file = Path()

    def __init__(self, uri: str, resync: float, post: Callable[[Message], None]) -> None:
        self._post = post
        self._known: dict[str, tuple[str, str]] = {}
        self._asked: queue.SimpleQueue[tuple[str, float]] = queue.SimpleQueue()

    def start(self) -> None:
        self._known = self._read()
        self._post(Inventory({uuid: _observation(uuid, *it) for uuid, it in self._known.items()}))
        threading.Thread(target=self._watch, daemon=True).start()
        threading.Thread(target=self._answer, daemon=True).start()

    def ask(self, uuid: str, asked: float, timeout: float) -> None:
        self._asked.put((uuid, asked))

    def look(self, uuid: str) -> None:
        self._post(About(uuid, Sampled(Sample(time.monotonic(), time.time(), False, 0, 0, 0, {}, "S"))))

    def command(self, uuid: str, token: int, execute: str, arguments: object, timeout: int) -> None:
        self._post(Replied(uuid, token, Reply(Answer.UNCLEAR)))

    def portray(self, uuid: str, wanted: Wanted) -> Wanted:
        return wanted

    def portrait(self, sitting: Wanted, seconds: float) -> Portrait:
        return Portrait().lacking(sitting.no_picture or "it is a guest on paper")

    def expire(self) -> None:
        pass

    def canary(self) -> float:
        return 0.001

    def resync(self, seconds: float) -> None:
        pass

    def stop(self) -> None:
        pass

    def _read(self) -> dict[str, tuple[str, str]]:
        rows = [line.split() for line in self.file.read_text().splitlines()]
        return {uuid: (run, state) for uuid, run, state in rows}

    def _watch(self) -> None:
        while True:
            time.sleep(EVERY)
            now = self._read()
            for uuid, it in now.items():
                if self._known.get(uuid) != it:
                    self._post(About(uuid, _observation(uuid, *it)))
            self._known = now

    def _answer(self) -> None:
        while True:
            uuid, asked = self._asked.get()
            self._post(About(uuid, Answered(Answer.ALIVE, asked)))


def _observation(uuid: str, run: str, state: str) -> Observation:
    if state == "dead":
        return Stopped(True, "failed")
    return Seen(Guest(uuid, f"instance-{uuid[-4:]}", Channel.OPEN, 10, 1), run)


def main() -> int:
    config, directory, Paper.file = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    daemon.Hypervisor = Paper  # type: ignore[misc, assignment]
    return daemon.run(configuration.load(config), "", directory)


if __name__ == "__main__":
    sys.exit(main())
