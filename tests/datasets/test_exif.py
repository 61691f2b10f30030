"""Which way up: what the file's own structure says, and nothing that only looks like it."""

import struct
import zlib

import pytest

from sightloop.datasets.exif import read_orientation


def png(*chunks):
    parts = [
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind))
        for kind, content in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def exif(orientation):
    return b"MM\0*" + struct.pack(">IHHHIHH", 8, 1, 0x0112, 3, 1, orientation, 0)


@pytest.mark.parametrize("before", [[], [(b"IDAT", b"pixels")]])
def test_a_png_says_it_in_a_chunk_before_or_after_its_pixels(before):
    content = png((b"IHDR", b"size"), *before, (b"eXIf", exif(6)), (b"IEND", b""))
    assert read_orientation(content, "image/png") == 6


def test_pixels_that_read_like_it_do_not_turn_a_png():
    content = png((b"IHDR", b"size"), (b"IDAT", b"eXIf" + exif(6)), (b"IEND", b""))
    assert read_orientation(content, "image/png") == 1


@pytest.mark.parametrize("n_bytes", range(60))
def test_a_png_that_ends_anywhere_is_upright(n_bytes):
    content = png((b"IHDR", b"size"), (b"eXIf", exif(6)), (b"IEND", b""))
    assert read_orientation(content[:n_bytes], "image/png") in (1, 6)
