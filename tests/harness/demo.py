"""`make demo`: on a real node a real guest hangs, and everything that follows is shown as it happens.

    /usr/bin/python3 -m tests.harness.demo
"""
from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from tests.harness import cell, image
from tests.harness.cluster import PATH
from tests.harness.guests import Guest
from tests.harness.node import RESOURCE, Node
from tests.harness.wait import until

PROMISE = 30.0  # seconds from the hang to the notification, with default settings


class Stage:
    """Prints what happens, with the seconds since the beginning, or since the hang once there is one."""

    def __init__(self) -> None:
        self._from, self._word = time.monotonic(), ""

    def mark(self, word: str) -> None:
        self._from, self._word = time.monotonic(), word

    def elapsed(self) -> float:
        return time.monotonic() - self._from

    def say(self, text: str, body: str = "") -> None:
        print(f"\n[{self.elapsed():6.1f} s{self._word}] {text}", flush=True)
        if body:
            print("    " + body.strip().replace("\n", "\n    "), flush=True)


def run() -> int:
    stage = Stage()
    stage.say("starting libvirtd, corosync, Pacemaker, and a recording endpoint in Masakari's place")
    with Node() as node:
        guests = [Guest(number) for number in (1, 2, 3)]
        stage.say("starting three guests with the real qemu-ga")
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda guest: guest.start().wait_agent(), guests))
        stage.say(f"pcs resource create {RESOURCE} ocf:masakari:qga clone")
        node.create()
        for guest in guests:
            node.wait_state(guest.uuid, "healthy")
        stage.say("masakari-qga status", node.table())
        node.wait_attribute("qga-state", "ok")
        stage.say("crm_mon -1A", crm_mon())

        victim = guests[1]
        victim.halt()
        stage.mark(" after the hang")
        stage.say(f"{victim.name}: its only CPU executes nothing any more; libvirt still calls it running")
        node.wait_state(victim.uuid, "suspect")
        stage.say("masakari-qga status", node.table())
        notification = node.endpoint.wait(1)[0]
        reported = stage.elapsed()
        stage.say("Masakari received", json.dumps(notification.body, indent=2))
        node.wait_attribute("qga-failed", "1")
        stage.say("crm_mon -1A", crm_mon())
        stage.say("masakari-qga status", node.table())

        stage.say(f"stopping and starting {victim.name}, as Masakari's engine would")
        victim.destroy()
        victim.start()
        for guest in guests:
            node.wait_state(guest.uuid, "healthy")
        node.wait_attribute("qga-state", "ok")
        until(lambda: not any(guest["incident"] for guest in node.status()["guests"]), "no incident to be open")
        stage.say("everything is clear again: masakari-qga status", node.table())
        stage.say("crm_mon -1A", crm_mon())
        stage.say("stopping all")
    print(f"\nreported {reported:.1f} s after the hang; promised within {PROMISE:g} s with default settings")
    return 0 if reported <= PROMISE else 1


def crm_mon() -> str:
    shown = subprocess.run(["crm_mon", "-1A"], env=PATH, capture_output=True, text=True, timeout=60).stdout
    return shown[shown.index("Node List"):] if "Node List" in shown else shown


def main() -> int:
    if cell.MARK.exists():
        return run()
    image.build()
    return cell.run([sys.executable, "-m", "tests.harness.demo"])


if __name__ == "__main__":
    sys.exit(main())
