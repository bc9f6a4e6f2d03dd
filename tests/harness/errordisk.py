"""A disk that fails every write: qemu-nbd over a file, with QEMU's own fault injection in between."""
from __future__ import annotations

import subprocess
from pathlib import Path

from tests.harness.wait import until

FAULT = """[inject-error]
event = "write_aio"
errno = "5"
"""
# Paused by an error, as Nova's guests are on a full disk; and others, where the operator wants it so.
DEVICE = """<disk type='network' device='disk'>
      <driver name='qemu' type='raw' error_policy='stop'/>
      <source protocol='nbd' name='faulty'><host transport='unix' socket='{socket}'/></source>
      <target dev='vda' bus='virtio'/>
    </disk>"""


class ErrorDisk:
    """Use as a context manager; `device` is XML for the hardware option `extra`."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._socket = folder, folder / "faulty.sock"

    def __enter__(self) -> ErrorDisk:
        disk, fault = self._folder / "faulty.img", self._folder / "fault.conf"
        with disk.open("wb") as file:
            file.truncate(16 << 20)
        fault.write_text(FAULT)
        image = (f"driver=raw,file.driver=blkdebug,file.config={fault},file.image.driver=file,"
                 f"file.image.filename={disk}")
        self._server = subprocess.Popen(
            ["qemu-nbd", "--persistent", "--export-name=faulty", f"--socket={self._socket}", "--image-opts", image],
            stdin=subprocess.DEVNULL)
        until(self._socket.exists, "qemu-nbd's socket")
        return self

    def __exit__(self, *_: object) -> None:
        self._server.terminate()
        self._server.wait(30)

    @property
    def device(self) -> str:
        return DEVICE.format(socket=self._socket)
