"""What is wanted of libvirt about a guest that has failed, and what it shows."""

from __future__ import annotations

from typing import NamedTuple


class Wanted(NamedTuple):
    """no_picture: why no picture of its screen is wanted, "" if one is. disks: whether their errors are asked for."""

    no_picture: str = ""
    disks: bool = False


class Portrait(NamedTuple):
    """Each part, or the reason why it is not there. picture: in the format that this QEMU has. disks: device and
    libvirt's word on its last error."""

    xml: str = ""
    no_xml: str = ""
    picture: bytes = b""
    no_picture: str = ""
    disks: tuple[tuple[str, str], ...] = ()
    no_disks: str = ""

    def lacking(self, why: str) -> Portrait:
        """The same, with this as the reason for whatever has not come and has none yet."""
        return self._replace(
            no_xml="" if self.xml else self.no_xml or why,
            no_picture="" if self.picture else self.no_picture or why,
            no_disks="" if self.disks else self.no_disks or why,
        )
