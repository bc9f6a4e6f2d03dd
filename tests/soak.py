"""An hour of a compute node's everyday life, in which nobody may be recovered.

    python3 -m tests.soak [--minutes 60] [--guests 20] [--seed N]

Real guests reboot, pause, are saved and restored, frozen, dumped and migrated at random, agents are restarted, and
libvirtd is restarted, killed or stopped for a while every few minutes. Run it in a cell. It ends with exit status 0 if
nothing asked for a recovery and the helper has not grown.
"""
from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import libvirt

from tests.harness import cell
from tests.harness.guests import Guest
from tests.harness.hypervisor import Libvirtd
from tests.harness.neighbour import Neighbour
from tests.harness.wait import Overdue, until
from tests.harness.ward import Ward

ACTORS = 4      # guests that something happens to at a time
EVERY = 300.0   # seconds between two rows of the table
# In the first half of the run the helper loads, allocates and starts the threads that it ever will, the bounded pools
# of them for calls that block. What it has at the end may be more than the most in that half by:
GROWTH, THREADS, DESCRIPTORS = 1.05, 1, 4
DESERVED = "action IN ('recover', 'observed', 'suspended')"


class Size(NamedTuple):
    rss: int        # KiB
    threads: int
    descriptors: int


class Soak:
    """guests: a ward that is watched. Everything random comes from one seed."""

    def __init__(self, ward: Ward, libvirtd: Libvirtd, neighbour: Neighbour, seed: int) -> None:
        self._ward, self._libvirtd, self._neighbour = ward, libvirtd, neighbour
        self._random = random.Random(seed)
        self._busy: set[str] = set()
        self._lock, self._calm = threading.Lock(), threading.Lock()
        self.done: Counter[str] = Counter()
        self.ends = 0.0

    def run(self, minutes: float) -> None:
        self.ends = time.monotonic() + minutes * 60
        with ThreadPoolExecutor(ACTORS + 1) as pool:
            acting = [pool.submit(self._act) for _ in range(ACTORS)] + [pool.submit(self._trouble)]
            for it in acting:
                it.result()

    def _act(self) -> None:
        while time.monotonic() < self.ends:
            with self._lock:
                part = self._random.choice([part for part in self._ward.guests if part not in self._busy])
                self._busy.add(part)
                deed = self._random.choice(DEEDS)
                rest = self._random.uniform(2, 10)
            try:
                deed(self, self._ward[part])
                word = deed.__name__
            except (libvirt.libvirtError, Overdue, OSError) as error:
                # libvirtd was away, or the guest was still booting: it is put right, and that is all that matters here.
                word = f"{deed.__name__} did not succeed"
                self._restore(self._ward[part], error)
            with self._lock:
                self.done[word] += 1
                self._busy.discard(part)
            time.sleep(rest)

    def _restore(self, guest: Guest, error: Exception) -> None:
        """The guest runs here and answers, whatever went wrong."""
        def back() -> bool:
            if self._neighbour.has(guest):
                self._neighbour.give_back(guest)
            if not guest.domain.isActive():
                guest.domain.create()
            if guest.domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED:
                guest.resume()
            return True
        until(back, f"{guest} to run again after {error!r}", 180, 1.0, despite=(libvirt.libvirtError,))

    def _trouble(self) -> None:
        """libvirtd is away for a while, every few minutes."""
        while time.monotonic() < self.ends:
            time.sleep(min(self._random.uniform(60, 180), max(self.ends - time.monotonic(), 0)))
            kind = self._random.choice(("restarted", "killed", "stopped for a while", "SIGSTOPped"))
            with self._calm:
                if kind == "SIGSTOPped":
                    self._libvirtd.freeze()
                    time.sleep(self._random.uniform(2, 40))
                    self._libvirtd.thaw()
                else:
                    (self._libvirtd.kill if kind == "killed" else self._libvirtd.stop)()
                    time.sleep(self._random.uniform(5, 40) if kind == "stopped for a while" else 0)
                    self._libvirtd.start()
            self.done[f"libvirtd {kind}"] += 1


def reboot(soak: Soak, guest: Guest) -> None:
    guest.reboot()
    time.sleep(6)
    guest.wait_agent(120)


def reset(soak: Soak, guest: Guest) -> None:
    guest.domain.reset()
    time.sleep(2)
    guest.wait_agent(120)


def restart(soak: Soak, guest: Guest) -> None:
    guest.destroy()
    time.sleep(1)
    guest.start()
    guest.wait_agent(120)


def pause(soak: Soak, guest: Guest) -> None:
    guest.suspend()
    time.sleep(soak._random.uniform(1, 60))
    guest.resume()


