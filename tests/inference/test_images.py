"""Image files become upright blue-green-red pixels, or are refused by name."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.inference import images
from sightloop.inference.errors import UnreadableImage
from sightloop.inference.images import decode_picture, read_facts

LOSSLESS = {".png": [], ".webp": [cv2.IMWRITE_WEBP_QUALITY, 101], ".bmp": []}
KINDS = {
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
}
# How the stored rows and columns turn into the upright picture, by EXIF orientation.
TURNS = {
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored, 2).transpose(1, 0, 2),
    8: lambda stored: np.rot90(stored, 1),
}


def picture(height_px=32, width_px=64):
    """Four flat quarters of different colours: no orientation looks like another."""
    made = np.zeros((height_px, width_px, 3), dtype=np.uint8)
    half_h, half_w = height_px // 2, width_px // 2
    made[:half_h, :half_w] = (200, 30, 30)
    made[:half_h, half_w:] = (30, 200, 30)
    made[half_h:, :half_w] = (30, 30, 200)
    made[half_h:, half_w:] = (220, 220, 220)
    return made


def encode(pixels, suffix=".png", options=()):
    return cv2.imencode(suffix, pixels, list(options))[1].tobytes()


def exif(orientation, byte_order=">"):
    mark = b"MM" if byte_order == ">" else b"II"
    entry = struct.pack(byte_order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return mark + struct.pack(byte_order + "HIH", 42, 8, 1) + entry + bytes(4)


def encode_turned(suffix, orientation, byte_order=">"):
    facts = np.frombuffer(exif(orientation, byte_order), dtype=np.uint8)
    kinds = [cv2.IMAGE_METADATA_EXIF]
    options = LOSSLESS.get(suffix, [])
    return cv2.imencodeWithMetadata(suffix, picture(), kinds, [facts], options)[1].tobytes()


def bmp_of_negative_height():
    content = bytearray(encode(picture(), ".bmp"))
    content[22:26] = struct.pack("<i", -32)
    return bytes(content)


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_every_exif_orientation_comes_out_upright(suffix, orientation):
    decoded = decode_picture(encode_turned(suffix, orientation), name="a")
    upright = TURNS[orientation](picture()).astype(int)
    assert decoded.shape == upright.shape
    assert np.abs(decoded - upright).mean() < 3  # exact for all but JPEG


def test_little_endian_exif_is_understood():
    decoded = decode_picture(encode_turned(".png", 6, "<"), name="a")
    assert np.array_equal(decoded, TURNS[6](picture()))


def test_an_orientation_that_does_not_exist_changes_nothing():
    assert np.array_equal(decode_picture(encode_turned(".png", 9), name="a"), picture())


@pytest.mark.parametrize("orientation", [1, 6])
def test_facts_tell_the_upright_size(orientation):
    facts = read_facts(encode_turned(".jpg", orientation), name="a")
    assert facts == ((64, 32) if orientation == 1 else (32, 64)) + ("image/jpeg",)


@pytest.mark.parametrize("suffix", KINDS)
def test_the_kind_is_read_from_the_bytes(suffix):
    assert read_facts(encode(picture(), suffix), name="wrong.txt").media_type == KINDS[suffix]


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_a_lossless_picture_comes_back_exactly(suffix):
    content = encode(picture(), suffix, LOSSLESS[suffix])
    assert np.array_equal(decode_picture(content, name="a"), picture())


def test_grey_becomes_three_equal_channels():
    grey = picture()[:, :, 0]
    assert np.array_equal(decode_picture(encode(grey), name="a"), np.dstack([grey] * 3))


def test_of_16_bit_samples_the_high_byte_is_kept():
    deep = (picture().astype(np.uint16) << 8) | 200
    assert np.array_equal(decode_picture(encode(deep), name="a"), picture())


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_colours_under_full_transparency_stay_as_they_are(suffix):
    clear = np.dstack([picture(), np.zeros((32, 64), dtype=np.uint8)])
    decoded = decode_picture(encode(clear, suffix, LOSSLESS[suffix]), name="a")
    assert decoded.shape == (32, 64, 3)
    if suffix == ".png":  # OpenCV's WebP writer clears hidden colours itself
        assert np.array_equal(decoded, picture())


def test_a_palette_becomes_its_colours():
    rows = b"".join(b"\0" + bytes([0, 1]) for _ in range(2))
    decoded = decode_picture(
        png_of(2, 2, colour_type=3, palette=bytes([255, 0, 0, 0, 0, 255]), rows=rows), name="a"
    )
    assert decoded[0].tolist() == [[0, 0, 255], [255, 0, 0]]


def test_a_bmp_stored_from_top_to_bottom_is_read():
    decoded = decode_picture(bmp_of_negative_height(), name="a")
    assert np.array_equal(decoded, np.flipud(picture()))


@pytest.mark.parametrize("suffix", KINDS)
def test_bytes_after_the_picture_are_allowed(suffix):
    content = encode(picture(), suffix)
    expected = decode_picture(content, name="a")
    assert np.array_equal(decode_picture(content + b"preview", name="a"), expected)


@pytest.mark.parametrize("suffix", KINDS)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_anywhere_is_refused(suffix, share):
    noisy = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    content = encode(noisy, suffix)
    with pytest.raises(UnreadableImage):
        decode_picture(content[: int(len(content) * share)], name="a")


def test_a_progressive_jpeg_without_its_last_scan_is_refused():
    content = encode(picture(), ".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    last_scan = content.rindex(b"\xff\xda")
    with pytest.raises(UnreadableImage, match="part of the picture is missing"):
        decode_picture(content[:last_scan], name="a")


def test_a_jpeg_padded_with_zeros_to_its_full_length_is_refused():
    content = encode(picture(), ".jpg")
    half = content[: len(content) - 40]
    with pytest.raises(UnreadableImage, match="end-of-image marker"):
        decode_picture(half + bytes(40), name="a")


def test_a_thumbnails_end_marker_does_not_count_as_the_pictures():
    content = encode(picture(), ".jpg")
    thumbnail = b"\xff\xe1" + struct.pack(">H", 8) + b"ab\xff\xd9\xff\xd9"
    with pytest.raises(UnreadableImage):
        decode_picture(content[:2] + thumbnail + content[2:-2], name="a")


def test_a_flipped_bit_in_a_png_is_refused():
    content = bytearray(encode(picture()))
    content[len(content) // 2] ^= 1
    with pytest.raises(UnreadableImage, match="damaged chunk at byte"):
        decode_picture(bytes(content), name="a")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"hello", "none of JPEG, PNG, WebP and BMP"),
        (b"II*\0" + bytes(60), "none of JPEG, PNG, WebP and BMP"),
        (b"\xff\xd8\xff\xd9", "holds no picture"),
        (b"RIFF\x04\0\0\0WEBPjunk", "holds no WebP picture"),
    ],
)
def test_what_is_no_picture_is_refused_by_name_and_reason(content, problem):
    with pytest.raises(UnreadableImage, match=problem) as caught:
        decode_picture(content, name="line-3/img7.jpg")
    assert caught.value.code == "INFER-001"
    assert "line-3/img7.jpg" in caught.value.message


def test_a_picture_of_no_size_is_refused():
    with pytest.raises(UnreadableImage, match="claims a size of 0 x 2 px"):
        decode_picture(png_of(0, 2, rows=b""), name="a")


def test_a_picture_that_would_fill_the_memory_is_refused_before_decoding():
    with pytest.raises(UnreadableImage, match=str(images.MAX_PIXELS)):
        decode_picture(png_of(60_000, 60_000, rows=b"\0"), name="a")


def test_a_png_with_too_few_rows_is_refused():
    with pytest.raises(UnreadableImage, match="damaged image/png"):
        decode_picture(png_of(40, 24, rows=bytes(41)), name="a")


def png_of(width_px, height_px, *, rows, colour_type=0, palette=b""):
    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width_px, height_px, 8, colour_type, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    content += chunk(b"PLTE", palette) if palette else b""
    return content + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
