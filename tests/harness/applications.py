"""What an application in a guest says of its health: by a program that a check runs, or by a file that it keeps."""
from __future__ import annotations

from tests.harness.wait import until

PROGRAM = "/bin/checkup"
STATUS = "/run/application.status"


class Applications:
    """The part of a Guest that its applications are; the rest of it is in guests.py."""

    name: str

    def says(self, code: int, text: str = "") -> None:
        """What its program `checkup flip` says from now on."""
        self.run(f"echo '{code} {text}' >/run/checkup.new && mv /run/checkup.new /run/checkup")

    def checkups(self, mode: str) -> list[int]:
        """The processes of `checkup MODE` that have ever begun, oldest first."""
        lines = self.run("cat /run/checkups 2>/dev/null || :").splitlines()
        return [int(line.split()[0]) for line in lines if line.split()[1:2] == [mode]]

    def running(self, mode: str) -> list[int]:
        """Those that have not exited."""
        alive = set(self.run("cd /proc && ls -d [0-9]*").split())
        return [pid for pid in self.checkups(mode) if str(pid) in alive]

    def writes(self, status: str, text: str = "", age: int = 0) -> None:
        """Its status file, once: so old by its own clock."""
        self.run(f"application write {age} {status} '{text}'")

    def keeps_writing(self, status: str = "healthy", text: str = "") -> None:
        """Its status file, every second from now on."""
        self.run(f"application keep {status} '{text}'")
        until(lambda: self.shell(f"test -s {STATUS}").status == 0, f"{self.name} to write its status")

    def stops_writing(self) -> None:
        self.run("application stop")

    def mount_disk(self) -> None:
        """A file system on its disk (hardware option `disk`), at /data."""
        self.run("mke2fs /dev/vda >/dev/null && mkdir -p /data && mount -t ext4 /dev/vda /data")

    def fills(self, mib: int) -> None:
        """So much of it."""
        self.run(f"dd if=/dev/zero of=/data/ballast bs=1M count={mib} 2>/dev/null")

    def frees(self) -> None:
        self.run("rm /data/ballast")
