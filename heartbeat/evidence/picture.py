"""A guest's screen as PNG. QEMU before 7.1 gives PPM, which is made into one here. Pure."""

from __future__ import annotations

import struct
import zlib

MOST = 64 << 20  # bytes that are taken from QEMU: 5120 x 4096 pixels in PPM, and more
LARGEST = 16 << 20  # bytes of a picture that is kept
SIDE = 16384  # pixels
PNG = b"\x89PNG\r\n\x1a\n"


class Unusable(ValueError):
    """This is no picture that can be kept. The text says why, for people."""


def png(raw: bytes) -> bytes:
    """The picture as PNG. raw: PNG, or PPM with three bytes a pixel. Raises Unusable."""
    if not raw.startswith(PNG):
        raw = _encoded(*_ppm(raw))
    size(raw)
    if len(raw) > LARGEST:
        raise Unusable(f"a picture of {len(raw)} bytes, more than {LARGEST}")
    return raw


def size(picture: bytes) -> tuple[int, int]:
    """Width and height of a PNG, in pixels. Raises Unusable."""
    if len(picture) < 33 or picture[12:16] != b"IHDR" or not picture.startswith(PNG):
        raise Unusable("a PNG without its header")
    width, height = struct.unpack(">II", picture[16:24])
    if not (0 < width <= SIDE and 0 < height <= SIDE):
        raise Unusable("a PNG of impossible size")
    return width, height


def _ppm(raw: bytes) -> tuple[int, int, bytes]:
    """Width, height and pixels of what QEMU's ppm_save() writes: no comments, and one blank after each number."""
    words = raw[:64].split(None, 4)
    if len(words) < 4 or words[0] != b"P6" or words[3] != b"255" or not (words[1] + words[2]).isdigit():
        raise Unusable("neither PNG nor PPM")
    width, height = int(words[1]), int(words[2])
    if not (0 < width <= SIDE and 0 < height <= SIDE):
        raise Unusable("a PPM of impossible size")
    begin = raw.index(b"255", len(words[1]) + len(words[2]) + 3) + 4
    pixels = raw[begin : begin + width * height * 3]
    if len(pixels) != width * height * 3:
        raise Unusable("a PPM that ends early")
    return width, height, pixels


def _encoded(width: int, height: int, pixels: bytes) -> bytes:
    line, packer, packed = width * 3, zlib.compressobj(1), []
    for row in range(height):  # each begins with its filter: none
        packed.append(packer.compress(b"\0" + pixels[row * line : (row + 1) * line]))
    packed.append(packer.flush())
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return PNG + _chunk(b"IHDR", header) + _chunk(b"IDAT", b"".join(packed)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
