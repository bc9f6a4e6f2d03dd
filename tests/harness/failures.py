"""Every way to break a guest.

A method returns when the thing is broken as far as the guest and the operating system can tell; what libvirt makes of
it (state, channel, events) comes later, and is for the test to wait for.
"""
from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from tests.harness import hypervisor
from tests.harness.wait import Overdue, until

EVIL = ("mute", "slow", "badsync", "strsync", "flood", "syncmute", "slowping", "garbage", "open", "huge", "double",
        "list", "noret", "null", "error", "escape")


class Failures:
    """The part of a Guest that breaks and mends it; the rest of it is in guests.py."""

    name: str
    pid: int
    channel: str | None
    process_state: str | None

    def load(self) -> None:
        """Keep it visibly at work, without disk or network."""
        work = "echo $$ >/run/load; while :; do md5sum /bin/busybox; usleep 50000; done"
        self.run(f"setsid sh -c '{work}' >/dev/null 2>&1 &")

    def unload(self) -> None:
        self.run("kill -9 $(cat /run/load)")

    def stop_agent(self) -> None:
        """As its service manager does: the channel closes."""
        self.run("agent stop")

    def start_agent(self) -> None:
        self.run("agent start")

    def kill_agent(self) -> None:
        self.run("agent kill")

    def freeze_agent(self) -> None:
        """SIGSTOP to qemu-ga: the channel stays open and nothing answers, all else lives."""
        self.run("agent freeze")

    def thaw_agent(self) -> None:
        self.run("agent thaw")

    def slow_freeze(self, seconds: int) -> None:
        """Let the next file system freeze take so long; the agent answers nobody meanwhile."""
        self.run(f"echo {seconds} >/run/freeze-delay")

    def evil(self, mode: str, number: int = 1) -> None:
        """Put an agent that misbehaves in the place of the real one: a mode of guest/evil.

        QEMU reports a port's changes once a second: unless libvirt has seen the old agent go it does not sync anew.
        """
        assert mode in EVIL, mode
        self.stop_agent()
        until(lambda: self.channel == "disconnected", f"libvirt to see the agent of {self.name} gone")
        self.run(f"setsid evil {mode} {number} >/dev/null 2>&1 &")
        until(lambda: self.channel == "connected", f"libvirt to see the evil agent of {self.name}")

    def forbid(self, *commands: str) -> None:
        """Begin its agent anew, with these commands blocked by the option that distributions block them with."""
        self.stop_agent()
        until(lambda: self.channel == "disconnected", f"libvirt to see the agent of {self.name} gone")
        self.run(f"agent start --block-rpcs={','.join(commands)}" if commands else "agent start")
        self.wait_agent()

    def reform(self) -> None:
        """The real agent again, after an evil one."""
        self.run("agent reform")
        until(lambda: self.channel == "disconnected", f"libvirt to see the evil agent of {self.name} gone")
        self.start_agent()
        self.wait_agent()

    def panic(self) -> None:
        self.tell("echo c >/proc/sysrq-trigger")
        self._dark()

    def spin(self) -> None:
        """Its CPU spins with interrupts off."""
        self.tell("insmod /lib/modules/hang.ko mode=spin")
        self._dark()

    def halt(self) -> None:
        """Its CPU is halted with interrupts off: not one more slice of time is asked from the host."""
        self.tell("insmod /lib/modules/hang.ko mode=halt")
        self._dark()

    def starve(self) -> None:
        """A real-time task takes the CPU for good: workqueues (the balloon's too) and the agent starve, irqs live."""
        self.tell("echo -1 >/proc/sys/kernel/sched_rt_runtime_us; chrt -f 99 sh -c 'while :; do :; done'")
        self._dark()

    def reboot(self) -> None:
        self.tell("reboot -f")

    def poweroff(self) -> None:
        self.tell("poweroff -f")

    def bark(self) -> None:
        """Let its watchdog (hardware option `watchdog`) run out: it does so about 2 s later."""
        self.run("bark")

    def fill_disk(self) -> None:
        """Write to its disk (hardware option `disk`, on a file system made by `cramped`) until the host has no room."""
        self.tell("dd if=/dev/zero of=/dev/vda bs=64k; sync")

    def kill_qemu(self) -> None:
        pid = self.pid
        os.kill(pid, signal.SIGKILL)
        until(lambda: not os.path.exists(f"/proc/{pid}"), f"QEMU {pid} to be gone")

    def stop_qemu(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)
        until(lambda: self.process_state == "T", f"the QEMU of {self.name} to stop")

    def cont_qemu(self) -> None:
        for pid in hypervisor.qemu_pids(self.name):
            os.kill(pid, signal.SIGCONT)

    def _dark(self) -> None:
        """Until the control line is dead: two questions in a row that nobody answers, or no QEMU any more."""
        def silent() -> bool:
            try:
                self.shell(":", 0.5)
            except (Overdue, OSError):
                return True
            return False
        until(lambda: silent() and silent(), f"{self.name} to go dark")


def cramped(folder: Path, mib: int = 2) -> Path:
    """A file system with room for so much of a guest's disk only; path of the disk on it."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder)], check=True)
    return folder / "disk.img"


def roomy(folder: Path) -> None:
    """As much room on it as the guest's disk takes."""
    subprocess.run(["mount", "-o", "remount,size=32m", str(folder)], check=True)