def save_and_restore(soak: Soak, guest: Guest) -> None:
    guest.save()
    time.sleep(soak._random.uniform(0, 20))
    guest.restore()


def dump(soak: Soak, guest: Guest) -> None:
    guest.dump(live=soak._random.random() < 0.5)


def freeze_file_systems(soak: Soak, guest: Guest) -> None:
    guest.slow_freeze(soak._random.choice((0, 5, 20)))
    guest.freeze()
    time.sleep(soak._random.uniform(0, 20))
    guest.thaw()
    guest.slow_freeze(0)


def migrate(soak: Soak, guest: Guest) -> None:
    soak._neighbour.take(guest)
    time.sleep(soak._random.uniform(0, 15))
    soak._neighbour.give_back(guest)


def restart_agent(soak: Soak, guest: Guest) -> None:
    guest.stop_agent()
    time.sleep(soak._random.uniform(0, 90))
    guest.start_agent()


def hang_agent(soak: Soak, guest: Guest) -> None:
    guest.freeze_agent()
    time.sleep(soak._random.uniform(5, 60))
    guest.thaw_agent()


def work(soak: Soak, guest: Guest) -> None:
    guest.load()
    time.sleep(soak._random.uniform(5, 30))
    guest.unload()


DEEDS: list[Callable[[Soak, Guest], None]] = [
    reboot, reset, restart, pause, save_and_restore, dump, freeze_file_systems, migrate, migrate, restart_agent,
    hang_agent, work,
]


def size(pid: int) -> Size:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return Size(int(status["VmRSS"].split()[0]), int(status["Threads"]), len(list(Path(f"/proc/{pid}/fd").iterdir())))


def most(sizes: Sequence[Size]) -> Size:
    return Size(*(max(values) for values in zip(*sizes)))


def row(soak: Soak, ward: Ward, begun: float, now: Size) -> str:
    found = dict(ward.ledger("SELECT verdict || ' ' || action, count(*) FROM incident GROUP BY 1"))
    incidents = ", ".join(f"{number} {what}" for what, number in sorted(found.items())) or "none"
    return (f"{(time.monotonic() - begun) / 60:5.0f} min {sum(soak.done.values()):6d} events  {now.rss / 1024:5.1f} MiB"
            f" {now.threads:3d} threads {now.descriptors:3d} descriptors  incidents: {incidents}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--guests", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    chosen = parser.parse_args()
    cell.required()
    print(f"{chosen.guests} guests, {chosen.minutes:g} minutes, seed {chosen.seed}", flush=True)
    numbers = iter(range(1, chosen.guests + 1))
    with Libvirtd() as libvirtd, Neighbour() as neighbour, tempfile.TemporaryDirectory() as folder, \
            Ward(Path(folder), lambda **hardware: Guest(next(numbers), **hardware), {}, log={"level": "debug"}) as ward:
        parts = [f"guest {number}" for number in range(chosen.guests)]
        for first in range(0, len(parts), 4):
            ward.boot(*parts[first:first + 4], balloon_period=10)
        ward.watch()
        return watched(Soak(ward, libvirtd, neighbour, chosen.seed), ward, chosen.minutes)


def watched(soak: Soak, ward: Ward, minutes: float) -> int:
    begun = time.monotonic()
    sizes: list[Size] = []
    acting = threading.Thread(target=soak.run, args=(minutes,))
    acting.start()
    while acting.is_alive():
        acting.join(min(EVERY, minutes * 60 / 4))
        sizes.append(size(ward.helper.pid))
        print(row(soak, ward, begun, sizes[-1]), flush=True)
    time.sleep(60)      # what is under way is judged by then
    before, after = most(sizes[:len(sizes) // 2]), size(ward.helper.pid)
    print("\n".join(f"{number:6d} {what}" for what, number in sorted(soak.done.items())))
    wrong = ward.ledger(f"SELECT * FROM incident WHERE {DESERVED}")
    grown = (after.rss > before.rss * GROWTH or after.threads > before.threads + THREADS
             or after.descriptors > before.descriptors + DESCRIPTORS)
    print(f"at most {before} in the first half, {after} at the end")
    for incident in wrong:
        print("FALSE RECOVERY:", incident)
    if wrong or ward.endpoint.attempts:
        print(ward.helper.log())
    verdict = "PASS" if not wrong and not ward.endpoint.attempts and not grown else "FAIL"
    print(f"{verdict}: {len(wrong)} recoveries, {len(ward.endpoint.attempts)} reports,"
          f" {'grown' if grown else 'no growth'} in memory, threads and descriptors")
    return 0 if verdict == "PASS" else 1


if __name__ == "__main__":
    sys.exit(main())
