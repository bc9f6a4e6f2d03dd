"""Many guests in little time: one is booted and saved, and the rest are restored from its image under other names.

A second or less and some 90 MiB each, where a boot takes 3 s of a processor. Each is a real guest with its own QEMU,
agent and channel. It cannot be rebooted: it has no kernel but the one in its memory.
"""
from __future__ import annotations

import contextlib
import re
import socket
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.harness import domain_xml, hypervisor, image
from tests.harness.guests import Guest, boot
from tests.harness.wait import until

FOLDER = Path("/run/fleet")
# Free pages of zeros are not written when a guest is saved.
SWEEP = "dd if=/dev/zero of=/z bs=64k count=$(( ($(grep MemFree /proc/meminfo | tr -dc 0-9) - 4000) / 64 )); rm /z"
HALT, PANIC = "insmod /lib/modules/hang.ko mode=halt", "echo c >/proc/sysrq-trigger"
WIDTH = 3           # restores at a time
STILL = 1.0         # s without one slice of time for a vCPU: an idle guest gets 15


class _Saved(NamedTuple):
    """What `virsh save` wrote, see qemu_saveimage.h: a header of fixed size, XML ended by a 0, a cookie, and QEMU's
    own stream, which knows neither name nor uuid."""

    HEADER = struct.Struct("=16s5I")    # magic, version, length of XML and cookie, was running, compressed, cookie at
    SIZE = 92

    fixed: tuple
    unused: bytes
    xml: str
    cookie: bytes
    stream: bytes

    @classmethod
    def read(cls, path: Path) -> _Saved:
        raw = path.read_bytes()
        fixed = cls.HEADER.unpack_from(raw)
        assert (fixed[0], fixed[4]) == (b"LibvirtQemudSave", 0), fixed
        at, end = cls.SIZE + fixed[5], cls.SIZE + fixed[2]
        xml = raw[cls.SIZE:at].rstrip(b"\0").decode()
        return cls(fixed, raw[cls.HEADER.size:cls.SIZE], xml, raw[at:end], raw[end:])

    def write(self, path: Path, xml: str) -> None:
        text = xml.encode() + b"\0"
        fixed = (*self.fixed[:2], len(text) + len(self.cookie), *self.fixed[3:5], len(text))
        with path.open("wb") as file:
            for part in (self.HEADER.pack(*fixed), self.unused, text, self.cookie, self.stream):
                file.write(part)


class Fleet:
    """Use as a context manager, with libvirtd running; its guests end with it.

    size: of guests that are there and answer, after `fill`. Hardware options are those of `domain_xml.render`.
    guests: in the order in which they were made. No name or uuid is used twice.
    """

    def __init__(self, size: int, **hardware: object) -> None:
        self.size, self.guests = size, list[Guest]()
        self._hardware, self._made = hardware, 1

    def __enter__(self) -> Fleet:
        FOLDER.mkdir(exist_ok=True)
        built = image.build()
        # QEMU reads them at each start, and the guest never again.
        (FOLDER / "vmlinuz").write_bytes(built.kernel.read_bytes()[:65536])
        (FOLDER / "initrd").write_bytes(bytes(4096))
        with boot(self._made, **self._hardware) as template:
            template.run(SWEEP)
            path = FOLDER / "template"
            template.domain.save(str(path))
            self._template, self._saved = template, _Saved.read(path)
            path.unlink()
        self.fill()
        return self

    def __exit__(self, *_: object) -> None:
        self.remove(list(self.guests))

    def fill(self, size: int | None = None) -> None:
        """Restore as many as are missing, and wait until all answer. size: a new one."""
        self.size = size or self.size
        guests = [Guest(self._made + n + 1, **self._hardware) for n in range(self.size - len(self.guests))]
        self._made += len(guests)
        self.guests += guests
        with ThreadPoolExecutor(WIDTH) as pool:
            list(pool.map(self._restore, guests))

    def remove(self, guests: Iterable[Guest]) -> None:
        gone = set(guests)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda guest: guest.remove(), gone))
        self.guests = [guest for guest in self.guests if guest not in gone]

    def replace(self, guests: Iterable[Guest]) -> None:
        """New ones in the place of those that are hung or dead."""
        self.remove(guests)
        self.fill()

    def hang(self, guests: Iterable[Guest]) -> float:
        """Halt the vCPUs of these guests with interrupts off, all at once: a guest takes 0.02 s of a processor to do
        it. Returns the monotonic time at which the first was told to, after each has been seen to get no more
        slices of time."""
        guests = list(guests)
        with told(guests, HALT) as began:
            until(lambda: still(guests), f"{len(guests)} guests to hang", 60)
        return began

    def _restore(self, guest: Guest) -> None:
        xml, path = self._xml(guest), FOLDER / f"{guest.name}.save"
        self._saved.write(path, xml)
        try:
            connection = hypervisor.connect()
            connection.defineXML(xml)       # as Nova has it: it does not vanish with its QEMU
            connection.restore(str(path))
        finally:
            path.unlink()
        guest.wait_agent()

    def _xml(self, guest: Guest) -> str:
        template, built = self._template, image.build()
        xml = re.sub(r" id='\d+'", "", self._saved.xml, count=1)
        for old, new in ((template.name, guest.name), (template.uuid, guest.uuid),
                         (f">vm{template.number}<", f">vm{guest.number}<"),
                         (str(built.kernel), str(FOLDER / "vmlinuz")), (str(built.initrd), str(FOLDER / "initrd"))):
            xml = xml.replace(old, new)
        return xml


@contextlib.contextmanager
def told(guests: Sequence[Guest], line: str) -> Iterator[float]:
    """A shell line to all of them at once, whatever comes of it. Gives the monotonic time before the first. What a
    guest has not read yet is lost with its connection, so they last as long as the body."""
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in guests]
        for guest, control in zip(guests, lines):
            control.connect(domain_xml.control_socket(guest.name))
        began = time.monotonic()
        for control in lines:
            control.sendall(f"0 {line}\n".encode())
        yield began


def still(guests: Iterable[Guest]) -> bool:
    """Whether not one vCPU of them gets a slice of time for a while."""
    guests = list(guests)
    before = [guest.vcpu().slices for guest in guests]
    time.sleep(STILL)
    return before == [guest.vcpu().slices for guest in guests]
