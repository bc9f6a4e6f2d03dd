"""Reading a guest's text console off a picture of its screen, by the shapes of the letters that it draws itself."""
from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import NamedTuple

import libvirt

from tests.harness.guests import Guest

# A cell of VGA's text mode of 80 x 25, in pixels.
WIDTH, HEIGHT, COLUMNS, ROWS = 9, 16, 80, 25
SIGNS = "".join(map(chr, range(33, 127)))
Shape = tuple[bool, ...]
Font = Mapping[Shape, str]


class Picture(NamedTuple):
    """A PNG, decoded. rows: of each line its pixels, dark or not."""

    width: int
    height: int
    rows: list[list[bool]]


def decoded(png: bytes) -> Picture:
    """A PNG of 8 bits a channel and no interlace, which QEMU and we write. Raises AssertionError, zlib.error."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, data, header = 8, b"", ()
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at:at + 8])
        content = png[at + 8:at + 8 + size]
        assert zlib.crc32(kind + content) == struct.unpack(">I", png[at + 8 + size:at + 12 + size])[0], kind
        if kind == b"IHDR":
            header = struct.unpack(">IIBBBBB", content)
        data += content if kind == b"IDAT" else b""
        at += 12 + size
    width, height, depth, colour, _, _, interlace = header
    assert (depth, interlace) == (8, 0)
    pixel = {2: 3, 6: 4}[colour]
    rows, above = [], bytes(width * pixel)
    raw = zlib.decompress(data)
    for number in range(height):
        start = number * (width * pixel + 1)
        above = _unfiltered(raw[start], raw[start + 1:start + 1 + width * pixel], above, pixel)
        rows.append([max(above[x * pixel:x * pixel + 3]) > 64 for x in range(width)])
    return Picture(width, height, rows)


def _unfiltered(kind: int, line: bytes, above: bytes, pixel: int) -> bytes:
    """One line, by section 9 of the PNG specification."""
    out = bytearray(line)
    for i, value in enumerate(line):
        left = out[i - pixel] if i >= pixel else 0
        up, corner = above[i], above[i - pixel] if i >= pixel else 0
        if kind == 1:
            guess = left
        elif kind == 2:
            guess = up
        elif kind == 3:
            guess = (left + up) // 2
        elif kind == 4:
            ways = [(abs(up - corner), left), (abs(left - corner), up), (abs(left + up - 2 * corner), corner)]
            guess = min(ways, key=lambda way: way[0])[1]
        else:
            guess = 0
        out[i] = (value + guess) & 255
    return bytes(out)


def font(guest: Guest) -> Font:
    """The shapes of all printable signs, as this guest (hardware option `vga`) draws them. Clears its screen."""
    guest.run(f"printf '\\033[?25l\\033[2J\\033[H%s' '{SIGNS[:6]}'\\'\"{_quoted(SIGNS[7:])}\" >/dev/tty0")
    shapes = _cells(decoded(taken(guest)))
    drawn = dict(zip(shapes, SIGNS))
    assert len(drawn) == len(SIGNS), "two signs look alike"
    assert not any(shapes[len(SIGNS)]), "the screen was not cleared"
    return {**drawn, shapes[len(SIGNS)]: " "}


def text(png: bytes, known: Font) -> str:
    """What stands on a screen, its rows one after the other, 80 characters each; ? for what is no sign."""
    return "".join(known.get(shape, "?") for shape in _cells(decoded(png)))


def taken(guest: Guest) -> bytes:
    """A picture by libvirt, as it is now. Raises AssertionError if it is no PNG."""
    domain = guest.domain
    stream = domain.connect().newStream(0)
    domain.screenshot(stream, 0, 0)
    pieces: list[bytes] = []
    stream.recvAll(lambda _, piece, __: pieces.append(piece), None)
    try:
        stream.finish()
    except libvirt.libvirtError:
        stream.abort()
    return b"".join(pieces)


def _cells(picture: Picture) -> list[Shape]:
    assert (picture.width, picture.height) == (WIDTH * COLUMNS, HEIGHT * ROWS), "not VGA's text mode"
    return [tuple(dot for line in picture.rows[row * HEIGHT:(row + 1) * HEIGHT]
                  for dot in line[column * WIDTH:(column + 1) * WIDTH])
            for row in range(ROWS) for column in range(COLUMNS)]


def _quoted(signs: str) -> str:
    return "".join("\\" + sign if sign in '"\\$`' else sign for sign in signs)
