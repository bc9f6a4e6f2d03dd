"""Guests as Nova makes them, with the real qemu-ga inside."""
from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import socket
import time
import uuid
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import libvirt
import libvirt_qemu

from tests.harness import domain_xml, hypervisor
from tests.harness.applications import Applications
from tests.harness.failures import Failures
from tests.harness.operations import Operations
from tests.harness.wait import Overdue, until


class Reply(NamedTuple):
    output: str
    status: int


class Ran(NamedTuple):
    """What the vCPU threads of a guest have done so far: ns run, ns waited for a core of the host, times scheduled."""
    run: int
    waited: int
    slices: int


class Guest(Applications, Failures, Operations):
    """One guest, by number; its name and uuid follow from it. Hardware options are those of `domain_xml.render`."""

    def __init__(self, number: int, **hardware: object) -> None:
        self.number, self.name = number, f"instance-{number:08x}"
        self.uuid = str(uuid.uuid5(uuid.NAMESPACE_DNS, self.name))
        self._hardware = hardware

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def __enter__(self) -> Guest:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    # What libvirt says

    @property
    def domain(self) -> libvirt.virDomain:
        """The domain, over a connection of its own. Raises libvirt.libvirtError if libvirt does not have it."""
        return hypervisor.connect().lookupByUUIDString(self.uuid)

    @property
    def state(self) -> tuple[int, int]:
        """State and reason, numbers of VIR_DOMAIN_*."""
        return tuple(self.domain.state())

    @property
    def channel(self) -> str | None:
        """State of the agent's channel in the live XML: connected, disconnected, or None if it is not running."""
        try:
            live = ElementTree.fromstring(self.domain.XMLDesc())
        except libvirt.libvirtError:
            return None
        return live.find("devices/channel/target[@name='org.qemu.guest_agent.0']").get("state")

    def ask(self, command: str = "guest-sync", seconds: int = 5, **arguments: object) -> object:
        """One question to the agent; what it returned. Raises what libvirt_qemu raises."""
        if command == "guest-sync":
            arguments = {"id": random.getrandbits(31), **arguments}
        request = json.dumps({"execute": command, "arguments": arguments} if arguments else {"execute": command})
        return json.loads(libvirt_qemu.qemuAgentCommand(self.domain, request, seconds, 0)).get("return")

    def wait_agent(self, seconds: float = 60.0) -> None:
        """Until the agent answers. A closed channel is not asked: libvirt would log an error for each question."""
        until(lambda: self.channel == "connected" and self.ask(seconds=1) is not None,
              f"the agent of {self.name} to answer", seconds, despite=(libvirt.libvirtError,))

    def balloon_stamp(self) -> int:
        """Host's wall clock when the guest's balloon driver last answered, 0 for never. Blocks on a stuck QEMU."""
        return self.domain.memoryStats().get("last_update", 0)

    # What the operating system says

    @property
    def pid(self) -> int:
        """Its QEMU. Raises ProcessLookupError if there is none."""
        for pid in hypervisor.qemu_pids(self.name):
            return pid
        raise ProcessLookupError(f"{self.name} has no QEMU")

    @property
    def process_state(self) -> str | None:
        """State letter of its QEMU in /proc (R, S, T, D, Z), None if there is none."""
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return None

    def vcpu(self) -> Ran:
        """Sum over the vCPU threads."""
        ran: list[tuple[int, ...]] = []
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            if re.match(r"CPU \d+/", (task / "comm").read_text()):
                ran.append(tuple(map(int, (task / "schedstat").read_text().split())))
        return Ran(*map(sum, zip(*ran)))

    def console(self) -> str:
        log = str(self._hardware.get("console", "")).format(uuid=self.uuid) or domain_xml.console_log(self.name)
        return Path(log).read_text(errors="replace")

    # Its life

    def start(self) -> Guest:
        """Define it and start it, as Nova does at each boot."""
        xml = domain_xml.render(self.number, self.name, self.uuid, **self._hardware)
        hypervisor.connect().defineXML(xml).create()
        return self

    def destroy(self) -> None:
        self.cont_qemu()
        self.domain.destroy()

    def undefine(self) -> None:
        self.domain.undefine()

    def remove(self) -> None:
        """Leave nothing of it, in whatever state it is."""
        for pid in hypervisor.qemu_pids(self.name):
            os.kill(pid, signal.SIGKILL)
        try:
            domain = self.domain
            until(lambda: not domain.isActive(), f"the end of {self.name}")
            domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                raise

    def shell(self, line: str, seconds: float = 20.0) -> Reply:
        """A shell line in the guest, over its second serial port: the agent has no part in it. It is there as soon as
        the agent answers for the first time; a line sent while the guest boots may be lost.

        Raises Overdue if the guest does not finish it in time, an OSError if QEMU is or goes away.
        """
        token, got = f"{random.getrandbits(48):x}", b""
        deadline = time.monotonic() + seconds
        with self._control() as control:
            control.sendall(f"{token} {line}\n".encode())
            while True:
                done = re.search(rb"(?s)^(.*)::%s (\d+)\r?\n" % token.encode(), got)
                if done:
                    return Reply(done.group(1).decode("utf-8", "replace"), int(done.group(2)))
                control.settimeout(max(0.001, deadline - time.monotonic()))
                try:
                    data = control.recv(65536)
                except socket.timeout:
                    raise Overdue(f"{self.name} to finish {line!r}", seconds, got) from None
                if not data:
                    raise ConnectionResetError(f"{self.name} went away during {line!r}")
                got += data

    def tell(self, line: str) -> None:
        """A shell line that may be the guest's last: returns before it begins, or just after it took the guest away."""
        with contextlib.suppress(Overdue, OSError):     # on a busy host it may be quicker than the reply
            self.run(f"(usleep 200000; {line}) >/dev/null 2>&1 &")

    def run(self, line: str) -> str:
        """The output of a line that must succeed."""
        output, status = self.shell(line)
        assert status == 0, f"{line!r} in {self.name} gave {status}: {output}"
        return output

    def _control(self) -> socket.socket:
        control = socket.socket(socket.AF_UNIX)
        control.settimeout(10)
        try:
            control.connect(domain_xml.control_socket(self.name))
        except OSError:
            control.close()
            raise
        return control


def boot(number: int, **hardware: object) -> Guest:
    """A guest whose agent answers."""
    guest = Guest(number, **hardware).start()
    guest.wait_agent()
    return guest
