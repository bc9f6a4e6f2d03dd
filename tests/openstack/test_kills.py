"""The whole helper, killed again and again in the midst of its work: nobody misses a report, and nobody acts twice.

Real: the process, its ledger, its couriers and senders, HTTP, the operator's command. Not real: libvirt, whose guests
are lines of a file, and the receivers, which hold to what was measured of Vitrage, Mistral and Masakari.
"""
from __future__ import annotations

import collections
import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.harness.endpoint import Endpoint
from tests.harness.receivers import KEY
from tests.harness.wait import until

ROOT = Path(__file__).resolve().parents[2]
KILLS, GUESTS = 200, 50
ALL = ("masakari", "vitrage", "mistral", "webhook", "command")
CLEARED = ("vitrage", "webhook", "command")
CONFIG = """[report]
backends = {all}
hostname = compute1
[masakari]
auth_url = {url}
username = masakari
password = secret
[webhook]
url = {hook}
key = {key}
[command]
path = {folder}/alert
[budget]
in_flight = 1000
[fitness]
limit = 7
[log]
to = {folder}/log
[state]
directory = {folder}/state
"""
# One line to one file in one write: two runs at once would each leave a whole line.
ALERT = """#!/bin/sh
echo "$QGA_ID $QGA_EVENT $QGA_UUID $QGA_VERDICT $QGA_OPENED $QGA_NAME" >> {folder}/ran
"""


class Helper:
    """One node's helper through all its lives."""

    def __init__(self, folder: Path, endpoint: Endpoint) -> None:
        self.folder, self.endpoint, self.process = folder, endpoint, None
        self.guests = {f"25efc0bf-1659-4c83-b4e6-{number:012}": ["boot-1", "up"] for number in range(GUESTS)}
        (folder / "alert").write_text(ALERT.format(folder=folder))
        (folder / "alert").chmod(0o700)
        folder.chmod(0o700)
        text = CONFIG.format(all=", ".join(ALL), url=endpoint.auth_url, hook=endpoint.url + "/hook", key=KEY,
                             folder=folder)
        (folder / "qga.conf").write_text(text)
        (folder / "qga.conf").chmod(0o640)
        self.write()

    def write(self) -> None:
        """What libvirt shows of the guests from now on."""
        new = self.folder / "guests.new"
        new.write_text("".join(f"{uuid} {run} {state}\n" for uuid, (run, state) in self.guests.items()))
        os.replace(new, self.folder / "guests")

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.harness.killable", str(self.folder / "qga.conf"),
                   str(self.folder / "run"), str(self.folder / "guests")]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def rows(self, query: str) -> list[tuple]:
        connection = sqlite3.connect(f"file:{self.folder}/state/ledger.sqlite?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(query).fetchall()
        except sqlite3.OperationalError:    # not made yet
            return []
        finally:
            connection.close()

    def ran(self) -> list[list[str]]:
        path = self.folder / "ran"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def requests(self) -> int:
        """How many have arrived anywhere."""
        return len(self.endpoint.attempts) + sum(len(it) for it in self.endpoint.received.values())


@pytest.fixture
def helper(tmp_path):
    with Endpoint(hosts=("compute1",)) as endpoint:
        helper = Helper(tmp_path, endpoint)
        yield helper
        if helper.process:
            helper.kill()


def test_killed_at_two_hundred_moments_it_tells_everybody_of_every_incident_and_nobody_acts_twice(helper):
    seed = random.randrange(1 << 30)
    print("seed", seed)
    chance = random.Random(seed)
    helper.start()
    until(lambda: os.path.exists(helper.folder / "state/ledger.sqlite") and
          helper.rows("SELECT count(*) FROM armed") == [(GUESTS,)], "all guests to have answered", 120)
    helper.kill()
    well = list(helper.guests)
    chance.shuffle(well)
    for number in range(KILLS):
        helper.start()
        # Most lives see a burst of a few; a guest may also die before the helper lives again.
        time.sleep(chance.uniform(0, 0.2))
        for _ in range(chance.choice((0, 0, 1, 2)) if number < KILLS - 20 else len(well)):
            if well:
                helper.guests[well.pop()][1] = "dead"
        helper.write()
        if chance.random() < 0.5:
            time.sleep(chance.uniform(0, 0.8))
        else:   # just when something has arrived, and perhaps not been answered
            before, end = helper.requests(), time.monotonic() + 0.9
            while helper.requests() == before and time.monotonic() < end:
                time.sleep(0.001)
            time.sleep(chance.uniform(0, 0.01))
        helper.kill()
    helper.start()
    settled(helper, len(ALL) * GUESTS)
    for uuid in helper.guests:
        helper.guests[uuid] = ["boot-2", "up"]
    helper.write()
    for _ in range(10):
        time.sleep(chance.uniform(0.3, 1.0))
        helper.kill()
        helper.start()
    settled(helper, (len(ALL) + len(CLEARED)) * GUESTS)
    query = "SELECT count(*) FROM outcome WHERE outcome = 'recovered' AND done"
    until(lambda: helper.rows(query) == [(GUESTS,)], "every guest to be known as recovered", 60, 0.5)
    check(helper)


def settled(helper: Helper, count: int) -> None:
    query = "SELECT count(*) FROM delivery WHERE status = 'delivered'"
    until(lambda: helper.rows(query) == [(count,)], f"{count} deliveries", 120, 0.5)
    assert helper.rows("SELECT count(*) FROM delivery") == [(count,)], "and nothing else is owed, refused or expired"


def check(helper: Helper) -> None:
    endpoint, guests = helper.endpoint, sorted(helper.guests)
    # Acted on: once for each.
    assert sorted(it["payload"]["instance_uuid"] for it in endpoint.masakari.stored) == guests
    started = [json.loads(it["input"]) for it in endpoint.receiver("mistral").executions.values()]
    assert sorted(it["instance_uuid"] for it in started) == guests
    alarms = [("QgaQemuDied", uuid, state) for uuid in guests for state in ("firing", "resolved")]
    assert sorted(endpoint.receiver("vitrage").history) == alarms
    acted = [(it["guest"]["uuid"], it["event"]) for it in endpoint.receiver("webhook").acted]
    assert sorted(acted) == [(uuid, event) for uuid in guests for event in ("cleared", "failed")]
    assert all(acted.index((uuid, "failed")) < acted.index((uuid, "cleared")) for uuid in guests)
    # Sent: what was sent more than once was the same each time. A kill may cut a request off; that one is none.
    whole = [it.body for it in endpoint.attempts if isinstance(it.body, dict)]
    bodies = {"masakari": [json.dumps(body, sort_keys=True) for body in whole]}
    bodies.update({name: [it.body for it in attempts if len(it.body) == int(it.headers["Content-Length"])]
                   for name, attempts in endpoint.received.items()})
    bodies["command"] = [" ".join(line) for line in helper.ran()]
    repeated = {name: len(found) - len(set(found)) for name, found in bodies.items()}
    print("repeated", repeated)
    distinct = {name: len(set(found)) for name, found in bodies.items()}
    assert distinct == {name: GUESTS * (2 if name in CLEARED else 1) for name in ALL}
    numbers = collections.Counter(line[0] for line in helper.ran())
    assert len(numbers) == 2 * GUESTS
