"""A screen as it comes from QEMU becomes a PNG that any program shows, or nothing."""

from __future__ import annotations

import struct
import zlib

import pytest

from heartbeat.evidence import picture


def ppm(width: int, height: int, colour: bytes = b"\x01\x02\x03") -> bytes:
    return b"P6\n%d %d\n255\n" % (width, height) + colour * width * height


def decoded(png: bytes) -> tuple[int, int, bytes]:
    """Width, height and pixels, by the PNG specification: signature, chunks with their sums, one filter byte a row."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, []
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at : at + 8])
        data = png[at + 8 : at + 8 + size]
        assert struct.unpack(">I", png[at + 8 + size : at + 12 + size])[0] == zlib.crc32(kind + data)
        chunks.append((kind, data))
        at += 12 + size
    assert [kind for kind, _ in chunks] == [b"IHDR", b"IDAT", b"IEND"]
    width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", chunks[0][1])
    assert (depth, colour, rest) == (8, 2, [0, 0, 0])
    raw = zlib.decompress(chunks[1][1])
    rows = [raw[row * (width * 3 + 1) : (row + 1) * (width * 3 + 1)] for row in range(height)]
    assert all(row[0] == 0 for row in rows)
    return width, height, b"".join(row[1:] for row in rows)


def test_a_ppm_of_an_older_qemu_becomes_a_png_with_the_same_pixels():
    made = picture.png(b"P6\n2 2\n255\n" + bytes(range(12)))
    assert decoded(made) == (2, 2, bytes(range(12)))
    assert picture.size(made) == (2, 2)


def test_pixels_that_look_like_the_header_are_pixels():
    assert decoded(picture.png(ppm(85, 3, b"255")))[2] == b"255" * 85 * 3
    assert decoded(picture.png(ppm(255, 2, b"\n\n\n")))[2] == b"\n\n\n" * 510


def test_a_png_stays_as_it_is():
    made = picture.png(ppm(3, 3))
    assert picture.png(made) == made


@pytest.mark.parametrize("raw", [
    b"", b"P6", b"P6\n2 2\n255\n" + bytes(11), b"P5\n2 2\n255\n" + bytes(12), b"P6\n2 2\n65535\n" + bytes(24),
    b"P6\n-2 2\n255\n" + bytes(12), b"P6\n0 0\n255\n", b"P6\n99999 99999\n255\n", b"P6\nx y\n255\n",
    b"<html>", b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n" + bytes(40), b"GIF89a" + bytes(40),
])
def test_what_is_no_picture_is_not_kept(raw):
    with pytest.raises(picture.Unusable):
        picture.png(raw)


def test_a_picture_that_is_too_large_is_not_kept(monkeypatch):
    monkeypatch.setattr(picture, "LARGEST", 50)
    with pytest.raises(picture.Unusable, match="more than 50"):
        picture.png(ppm(20, 20))
